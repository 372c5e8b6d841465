"""Malformed files of weights: safetensors, and pickles of torch in all their forms."""

import io
import os
import pickle
import struct
import zipfile
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from clearbench.encoders.nets.build import build_net
from clearbench.encoders.nets.sizes import VitSizes
from hostile.cases import Case, damaged, no_files, put, random_damage
from hostile.pack_cases import tensor_files

SIZES = VitSizes(embed_dim=32, depth=1, num_heads=1)
SIZE_PX = 32
NAMES = {"safetensors": "w.safetensors", "pth": "w.pth", "legacy": "w.pt", "ckpt": "w.ckpt"}
CARD = f"""
title = "Small"
family = "lecl"
source = "none:"
net = "vit"
dim = 32
pooling = "cls"
weights = {{ licence = "MIT" }}
sizes = {{ embed_dim = 32, depth = 1, num_heads = 1 }}
[input]
size_px = {SIZE_PX}
views = "free"
default_views = ["lung"]
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
"""


@cache
def good_state() -> dict[str, torch.Tensor]:
    """Return the weights of a small network."""
    return {k: v.contiguous() for k, v in build_net(SIZES, SIZE_PX, seed=0).state_dict().items()}


def pickled(value: Any, **options: Any) -> bytes:
    """Return a value as torch saves it."""
    sink = io.BytesIO()
    torch.save(value, sink, **options)
    return sink.getvalue()


def legacy(value: Any) -> bytes:
    """Return a value as torch saved it before it wrote zip archives."""
    return pickled(value, _use_new_zipfile_serialization=False)


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def changed_states() -> dict[str, Callable[[dict[str, torch.Tensor]], Any]]:
    """Return what is done to good weights, and is refused."""
    first = "cls_token"

    def with_first(make: Callable[[torch.Tensor], Any]) -> Callable[[Any], Any]:
        return lambda state: {**state, first: make(state[first])}

    def every(make: Callable[[torch.Tensor], Any]) -> Callable[[Any], Any]:
        return lambda state: {name: make(value) for name, value in state.items()}

    return {
        "integer keys": lambda state: dict(enumerate(state.values())),
        "keys of tuples": lambda state: {(k, 1): v for k, v in state.items()},
        "keys that are one as text": lambda state: {**state, 1: state[first], "1": state[first]},
        "no keys": lambda _: {},
        "a list": lambda state: list(state.values()),
        "a tensor": lambda state: state[first],
        "a number": lambda _: 1,
        "nothing": lambda _: None,
        "a text for the state dict": lambda _: {"state_dict": "abc"},
        "a list for the state dict": lambda _: {"state_dict": [1, 2]},
        "texts": lambda state: dict.fromkeys(state, "abc"),
        "None": lambda state: dict.fromkeys(state),
        "numbers": lambda state: dict.fromkeys(state, 1.0),
        "lists": lambda state: {name: value.tolist() for name, value in state.items()},
        "a namespace with a shape": with_first(lambda v: Namespace(shape=tuple(v.shape))),
        "a tensor more": lambda state: {**state, "more": state[first]},
        "a tensor less": lambda state: {k: v for k, v in state.items() if k != first},
        "another shape": with_first(lambda v: v[..., :-1].contiguous()),
        "no axes": every(lambda v: v.flatten()[:1].reshape(()).clone()),
        "no numbers": with_first(lambda v: v[..., :0].clone()),
        "an axis more": with_first(lambda v: v[None].clone()),
        "NaN": every(lambda v: torch.full_like(v, float("nan")) if v.is_floating_point() else v),
        "int8": every(lambda v: v.to(torch.int8)),
        "booleans": every(lambda v: v.bool()),
        "complex numbers": every(lambda v: v.to(torch.complex64)),
        "8-bit floats": every(lambda v: v.to(torch.float8_e4m3fn)),
        "8-bit floats of another kind": every(lambda v: v.to(torch.float8_e5m2)),
        "sparse": with_first(lambda v: v.to_sparse()),
        "on no device": with_first(lambda v: v.to("meta")),
        "quantised": with_first(lambda v: torch.quantize_per_tensor(v, 0.1, 0, torch.qint8)),
        "one number for 4 TB": with_first(lambda _: torch.zeros(1).expand(2**20, 2**20)),
        "one number for its shape": with_first(lambda v: torch.zeros(1).expand(v.shape)),
        "a name of 300 kB": lambda state: {**state, "x" * 300_000: state[first]},
        "names with codes": lambda state: {**state, "a\n\x1b[31m\x07\0": state[first]},
        "30,000 tensors": lambda state: {**state, **{f"n{k}": state[first] for k in range(30_000)}},
        "raw and averaged": lambda state: {"model": state, "model_ema": state},
    }


def tables(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Return checkpoints of tables in tables."""
    itself: dict[str, Any] = {"a": state["cls_token"]}
    itself["b"] = itself
    laughs: Any = state
    for _ in range(8):
        laughs = {f"k{n}": laughs for n in range(30)}
    listed: Any = [state["cls_token"]]
    for _ in range(8):
        listed = [listed] * 30
    deep: Any = state
    for _ in range(300):
        deep = {"a": deep}
    return {
        "a table in itself": itself,
        "tables of the same tables": laughs,
        "lists of the same lists": {"ema": listed},
        "300 tables in each other": deep,
    }


def raw_cases() -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """Yield a format, what is wrong, and how the bytes are made: forged archives and pickles."""
    good = pickled(good_state())

    def rewritten(change: Callable[[dict[str, bytes]], object], method: int = 0) -> bytes:
        with zipfile.ZipFile(io.BytesIO(good)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        change(files)
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", method) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return sink.getvalue()

    def named(files: dict[str, bytes], end: str) -> str:
        return next(name for name in files if name.endswith(end))

    def swap(end: str, content: bytes) -> Callable[[], bytes]:
        return lambda: rewritten(lambda files: files.update({named(files, end): content}))

    yield (
        "pth",
        "a pickle of 300 MB, packed",
        lambda: rewritten(
            lambda files: files.update(
                {named(files, "data.pkl"): b"\x80\x02" + b"N0" * 150_000_000}
            ),
            zipfile.ZIP_DEFLATED,
        ),
    )
    yield (
        "pth",
        "300 MB of zeros, packed",
        lambda: rewritten(
            lambda files: files.update({named(files, "data/0"): b"\0" * (300 * 2**20)}),
            zipfile.ZIP_DEFLATED,
        ),
    )
    yield "pth", "no pickle", lambda: rewritten(lambda files: files.pop(named(files, "data.pkl")))
    yield "pth", "no data", lambda: rewritten(lambda files: files.pop(named(files, "data/0")))
    yield "pth", "less data", swap("data/0", b"\0")
    yield "pth", "more data", swap("data/0", b"\0" * 100_000)
    yield (
        "pth",
        "names outside",
        lambda: rewritten(lambda files: files.update({"../../outside": b"x"})),
    )
    yield "pth", "an empty pickle", swap("data.pkl", b"")
    yield "pth", "a pickle of marks", swap("data.pkl", b"(" * 100_000)
    yield "pth", "a pickle without an end", swap("data.pkl", b"\x80\x02}q\x00")
    yield "pth", "a number of 2 GB", swap("data.pkl", b"\x80\x02\x8b\xff\xff\xff\x7f" + b"1" * 99)
    yield "pth", "a text of 4 GB", swap("data.pkl", b"\x80\x02X\xff\xff\xff\xff" + b"a" * 99)
    yield (
        "pth",
        "lists in lists",
        swap("data.pkl", b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b"."),
    )
    yield "pth", "an unknown sign", swap("data.pkl", b"\x80\x02\xfe.")
    yield "pth", "protocol 99", swap("data.pkl", b"\x80\x63.")
    yield "pth", "an unknown memo", swap("data.pkl", b"\x80\x02h\x63.")
    yield "pth", "an unknown class", swap("data.pkl", b"\x80\x02cnone.such\nThing\n)R.")
    yield "pth", "eval", swap("data.pkl", b"\x80\x02cbuiltins\neval\n(U\x031+1tR.")
    yield (
        "pth",
        "an order of bytes",
        lambda: rewritten(lambda files: files.update({named(files, "byteorder"): b"middle"})),
    )
    yield "pth", "a zip of nothing", lambda: rewritten(lambda files: files.clear())
    yield (
        "pth",
        "a zip of texts",
        lambda: rewritten(lambda files: (files.clear(), files.update({"readme.txt": b"hello"}))),
    )
    old = legacy(good_state())
    yield (
        "legacy",
        "a huge storage",
        lambda: old.replace(struct.pack("<q", 32), struct.pack("<q", 2**40), 1),
    )
    yield "legacy", "half of it", lambda: old[: len(old) // 2]
    yield "legacy", "pickle of Python", lambda: pickle.dumps({"a": [1, 2]})
    yield "legacy", "pickle of a set", lambda: pickle.dumps({1, 2})
    yield "legacy", "a magic number alone", lambda: old[:20]
    yield "legacy", "lists in lists", lambda: b"\x80\x02" + b"]" * 50_000
    yield "ckpt", "an error page", lambda: b"<!DOCTYPE html><html>404</html>"
    yield "ckpt", "a pointer of git-lfs", lambda: b"version https://git-lfs.github.com/spec/v1\n"
    yield "ckpt", "noise", lambda: bytes(range(256)) * 40
    yield "ckpt", "HDF5", lambda: b"\x89HDF\r\n\x1a\n" + b"\0" * 1000
    yield "ckpt", "numpy", lambda: b"\x93NUMPY\x01\x00" + b"\0" * 1000
    yield "ckpt", "tar", lambda: b"pickle" + b"\0" * 2000


def weight_cases() -> Iterator[Case]:
    """Yield every malformed file of weights."""
    state = good_state()
    for what, change in changed_states().items():
        value = change(state)
        yield Case(f"pth/{what}", partial(write_saved, "pth", pickled, value), refused=True)
        if what != "on no device":
            yield Case(f"legacy/{what}", partial(write_saved, "legacy", legacy, value), True)
        nested = {"state_dict": value}
        yield Case(
            f"ckpt/{what} inside", partial(write_saved, "ckpt", pickled, nested), refused=True
        )
        plain = isinstance(value, dict) and all(
            isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in value.items()
        )
        if plain and what not in ("sparse", "on no device", "quantised", "one number for 4 TB"):
            kept = {name: tensor.clone() for name, tensor in value.items()}
            refused = what not in ("one number for its shape",)
            write = partial(write_saved, "safetensors", save, kept)
            yield Case(f"safetensors/{what}", write, refused or None)
    for what, value in tables(state).items():
        yield Case(f"pth/{what}", partial(write_saved, "pth", pickled, value), refused=True)
    for kind, what, make in raw_cases():
        write = partial(write_made, NAMES[kind], make)
        refused = None if what in ("more data", "names outside", "an order of bytes") else True
        yield Case(f"{kind}/{what}", write, refused)
    for what, content in tensor_files(save(state)).items():
        yield Case(f"safetensors/{what}", put(NAMES["safetensors"], content), refused=True)
    for kind, name in NAMES.items():
        yield from no_files(kind, name)
        yield Case(f"{kind}/code", partial(write_evil, name), refused=True)
        yield from more_damage(kind, range(10))
    yield Case("pth/a good one", partial(write_saved, "pth", pickled, state), refused=False)
    ordered = {"state_dict": OrderedDict(state), "args": Namespace(lr=0.1), "epoch": 3}
    yield Case("pth/a checkpoint", partial(write_saved, "pth", pickled, ordered), refused=False)
    yield from damaged("safetensors", NAMES["safetensors"], save(state), 1500)
    yield from damaged("pth", NAMES["pth"], pickled(state), 3000)


def write_saved(kind: str, save_it: Callable[[Any], bytes], value: Any, folder: Path) -> None:
    """Write a value as weights."""
    (folder / NAMES[kind]).write_bytes(save_it(value))


def write_made(name: str, make: Callable[[], bytes], folder: Path) -> None:
    """Write bytes that take a while to make."""
    (folder / name).write_bytes(make())


def write_evil(name: str, folder: Path) -> None:
    """Write a pickle that runs a command."""
    content = (
        pickled({"a": Evil(folder / "ran")})
        if name != "w.pt"
        else pickle.dumps(Evil(folder / "ran"))
    )
    (folder / name).write_bytes(content)


def more_damage(kind: str, seeds: range) -> Iterator[Case]:
    """Yield weights with random damage in their headers and pickles."""
    state = good_state()
    good = {"safetensors": save, "legacy": legacy}.get(kind, pickled)(state)
    yield from random_damage(kind, NAMES[kind], good, 3000, seeds)
