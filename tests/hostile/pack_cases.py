"""Malformed packs and bundles of heads: archives, records and arrays."""

import hashlib
import io
import json
import lzma
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from safetensors.numpy import save
from safetensors.torch import save as save_torch

from clearbench.evaluation.heads import presets
from clearbench.evaluation.heads.mean_pool import MeanPoolClassifier
from clearbench.evaluation.heads.mil import MILClassifier
from clearbench.store.folder import SCHEMA
from hostile.cases import Case, damaged, no_files, random_damage
from hostile.result_cases import VALUES
from hostile.table_cases import good_columns, written

PACK, FACTS, ARRAYS = "bad.zip", "bundle.json", "heads.safetensors"
CARD = b"""
title = "T"
version = 1
cohort = "own"
target = "binary"
labels = ["ill"]
"""
FILES: dict[str, bytes] = {
    "NOTICE.txt": b"a notice\n",
    "tasks/t.toml": CARD,
    "store/store.json": json.dumps({"schema": SCHEMA}).encode(),
    "store/cohorts/own.parquet": written(pa.table(good_columns())),
}
PACK_FACTS: dict[str, Any] = {
    "pack": 1,
    "task": "t",
    "task_sha256": "0",
    "made_by": "clearbench",
    "notice": "a notice",
    "cohorts": [{"name": "own", "public": True, "renamed": False, "patients": 6, "scans": 6}],
    "features": [{"encoder": "e", "fingerprint": "f", "scans": 6, "split_sha256": ["s"]}],
    "results": [],
    "left_out": [],
}
DIM = 6


def pack_of(
    files: dict[str, bytes] = FILES, listed: dict[str, bytes] | None = None, **facts: Any
) -> bytes:
    """Return a pack of these files, whose pack.json lists `listed`, or just these files."""
    digests = {n: hashlib.sha256(c).hexdigest() for n, c in (listed or files).items()}
    record = json.dumps(PACK_FACTS | {"files": digests} | facts).encode()
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**files, "pack.json": record}.items():
            archive.writestr(name, content)
    return sink.getvalue()


def raw_pack(
    write: Callable[[zipfile.ZipFile], object], method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """Return an archive that a function fills."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        write(archive)
    return sink.getvalue()


def zeros(archive: zipfile.ZipFile, name: str, mb: int, start: bytes = b"") -> None:
    """Add a file of zeros to an archive."""
    with archive.open(name, "w", force_zip64=True) as file:
        file.write(start)
        for _ in range(mb):
            file.write(b"\0" * 2**20)


def linked(archive: zipfile.ZipFile) -> None:
    """Add a link to an archive."""
    info = zipfile.ZipInfo("store/store.json")
    info.external_attr = 0o120777 << 16
    archive.writestr(info, "/etc/passwd")
    archive.writestr("pack.json", "{}")


def overlapping(times: int) -> bytes:
    """Return an archive whose many entries are one piece of data."""
    data = b"\0" * 2**22
    whole = bytearray(raw_pack(lambda archive: archive.writestr("a", data)))
    start = whole.find(b"PK\x01\x02")
    end = whole.find(b"PK\x05\x06")
    entry = bytes(whole[start:end])
    entries = b"".join(
        entry.replace(b"a", struct.pack("<B", 48 + n % 75), 1) if n else entry for n in range(times)
    )
    tail = bytearray(whole[end:])
    struct.pack_into("<HHII", tail, 8, times, times, len(entries), start)
    return bytes(whole[:start]) + entries + bytes(tail)


def false_size(name: str, size: int) -> bytes:
    """Return a pack of which a file has another size in its list than in truth."""
    whole = bytearray(pack_of())
    at = whole.find(b"PK\x01\x02")
    while whole[at + 46 : at + 46 + len(name)] != name.encode():
        at = whole.find(b"PK\x01\x02", at + 4)
    struct.pack_into("<I", whole, at + 24, size)
    return bytes(whole)


def pack_cases() -> Iterator[Case]:
    """Yield packs at fault."""
    for (key, good), (what, value) in product(PACK_FACTS.items(), VALUES.items()):
        del good
        yield Case(
            f"pack/{key} is {what}",
            lambda folder, key=key, value=value: (folder / PACK).write_bytes(
                pack_of(**{key: value})
            ),
        )
    for name in ("../outside", "/tmp/outside", "a/../../outside", "C:/outside", "a\\..\\outside",
                 "store/../../outside", "x" * 5000, "a/" * 2000 + "b", "store", "store/",
                 "tasks/t.toml/a", "."):  # fmt: skip
        files = {**FILES, name: b"x"}
        yield Case(
            f"pack/a file called {name[:20]}",
            lambda folder, files=files: (folder / PACK).write_bytes(pack_of(files)),
            refused=True,
        )
    for name in ("../../bad", "/etc/x", "t.toml", "T", "none", "a\0b", ""):
        yield Case(
            f"pack/task {name}",
            lambda folder, name=name: (folder / PACK).write_bytes(pack_of(task=name)),
            refused=True,
        )
    makes: dict[str, Callable[[], bytes]] = {
        "pack.json of 300 MB": lambda: raw_pack(lambda a: zeros(a, "pack.json", 300)),
        "300 MB of zeros": lambda: raw_pack(lambda a: (
            zeros(a, "zeros", 300), a.writestr("pack.json", "{}"))),
        "a listed bomb": lambda: pack_of({**FILES, "zeros": b"\0" * (100 * 2**20)}),
        "overlapping entries": lambda: overlapping(60),
        "20,000 files": lambda: raw_pack(lambda a: [
            a.writestr(f"{n}", "") for n in range(20_000)]),
        "a file twice": lambda: twice(),
        "a link": lambda: raw_pack(linked),
        "a pack in a pack": lambda: pack_of({"a.zip": pack_of()}),
        "a file more": lambda: pack_of({**FILES, "more": b""}, FILES),
        "a file less": lambda: pack_of({"tasks/t.toml": CARD}, FILES),
        "a changed file": lambda: pack_of(FILES, {**FILES, "NOTICE.txt": b"other"}),
        "results that it has not": lambda: pack_of(results=["results/a.json"]),
        "results outside": lambda: pack_of(results=["../../a.json"]),
        "no card": lambda: pack_of({k: v for k, v in FILES.items() if "tasks" not in k}),
        "a bad card": lambda: pack_of({**FILES, "tasks/t.toml": b"title = 1"}),
        "no store": lambda: pack_of({k: v for k, v in FILES.items() if "store.json" not in k}),
        "no pack.json": lambda: raw_pack(lambda a: a.writestr("a", "b")),
        "pack.json of lists": lambda: raw_pack(lambda a: a.writestr("pack.json", "[" * 100_000)),
        "pack.json in UTF-16": lambda: raw_pack(
            lambda a: a.writestr("pack.json", json.dumps(PACK_FACTS).encode("utf-16"))),
        "bzip2": lambda: raw_pack(lambda a: a.writestr("pack.json", "{}"), zipfile.ZIP_BZIP2),
        "LZMA, damaged": lambda: raw_pack(
            lambda a: a.writestr("pack.json", "x" * 500), zipfile.ZIP_LZMA
        ).replace(b"\x5d", b"\xff"),
        "locked": lambda: flagged(1),
        "another method": lambda: pack_of().replace(b"\x08\x00", b"\x63\x00"),
        "a size of 4 GB": lambda: false_size("pack.json", 2**32 - 2),
        "a size of 1 byte": lambda: false_size("pack.json", 1),
        "a card's size of 1 byte": lambda: false_size("tasks/t.toml", 1),
        "an end alone": lambda: b"PK\x05\x06" + b"\0" * 18,
        "an end of 65,535 files": lambda: b"PK\x05\x06" + b"\0" * 4 + b"\xff" * 14,
        "tar": lambda: b"pack.json" + b"\0" * 1000,
        "xz": lambda: lzma.compress(b"x" * 1000),
    }  # fmt: skip
    for what, make in makes.items():
        write = lambda folder, make=make: (folder / PACK).write_bytes(make())  # noqa: E731
        yield Case(f"pack/{what}", write, refused=True)
    yield Case("pack/a good one", lambda folder: (folder / PACK).write_bytes(pack_of()), False)
    yield from no_files("pack", PACK)
    good = pack_of()
    yield from damaged("pack", PACK, good, len(good) - 1)
    yield from more_damage("pack", range(20))


def twice() -> bytes:
    """Return a pack with one file there twice."""
    sink = io.BytesIO(pack_of())
    with zipfile.ZipFile(sink, "a") as archive:
        info = zipfile.ZipInfo("NOTICE.tx_")
        archive.writestr(info, "other")
    return sink.getvalue().replace(b"NOTICE.tx_", b"NOTICE.txt")


def flagged(bits: int) -> bytes:
    """Return a pack whose first file has flags, such as 1: encrypted."""
    whole = bytearray(pack_of())
    for sign, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = whole.find(sign)
        while at >= 0:
            whole[at + place] |= bits
            at = whole.find(sign, at + 4)
    return bytes(whole)


@cache
def good_bundle(head: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the facts and arrays of a good bundle."""
    rng = np.random.default_rng(0)
    bags = [rng.normal(size=(3, DIM)).astype(np.float32) for _ in range(24)]
    truth = np.arange(24) % 2
    quick = replace(presets.PRESETS["default"], steps=2, networks=1, passes=0)
    made: Any = MeanPoolClassifier() if head == "mean-logreg" else MILClassifier(head, preset=quick)
    made.fit(bags, truth)
    arrays = {f"0/{name}": np.ascontiguousarray(v) for name, v in made.state_dict().items()}
    arrays |= {"common/mean": np.zeros(DIM), "common/spread": np.ones(DIM)}
    facts = {
        "bundle": 2,
        "task": "t",
        "task_sha256": "0",
        "task_card": {
            "title": "T", "version": 1, "cohort": "own", "target": "binary", "labels": ["ill"],
        },
        "encoder": {
            "name": "e", "fingerprint": "f" * 64, "dim": DIM, "views": ["lung"],
            "precision": "float32", "store_dtype": "float32", "weights_sha256": "w",
        },
        "head": head,
        "preset": "default",
        "head_precision": "float32",
        "outputs": ["ill"],
        "heads": [
            {"repeat": 0, "fold": 0, "seed": 0, "train": 2, "tune": 1, "test": 1, "settings": {}}
        ],
        "thresholds": [0.5],
        "threshold_rule": "a rule",
        "not_scored": [],
        "patients": 24,
        "split_sha256": "s",
        "versions": {},
    }  # fmt: skip
    return facts, arrays


def write_bundle(head: str, arrays: bytes | None, folder: Path, /, **changed: Any) -> None:
    """Write a bundle with some facts changed, and its arrays, or others."""
    facts, good = good_bundle(head)
    content = save(good) if arrays is None else arrays
    digest = {"arrays_sha256": hashlib.sha256(content).hexdigest()}
    (folder / ARRAYS).write_bytes(content)
    (folder / FACTS).write_text(json.dumps(facts | digest | changed))


def bundle_cases() -> Iterator[Case]:
    """Yield bundles at fault."""
    facts, _ = good_bundle("mean-logreg")
    for key, (what, value) in product(facts, VALUES.items()):
        yield Case(
            f"bundle/{key} is {what}",
            lambda folder, key=key, value=value: write_bundle(
                "mean-logreg", None, folder, **{key: value}
            ),
        )
    inner = {key: facts[key] for key in ("task_card", "encoder")} | {"heads": facts["heads"][0]}
    for key, table in inner.items():
        for name, (what, value) in product(table, VALUES.items()):
            row: Any = {**table, name: value}
            row = [row] if key == "heads" else row
            yield Case(
                f"bundle/{name} of {key} is {what}",
                lambda folder, key=key, row=row: write_bundle(
                    "mean-logreg", None, folder, **{key: row}
                ),
            )
    for head in ("mean-logreg", "abmil"):
        yield Case(f"bundle/a good {head}", partial(write_bundle, head, None), refused=False)
        yield from array_cases(head)
    good = save(good_bundle("abmil")[1])
    for what, content in tensor_files(good).items():
        yield Case(f"bundle/{what}", partial(write_bundle, "abmil", content), refused=True)
    for part in (FACTS, ARRAYS):
        for case in no_files("bundle", part):
            yield Case(f"{case.name} as {part}", partial(write_with, case, part), case.refused)
    yield Case("bundle/not its arrays", not_its_own, refused=True)
    yield from more_damage("bundle", range(20))


def array_cases(head: str) -> Iterator[Case]:
    """Yield bundles whose arrays have other types, shapes or values."""
    _, good = good_bundle(head)
    for name, array in good.items():
        large = 2**62 if array.dtype.kind == "i" else np.finfo(array.dtype).max
        others: dict[str, Any] = {
            "gone": None,
            "of no numbers": np.zeros((0, *array.shape[1:]), array.dtype),
            "of one more axis": array[None],
            "flat": np.append(array.ravel(), array.ravel()[:1]),
            "of booleans": array.astype(bool),
            "of int8": array.astype(np.int8),
            "huge": np.full_like(array, large),
            "negative": np.full_like(array, -1),
        }
        if array.dtype.kind == "f":
            others["NaN"] = np.full_like(array, np.nan)
        for what, other in others.items():
            changed = {k: v for k, v in good.items() if k != name}
            if other is not None:
                changed[name] = np.ascontiguousarray(other)
            yield Case(f"bundle/{head}, {name} {what}", partial(write_bundle, head, save(changed)))
    for dtype in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64", "float16"):
        tensors = {
            name: torch.from_numpy(array).to(getattr(torch, dtype)).contiguous()
            for name, array in good.items()
        }
        write = partial(write_bundle, head, save_torch(tensors))
        yield Case(f"bundle/{head} in {dtype}", write, None if dtype == "float16" else True)


def tensor_files(good: bytes) -> dict[str, bytes]:
    """Return safetensors files at fault."""
    size = int.from_bytes(good[:8], "little")

    def header(text: str | bytes, data: bytes = b"\0" * 64) -> bytes:
        raw = text if isinstance(text, bytes) else text.encode()
        return struct.pack("<Q", len(raw)) + raw + data

    def one(shape: str, offsets: str, dtype: str = "F32") -> bytes:
        return header(f'{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}')

    return {
        "no bytes": b"",
        "a length alone": good[:8],
        "a length of 2**63": struct.pack("<Q", 2**63) + good[8:],
        "a length of 2**64 - 1": b"\xff" * 8 + good[8:],
        "a length of 0": struct.pack("<Q", 0) + good[8:],
        "a length of 99 MB": struct.pack("<Q", 99_000_000) + good[8:],
        "a header of lists": header("[" * 50_000),
        "a header of tables": header('{"a":' * 50_000),
        "a header of NUL": header(b"\0" * 100),
        "a header that is no UTF-8": header(b'{"\xff":1}'),
        "a header twice": good[: 8 + size] * 2,
        "overlapping tensors": header(
            '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},'
            '"b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}}'
        ),
        "a hole": header(
            '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},'
            '"b":{"dtype":"F32","shape":[4],"data_offsets":[32,48]}}'
        ),
        "offsets turned round": one("[4]", "[16,0]"),
        "offsets beyond the file": one("[4]", "[0,99999999999]"),
        "negative offsets": one("[4]", "[-16,0]"),
        "a huge shape": one("[4611686018427387904,4]", "[0,64]"),
        "a shape beyond 64 bits": one("[99999999999999999999999]", "[0,64]"),
        "a negative shape": one("[-4,-4]", "[0,64]"),
        "a shape of text": one('["a"]', "[0,64]"),
        "another type": one("[16]", "[0,64]", "PICKLE"),
        "a key twice": header(
            '{"a":{"dtype":"F32","shape":[8],"data_offsets":[0,32]},'
            '"a":{"dtype":"F32","shape":[8],"data_offsets":[32,64]}}'
        ),
        "more at its end": good + b"x" * 100,
        "half of it": good[: len(good) // 2],
    }


def write_with(case: Case, part: str, folder: Path) -> None:
    """Write a good bundle, with one of its files from a case."""
    write_bundle("mean-logreg", None, folder)
    (folder / part).unlink()
    case.write(folder)


def not_its_own(folder: Path) -> None:
    """Write a bundle with another one's arrays."""
    write_bundle("mean-logreg", None, folder)
    (folder / ARRAYS).write_bytes(save(good_bundle("abmil")[1]))


def more_damage(kind: str, seeds: range) -> Iterator[Case]:
    """Yield packs, or arrays of bundles, with random damage."""
    if kind == "pack":
        good = pack_of()
        yield from random_damage(kind, PACK, good, len(good), seeds)
        return
    good = save(good_bundle("abmil")[1])
    for case in random_damage(kind, ARRAYS, good, 1500, seeds):
        yield Case(case.name, partial(signed, case))


def signed(case: Case, folder: Path) -> None:
    """Write damaged arrays with their own sha256: somebody meant it."""
    case.write(folder)
    content = (folder / ARRAYS).read_bytes()
    write_bundle("abmil", content, folder)
