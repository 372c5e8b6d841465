"""Malformed files of other kinds: splits, golden tensors, reference vectors, lists."""

import io
import json
import pickle
import struct
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from hostile.cases import Case, damaged, no_files, put, random_damage, refused
from hostile.pack_cases import tensor_files
from hostile.result_cases import VALUES

SPLIT: dict[str, Any] = {
    "frozen": 1,
    "task": "t",
    "cohort": "own",
    "split": {"folds": 2, "repeats": 1},
    "made_by": "clearbench",
    "split_sha256": "s",
    "labels_check": {},
    "folds": [
        {"test_cohort": "", "repeat": 0, "number": 0, "train": ["a"], "tune": ["b"], "test": ["c"]}
    ],
}
OPEN_CLIP: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 64,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}
NAMES = {
    "split": "t.split.json",
    "golden": "golden.safetensors",
    "vectors": "vectors.safetensors",
    "seen": "seen.txt",
    "open_clip": "open_clip_config.json",
    "transformers": "config.json",
    "npy": "Slice-level-labels.npy",
    "checkpoint": "checkpoint.pt",
}


def golden(**facts: str) -> bytes:
    """Return golden tensors with metadata."""
    usual = {"embed_dim": "32", "depth": "1", "num_heads": "1"}
    tensors = {"input": torch.zeros(1, 3, 32, 32), "features": torch.zeros(1, 32)}
    return save(tensors, metadata=usual | facts)


def vectors(**facts: str) -> bytes:
    """Return reference vectors with metadata."""
    usual = {"views": '["lung"]', "card_sha256": '"0"', "weights_sha256": '"0"', "versions": "{}",
             "fingerprint": '"0"'}  # fmt: skip
    tensors = {
        "slices_hu": torch.zeros(1, 4, 4, dtype=torch.int16),
        "features": torch.zeros(1, 1, 4),
    }
    return save(tensors, metadata=usual | facts)


def json_cases(kind: str, good: dict[str, Any]) -> Iterator[Case]:
    """Yield records for every key and every wrong value, also in the tables within."""
    name = NAMES[kind]
    for key in good:
        for what, value in VALUES.items():
            yield Case(f"{kind}/{key} is {what}", put(name, dumped(good | {key: value})))
        rest = {each: value for each, value in good.items() if each != key}
        yield Case(f"{kind}/no {key}", put(name, dumped(rest)))
        inner = good[key][0] if isinstance(good[key], list) else good[key]
        for part in inner if isinstance(inner, dict) else ():
            for what, value in VALUES.items():
                changed: Any = {**inner, part: value}
                changed = [changed] if isinstance(good[key], list) else changed
                content = dumped(good | {key: changed})
                yield Case(f"{kind}/{part} of {key} is {what}", put(name, content))
    for what, content in {
        "a list": b"[]",
        "null": b"null",
        "lists in lists": b"[" * 100_000,
        "tables in tables": b'{"a":' * 100_000,
        "a number of 5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
        "NaN": b'{"a": NaN}',
        "half a character": b'{"a": "\\ud800"}',
        "UTF-16": json.dumps(good).encode("utf-16"),
        "Latin-1": b'{"a": "\xfc"}',
        "NUL": b"\0" * 100,
    }.items():
        yield Case(f"{kind}/{what}", put(name, content), refused=True)


def dumped(facts: Any) -> bytes:
    """Return facts as JSON."""
    return json.dumps(facts).encode()


def npy_of(shape: str, data: bytes = b"", descr: str = "'|u1'", tail: str = "}") -> bytes:
    """Return an array file with this header."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, {tail}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def npy_cases() -> Iterator[Case]:
    """Yield what can be wrong with the arrays of slice labels."""
    good, name = npy_of("(2, 3)", bytes([1, 0, 0, 1, 1, 1])), NAMES["npy"]
    for what, content in {
        "a shape beyond memory": npy_of("(1000000000, 1000000000)", bytes(6)),
        "a shape of 0 bytes": npy_of("(0, 10000000000000000000000)", b""),
        "a negative shape": npy_of("(-2, -3)", bytes(6)),
        "a shape of words": npy_of("('2', 3)", bytes(6)),
        "a shape without end": npy_of("(" * 900, bytes(6)),
        "a shape of 5,000 digits": npy_of(f"({'9' * 5000},)", bytes(6)),
        "numbers of another shape": npy_of("(2, 4)", bytes(6)),
        "another shape": npy_of("(6,)", bytes(6)),
        "twos": npy_of("(2, 3)", bytes([2] * 6)),
        "NaN": npy_of("(1, 1)", struct.pack("<d", float("nan")), "'<f8'"),
        "objects": npy_of("(2, 3)", b"cos\nsystem\n(S'true'\ntR.", "'|O'"),
        "texts": npy_of("(1, 1)", "1".encode("utf-32-le"), "'<U1'"),
        "times": npy_of("(1, 1)", bytes(8), "'<M8[s]'"),
        "records": npy_of("(1, 1)", bytes(8), "[('a', '<i4'), ('b', '<i4')]"),
        "numbers of 2 GB each": npy_of("(1, 1)", bytes(8), "'|V2147483647'"),
        "a header without end": npy_of("(2, 3)", bytes(6), tail=""),
        "code as its header": npy_of("__import__('os').system('true')", bytes(6)),
        "an archive": b"PK\x03\x04" + bytes(100),
        "a pickle": pickle.dumps([1, 2]),
        "version 9": good.replace(b"\x01\x00", b"\x09\x00", 1),
    }.items():
        yield Case(f"npy/{what}", put(name, content), refused=True)
    yield from no_files("npy", name)
    yield from damaged("npy", name, good, len(good) - 6)
    yield from random_damage("npy", name, good, len(good) - 6, range(40))


def checkpoint_cases(good: Mapping[str, Any]) -> Iterator[Case]:
    """Yield what can be wrong with the checkpoint of a training; `good` is one that resumes."""
    name = NAMES["checkpoint"]
    wrong = (None, 1, "x", [], {}, [1], {"a": 1}, torch.zeros(2))
    for key in good:
        rest = {each: value for each, value in good.items() if each != key}
        yield Case(f"checkpoint/no {key}", partial(write_saved, rest), refused=True)
        for value in wrong:
            case = f"checkpoint/{key} is {type(value).__name__} {str(value)[:10]}"
            # float32 needs no scaling, so its state isn't read; no facts and no epochs fit all
            fits = key == "scaler" or (key in ("net", "history") and value in ([], {}))
            either = None if fits else True
            yield Case(case, partial(write_saved, {**good, key: value}), refused=either)
    moco = {key: torch.zeros(3) for key in good["moco"]}
    yield Case("checkpoint/other shapes", partial(write_saved, {**good, "moco": moco}), True)
    state = good["optimiser"]["state"]
    other = {
        "averages of other shapes": {0: {**state[0], "exp_avg": torch.zeros(3)}},
        "averages that are words": {0: {"exp_avg": "a"}},
    }
    for what, first in other.items():
        changed = {**good["optimiser"], "state": {**state, **first}}
        content = {**good, "optimiser": changed}
        yield Case(f"checkpoint/{what}", partial(write_saved, content), refused=True)
    epochs = good["history"]
    for what, history in {
        "an epoch twice": [*epochs, *epochs],
        "an epoch of words": [{**epochs[0], "loss": "a"}],
        "an epoch of other facts": [{**epochs[0], "more": 1}],
        "an epoch without facts": [{}],
        "epoch -1": [{**epochs[0], "epoch": -1}],
    }.items():
        content = {**good, "history": history}
        yield Case(f"checkpoint/{what}", partial(write_saved, content), refused=True)
    yield from no_files_of_checkpoints(name)
    buffer = io.BytesIO()
    torch.save(dict(good), buffer)
    yield from refused(random_cuts(name, buffer.getvalue()))


def write_saved(content: Mapping[str, Any], folder: Path) -> None:
    """Write a checkpoint."""
    torch.save(dict(content), folder / NAMES["checkpoint"])


def no_files_of_checkpoints(name: str) -> Iterator[Case]:
    """Yield files that are no checkpoints; what is no file at all is as if there were none."""
    for case in no_files("checkpoint", name):
        if case.name.endswith(("no bytes", "2 TB of zeros")):
            yield case
    for what, content in {"text": b"epoch 1", "JSON": b"{}", "a page": b"<html></html>"}.items():
        yield Case(f"checkpoint/{what}", put(name, content), refused=True)


def random_cuts(name: str, good: bytes) -> Iterator[Case]:
    """Yield a file cut off at some places."""
    for part in (1, 100, len(good) // 2, len(good) - 30):
        yield Case(f"checkpoint/cut after {part} bytes", put(name, good[:part]))


def other_cases() -> Iterator[Case]:
    """Yield every one of them but checkpoints, which need one that resumes."""
    yield from npy_cases()
    yield from json_cases("split", SPLIT)
    yield from json_cases("open_clip", OPEN_CLIP)
    vision = OPEN_CLIP["model_cfg"]
    for part, (what, value) in (
        (part, each) for part in vision["vision_cfg"] for each in VALUES.items()
    ):
        config = vision | {"vision_cfg": vision["vision_cfg"] | {part: value}}
        content = dumped(OPEN_CLIP | {"model_cfg": config})
        yield Case(f"open_clip/{part} of vision_cfg is {what}", put(NAMES["open_clip"], content))
    makes: dict[str, Callable[..., bytes]] = {"golden": golden, "vectors": vectors}
    for kind, make in makes.items():
        name, good = NAMES[kind], make()
        keys = ("embed_dim", "depth", "num_heads") if kind == "golden" else (
            "views", "versions", "weights_sha256")  # fmt: skip
        for key in keys:
            for text in ("", "x", "-1", "0", "9" * 5000, "9" * 400, "1e308", "nan", "[" * 5000,
                         "'" * 999, "[1]", "{}", "None", "null", "(" * 90 + ")" * 90, "1+1",
                         "__import__('os')", "\0", "8000000", "True"):  # fmt: skip
                yield Case(f"{kind}/{key} is {text[:12]!r}", put(name, make(**{key: text})))
        for what, content in tensor_files(good).items():
            yield Case(f"{kind}/{what}", put(name, content), refused=True)
        yield from no_files(kind, name)
        yield from damaged(kind, name, good, 600)
        yield from random_damage(kind, name, good, 600, range(20))
    for what, content in {
        "a word of 10 MB": b"x" * 10_000_000,
        "bytes": bytes(range(256)) * 100,
        "UTF-16": "a\nb".encode("utf-16"),
    }.items():
        yield Case(f"seen/{what}", put(NAMES["seen"], content))
    for kind in ("split", "seen", "open_clip", "transformers"):
        yield from (
            Case(case.name, case.write, None if case.name == "seen/no bytes" else True)
            for case in no_files(kind, NAMES[kind])
        )
    yield Case("golden/a size of 2 TB", partial(write_size, NAMES["golden"]), refused=True)


def write_size(name: str, folder: Path) -> None:
    """Write tensors whose header counts 2 TB."""
    header = b'{"input":{"dtype":"F32","shape":[1,3,400000,400000],"data_offsets":'
    header += b"[0,1920000000000]}}"
    (folder / name).write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 100)
