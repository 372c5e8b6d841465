"""Damaged feature files and records of a store: each damages one good file in its place."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from clearbench.store.features import ScanFeatures, file_image
from clearbench.store.folder import ScanKey
from clearbench.store.records import EncoderRecord
from clearbench.store.seal import SIZE, sealed
from hostile.cases import Case, damaged_bytes

FP = "0123456789abcdef" * 4
RECORD = EncoderRecord("enc", FP, 8, ("lung", "bone"), "float32", "float32", "w" * 64)
ABOUT: Mapping[str, Any] = {
    "fingerprint": FP,
    "views": [{"name": "lung"}, {"name": "bone"}],
    "spacing_mm": [5.0, 0.7, None],
    "facts": {"kernel": "B30f", "kvp": 120.0, "problems": ["odd"]},
}
DEEP = "[" * 100_000
ABSURD = ("", "no JSON", "[]", "null", "7", DEEP, '{"a":' * 100_000, "{" + '"a": 9' * 3, "\0\xff")
KINDS: Mapping[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nowhere": lambda path: path.symlink_to("none"),
    "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "a link to /etc/passwd": lambda path: path.symlink_to("/etc/passwd"),
    "64 GB of nothing": lambda path: (path.touch(), os.truncate(path, 2**36)),
}  # of what a file may be instead


def make_scan(
    scan_id: str, *, cohort: str = "c", encoder: str = "enc", about: object = ABOUT
) -> ScanFeatures:
    """Return the features [3, 2, 8] of a scan."""
    features = np.random.default_rng(len(scan_id)).normal(size=(3, 2, 8)).astype(np.float32)
    return ScanFeatures(
        key=ScanKey(encoder, FP, cohort, scan_id),
        patient_id="p1",
        features=features,
        present=np.ones((3, 2), bool),
        z_mm=np.arange(3, dtype=np.float32),
        slice_index=np.arange(3, dtype=np.int32),
        source_signature="source",
        pixels_signature="pixels",
        about=about,
    )


def file_cases() -> Iterator[Case]:
    """Yield what can be wrong with a feature file; `write` gets its path."""
    yield from bytes_cases()
    yield from dataset_cases()
    yield from array_cases()
    yield from link_cases()
    yield from attribute_cases()
    yield from about_cases()
    yield from place_cases()
    for kind, make in KINDS.items():
        yield Case(f"file/{kind}", partial(replaced, make))


def replaced(make: Callable[[Path], object], path: Path) -> None:
    """Put something else where a file is."""
    path.unlink()
    make(path)


def put(content: bytes) -> Callable[[Path], object]:
    """Return a function that writes a file's bytes."""
    return lambda path: path.write_bytes(content)


def changed(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Return a function that changes a file's bytes."""
    return lambda path: path.write_bytes(change(path.read_bytes()))


def bytes_cases() -> Iterator[Case]:
    """Yield files cut off, overwritten, and with a bit flipped in every region."""
    good = file_image(make_scan("any"))
    for fault, _ in damaged_bytes(good, 2000):
        yield Case(f"bytes/{fault}", partial(damage_like, fault))
    regions = {
        **{"the seal": 20, "the padding of the seal": 300, "the beginning of HDF5": SIZE},
        "features": good.find(make_scan("any").features.tobytes()),
        "about": good.find(b'{"facts"'),
        "a fingerprint": good.find(FP.encode()),
        "the name of a dataset": good.find(b"slice_index"),
        "the last byte": len(good) - 1,
    }
    for region, start in regions.items():
        for bit in (0, 6):
            yield Case(f"bytes/bit {bit} of {region}", changed(partial(flipped, start, bit)))
    for name, content in {
        "a text": b"features\n",
        "a page of HTML": b"<html>403</html>",
        "a zip": b"PK\x03\x04" + b"\0" * 600,
        "nothing but a seal": sealed(b"\0" * SIZE),
        "nothing but HDF5's first bytes": good[SIZE : SIZE + 8],
        "an HDF5 file of another program": other_hdf5(),
    }.items():
        yield Case(f"bytes/{name}", put(content))


def damage_like(fault: str, path: Path) -> None:
    """Damage a file as the case of that name does."""
    path.write_bytes(dict(damaged_bytes(path.read_bytes(), 2000))[fault])


def flipped(start: int, bit: int, content: bytes) -> bytes:
    """Return bytes with one bit flipped."""
    wrong = bytearray(content)
    wrong[start] ^= 1 << bit
    return bytes(wrong)


def other_hdf5() -> bytes:
    """Return an HDF5 file that isn't clearbench's."""
    image = h5py.File("other", "w", driver="core", backing_store=False)
    with image:
        image["weights"] = np.zeros(3)
        image.flush()
        return image.id.get_file_image()


def edited(change: Callable[[h5py.File], object], *, seal: bool = True) -> Callable[[Path], object]:
    """Return a function that edits a file through HDF5, and gives it a seal that is right."""

    def write(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)
        if seal:
            path.write_bytes(sealed(path.read_bytes()))

    return write


def instead(name: str, values: object, **how: object) -> Callable[[Path], object]:
    """Return a function that replaces a dataset."""

    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, data=values, **how)

    return edited(change)


def dataset_cases() -> Iterator[Case]:
    """Yield datasets that are missing, of another type or shape, packed, or not numbers."""
    good = make_scan("any").features
    yield Case("dataset/edited without a seal", edited(lambda f: f.pop("z_mm"), seal=False))
    for name in ("features", "present", "z_mm", "slice_index"):
        yield Case(f"dataset/no {name}", edited(lambda file, name=name: file.pop(name)))
        yield Case(f"dataset/{name} is a group", edited(partial(as_group, name)))
        yield Case(f"dataset/{name} is a text", instead(name, "abc"))
        yield Case(f"dataset/{name} is empty", instead(name, h5py.Empty("f4")))
    for shape in ((48,), (6, 8), (3, 2, 2, 4), (6, 1, 8), (1, 6, 8), (3, 1, 16)):
        yield Case(f"dataset/features of {shape}", instead("features", good.reshape(shape)))
    yield Case("dataset/features of another length", instead("features", good[:, :, :7]))
    for dtype in ("f8", "i4", ">f4", "c8", "f2"):
        yield Case(f"dataset/features as {dtype}", instead("features", good.astype(dtype)))
    for value in (np.nan, np.inf, -np.inf):
        wrong = good.copy()
        wrong[1, 1, 3] = value
        yield Case(f"dataset/{value} in features", instead("features", wrong))
    for how in ({"chunks": (1, 2, 8)}, {"compression": "gzip"}, {"maxshape": (None, 2, 8)},
                {"fletcher32": True, "chunks": True}, {"shuffle": True, "compression": "lzf"},
                {"external": [("/dev/zero", 0, h5py.h5f.UNLIMITED)]}):  # fmt: skip
        yield Case(f"dataset/features with {', '.join(how)}", instead("features", good, **how))
    for shape, how in {(10**9, 2, 8): {}, (10**12, 2, 8): {"chunks": (64, 2, 8)}}.items():
        yield Case(f"dataset/features claim {shape}", edited(partial(claim, shape, how)))


def array_cases() -> Iterator[Case]:
    """Yield small datasets of another type or shape."""
    for name, values in {
        "present": (np.ones((2, 2), bool), np.ones((3, 3), bool), np.ones(6, bool),
                    np.ones((3, 2), np.uint8), np.ones((3, 2), np.float32)),
        "z_mm": (np.zeros(2, np.float32), np.zeros(4, np.float32), np.zeros((3, 1), np.float32),
                 np.zeros(3, np.float64), np.zeros(0, np.float32)),
        "slice_index": (np.zeros(2, np.int32), np.zeros(3, np.int64), np.zeros(3, np.float32)),
    }.items():  # fmt: skip
        for value in values:
            text = f"dataset/{name} of {value.dtype} {value.shape}"
            yield Case(text, instead(name, value))
    for value in (np.zeros((8, 32), np.uint8), np.zeros((8, 32, 32), np.float32)):
        yield Case(f"dataset/a thumbnail of {value.dtype} {value.shape}", edited(
            partial(h5py.File.create_dataset, name="thumbnail", data=value)
        ))  # fmt: skip
    yield Case("dataset/only a histogram", edited(
        lambda file: file.create_dataset("histogram", data=np.zeros(64, np.float32))
    ))  # fmt: skip


def as_group(name: str, file: h5py.File) -> None:
    """Replace a dataset by a group."""
    del file[name]
    file.create_group(name)


def claim(shape: tuple[int, ...], how: Mapping[str, Any], file: h5py.File) -> None:
    """Replace the features by ever so many that were never written."""
    del file["features"]
    file.create_dataset("features", shape=shape, dtype="f4", **how)


def link_cases() -> Iterator[Case]:
    """Yield datasets whose values lie elsewhere."""
    for what, link in {
        "a soft link": h5py.SoftLink("/z_mm"),
        "a soft link to nowhere": h5py.SoftLink("/none"),
        "a soft link to itself": h5py.SoftLink("/features"),
        "an external link": h5py.ExternalLink("good-1.h5", "/features"),
        "an external link to /etc/passwd": h5py.ExternalLink("/etc/passwd", "/features"),
    }.items():
        yield Case(f"link/features are {what}", edited(partial(linked, link)))
    yield Case("link/a virtual dataset", edited(virtual))
    yield Case("link/raw values in /etc/passwd", edited(partial(
        raw, [("/etc/passwd", 0, 3 * 2 * 8 * 4)]
    )))  # fmt: skip


def linked(link: object, file: h5py.File) -> None:
    """Replace the features by a link."""
    del file["features"]
    file["features"] = link


def virtual(file: h5py.File) -> None:
    """Replace the features by those of a neighbour."""
    layout = h5py.VirtualLayout((3, 2, 8), "f4")
    layout[:] = h5py.VirtualSource("good-1.h5", "features", (3, 2, 8), "f4")
    del file["features"]
    file.create_virtual_dataset("features", layout)


def raw(external: list[tuple[str, int, int]], file: h5py.File) -> None:
    """Replace the features by the bytes of another file, without writing into it."""
    del file["features"]
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    for name, start, size in external:
        plist.set_external(name.encode(), start, size)
    space = h5py.h5s.create_simple((3, 2, 8))
    h5py.h5d.create(file.id, b"features", h5py.h5t.NATIVE_FLOAT, space, plist)


def attribute_cases() -> Iterator[Case]:
    """Yield attributes that are missing or of another type."""
    names = ("schema", "encoder", "fingerprint", "cohort", "scan_id", "patient_id", "about",
             "source_signature", "pixels_signature", "sha256")  # fmt: skip
    for name in names:
        yield Case(f"attribute/no {name}", edited(lambda file, name=name: file.attrs.pop(name)))
        for value in (h5py.Empty("f4"), np.zeros((2, 2)), np.float64("nan")):
            what = "empty" if isinstance(value, h5py.Empty) else f"{value!r}".replace("\n", "")
            yield Case(f"attribute/{name} is {what}", edited(partial(attribute, name, value)))
    for schema in (0, 1, 3, -1, 2**31 - 1, "2"):
        yield Case(f"attribute/schema {schema!r}", edited(partial(attribute, "schema", schema)))


def attribute(name: str, value: object, file: h5py.File) -> None:
    """Set an attribute."""
    file.attrs[name] = value


def about_cases() -> Iterator[Case]:
    """Yield texts in `about` that are no JSON, or other JSON than it should be."""
    for text in ABSURD:
        if "\0" not in text:
            what = f"{text[:12]!r} of {len(text)}"
            yield Case(f"about/{what}", edited(partial(attribute, "about", text)))
    wrong: Mapping[str, tuple[object, ...]] = {
        "views": (None, {}, [], "lungbone", [1, 2], [{"name": 1}, {"name": "b"}],
                  [{"name": "lung"}], [{"name": "lung"}] * 2, [{}, {}],
                  [{"name": "a"}, {"name": "b"}, {"name": "c"}],
                  [{"name": "bone"}, {"name": "lung"}]),
        "spacing_mm": (7, [1.0], [1.0, "a", 2.0], [True, 1, 1], {"z": 1}, [10**400, 1, 1]),
        "facts": (None, [], 1, {"kvp": "high"}, {"kvp": [1]}, {"kernel": 1}, {"model": ["a"]},
                  {"problems": "odd"}, {"problems": [1]}, {"kvp": 10**400}, {"kvp": True}),
    }  # fmt: skip
    for key, values in wrong.items():
        for value in values:
            text = json.dumps({**ABOUT, key: value})
            what = json.dumps(value)[:40]
            yield Case(f"about/{key} is {what}", edited(partial(attribute, "about", text)))
    number = json.dumps(dict(ABOUT)).replace("120.0", "9" * 5000)
    yield Case("about/a number of 5,000 digits", edited(partial(attribute, "about", number)))


def place_cases() -> Iterator[Case]:
    """Yield good files that lie where another one belongs."""
    for what, other in {
        "another scan": make_scan("other"),
        "another cohort": make_scan("%", cohort="d"),
        "another encoder": make_scan("%", encoder="enc-b"),
        "another scan of another cohort": make_scan("other", cohort="d"),
    }.items():
        yield Case(f"place/a file of {what}", partial(placed, other))
    yield Case("place/a fingerprint of the same beginning", edited(
        partial(attribute, "fingerprint", FP[:8] + "f" * 56)
    ))  # fmt: skip


def placed(other: ScanFeatures, path: Path) -> None:
    """Write a file of another scan; % stands for the scan's own id."""
    if other.key.scan_id == "%":
        key = ScanKey(other.key.encoder, FP, other.key.cohort, path.stem)
        other = ScanFeatures(**{**vars(other), "key": key})
    path.write_bytes(file_image(other))


def json_cases(good: Mapping[str, Any], wrong: Mapping[str, tuple[object, ...]]) -> Iterator[Case]:
    """Yield what can be wrong with a record in JSON: its text, its keys, their values, its kind."""
    for text in ABSURD:
        content = text.encode("latin-1")
        yield Case(f"{text[:12]!r} of {len(text)}", put(content))
    for key, values in wrong.items():
        if key in good:
            rest = {name: value for name, value in good.items() if name != key}
            yield Case(f"no {key}", put(json.dumps(rest).encode()))
        for value in (*values, [[]], float("nan"), 10**400, -(10**400)):
            text = json.dumps({**good, key: value})
            yield Case(f"{key} is {json.dumps(value)[:40]}", put(text.encode()))
    for kind, make in KINDS.items():
        yield Case(kind, partial(replaced, make))


def encoder_cases(good: Mapping[str, Any]) -> Iterator[Case]:
    """Yield what can be wrong with the record of an encoder."""
    yield from json_cases(
        good,
        {
            "name": ("", "other", 1, None, "\ud800"),
            "fingerprint": ("", "f" * 64, 1),
            "dim": (0, -1, 8.5, "8", True, None),
            "views": ([], "lung", [1], ["lung", "lung"], None),
            "store_dtype": ("float64", None, 1),
            "precision": (None, 1),
            "card": ([], None, "a", {"title": 1}, {"weights": []}, {"weights": {"licence": 1}},
                     {"facts": {"parameters_m": "1"}}, {"facts": 1}, {"input": "a"}),
        },
    )  # fmt: skip
    yield Case("a key more", put(json.dumps({**good, "more": 1}).encode()))


def run_cases(good: Mapping[str, Any]) -> Iterator[Case]:
    """Yield what can be wrong with the record of a run."""
    yield from json_cases(
        good,
        {
            "slices": (-1, 1.5, "9", None, True),
            "seconds": (-1.0, "1", None, float("inf")),
            "device": (1, None),
        },
    )


def result_cases(good: Mapping[str, Any]) -> Iterator[Case]:
    """Yield what can be wrong with a result, as the catalogue reads it."""
    score = {"value": 0.5, "low": 0.1, "high": 0.9}
    wrong: Mapping[str, tuple[object, ...]] = {
        "task": (1, [], "\udc80"),
        "patients": (-1, 1.5, "2", True),
        "forgotten": (-1, "1"),
        "scores": ([], "a", 1, {"auroc": 1}, {"auroc": []}, {"auroc": {"value": 1}},
                   {"auroc": {**score, "value": "high"}}, {"auroc": {**score, "low": [1]}},
                   {"auroc": {**score, "low": 10**400}}),
    }  # fmt: skip
    for text in ABSURD:
        yield Case(f"{text[:12]!r} of {len(text)}", put(text.encode("latin-1")))
    for key, values in wrong.items():
        for value in values:
            text = json.dumps({**good, key: value})
            yield Case(f"{key} is {json.dumps(value)[:40]}", put(text.encode()))
    for kind, make in KINDS.items():
        yield Case(kind, partial(replaced, make))


def parquet_cases(good: pa.Table, column: str) -> Iterator[Case]:
    """Yield what can be wrong with a table; `column` is one that it must have."""
    image = table_bytes(good)
    for fault, content in damaged_bytes(image, len(image) - 20):
        # Parquet has no checksum: a flipped bit may be another value
        if "bit" not in fault and "noise from" not in fault and "more" not in fault:
            yield Case(fault, put(content))
    texts = pa.array(["a"] * good.num_rows)
    index = good.column_names.index(column)
    for what, values in {
        "numbers": pa.array(range(good.num_rows)),
        "far dates": pa.array([2**62] * good.num_rows, pa.timestamp("us")),
        "lists": pa.array([["a"]] * good.num_rows),
        "structs": pa.array([{"a": 1}] * good.num_rows),
        "bytes": pa.array([b"\xff"] * good.num_rows),
    }.items():
        wrong = good.set_column(index, column, values)
        yield Case(f"{column} has {what}", put(table_bytes(wrong)))
    yield Case(f"no {column}", put(table_bytes(good.drop_columns([column]))))
    twice = good.append_column(column, texts)
    yield Case(f"{column} twice", put(table_bytes(twice)))
    yield Case("no columns", put(table_bytes(pa.table({}))))
    yield Case("a CSV file", put(b"scan_id,patient_id,path\na,b,c\n"))
    many = pa.table({column: pa.nulls(30_000_000, pa.null())})
    yield Case("30 million rows of nothing", put(table_bytes(many)))
    for kind, make in KINDS.items():
        yield Case(kind, partial(replaced, make))


def table_bytes(table: pa.Table) -> bytes:
    """Return a table as Parquet."""
    sink = pa.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def secret_cases() -> Iterator[Case]:
    """Yield what can be wrong with the secret."""
    for content in (b"", b"a", b"\0" * 31):
        yield Case(f"{len(content)} bytes", put(content))
    for kind, make in KINDS.items():
        if kind != "a link to /etc/passwd":  # bytes as good as others
            yield Case(kind, partial(replaced, make))


def key_cases() -> Iterator[Case]:
    """Yield what can be wrong with the key table."""
    for what, content in {
        "no text": b"\xff\xfe\x00",
        "other columns": b"id,name\na,b\n",
        "no columns": b"\n\na\n",
        "a cell less": b"pseudonym,identifier\nscan-1\n",
        "a cell more": b"pseudonym,identifier\nscan-1,a,b\n",
        "an open quote": b'pseudonym,identifier\nscan-1,"a\n',
        "a cell of 1 MB": b"pseudonym,identifier\nscan-1," + b"a" * 2**20,
        "half a letter": b"pseudonym,identifier\nscan-1,M\xc3",
    }.items():
        yield Case(what, put(content))
    for kind, make in KINDS.items():
        if kind != "a link to /etc/passwd":
            yield Case(kind, partial(replaced, make))


def catalogue_cases() -> Iterator[Case]:
    """Yield what can be wrong with a catalogue."""
    yield Case("empty", put(b""))
    yield Case("noise", put(np.random.default_rng(0).bytes(50_000)))
    yield Case("an SQLite file", put(b"SQLite format 3\0" + b"\0" * 5000))
    yield Case("half of it", changed(lambda content: content[: len(content) // 2]))
    for start in (8, 40, 4100, 8200, *range(20_000, 1_000_000, 400_000)):
        yield Case(f"a bit of byte {start} flipped", changed(partial(flipped, start, 3)))
    for kind in ("a pipe", "a link to itself", "a link to nowhere", "a link to /dev/zero"):
        yield Case(kind, partial(replaced, KINDS[kind]))
