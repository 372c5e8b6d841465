"""Malformed tables: CSV and Parquet of scans, labels and lesions."""

import datetime
import decimal
import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hostile.cases import Case, damaged, no_files, put, random_damage

ROWS = 6
HEAD = "scan_id,patient_id,path,split,ill,age"
LINES = [f"s{n},p{n},s{n}.nii,train,{n % 2},{40 + n}" for n in range(ROWS)]
GOOD = "\n".join([HEAD, *LINES]) + "\n"
CELL = "x" * 300_000
FORMATS = {"csv": "table.csv", "parquet": "table.parquet"}


def good_parquet(**options: Any) -> bytes:
    """Return a good table of scans as Parquet."""
    return as_parquet(good_columns(), **options)


def good_columns() -> dict[str, Any]:
    """Return the columns of a good table of scans."""
    cells = [line.split(",") for line in LINES]
    return {name: [row[k] for row in cells] for k, name in enumerate(HEAD.split(","))}


def as_parquet(columns: dict[str, Any], **options: Any) -> bytes:
    """Return columns as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, **options)
    return sink.getvalue()


def csv_cases() -> Iterator[Case]:
    """Yield CSV tables at fault."""
    name = FORMATS["csv"]
    refused: dict[str, bytes] = {
        "30,000 columns": (",".join(f"c{n}" for n in range(30_000)) + "\n").encode() * 2,
        "30,000 columns in a row": (GOOD + "," * 30_000).encode(),
        "3 million columns": b"a," * 3_000_000 + b"\n",
        "5 million cells in a row": GOOD.encode() + b"," * 5_000_000,
        "no line ends": b"x" * 5_000_000,
        "one cell of 300 kB": GOOD.replace("p0,", f"{CELL},").encode(),
        "one cell of 5 MB": GOOD.replace("p0,", f'"{CELL * 17}",').encode(),
        "a name of 1 kB": GOOD.replace("age", "a" * 1000).encode(),
        "a label of 100 kB": GOOD.replace("40", "x" * 100_000).encode(),
        "one name of 300 kB": GOOD.replace("ill", CELL).encode(),
        "a quote without an end": (GOOD + 's9,"p9,x,train,1,3\n' + GOOD * 1_000).encode(),
        "a quoted cell of many lines": (GOOD + 's9,"' + "\n" * 500_000 + '",x,y,1,1').encode(),
        "quoted lines in one row": GOOD.encode() + b'"a\n",' * 900_000,
        "Latin-1": GOOD.replace("s0.nii", "M\xfcller.nii").encode("latin-1"),
        "UTF-16 without a mark": GOOD.encode("utf-16-le"),
        "UTF-16 cut off": GOOD.encode("utf-16")[:-1],
        "UTF-32": GOOD.encode("utf-32"),
        "a lone surrogate in UTF-16": GOOD.encode("utf-16") + b"\x00\xd8",
        "a surrogate's bytes": GOOD.encode() + b"\xed\xa0\x80,p,x,train,1,1\n",
        "NUL in an id": GOOD.replace("p0", "p\0").encode(),
        "NUL in a path": GOOD.replace("s0.nii", "s\0.nii").encode(),
        "NUL in a name": GOOD.replace("age", "a\0ge").encode(),
        "nothing but NUL": b"\0" * 10_000,
        "nothing but quotes": b'"' * 1_000_001,
        "nothing but line ends": b"\n" * 1_000_000,
        "nothing but commas": b",,,\n" * 100_000,
        "a head alone": HEAD.encode(),
        "a mark alone": b"\xef\xbb\xbf",
        "sep= alone": b"sep=,\n",
        "columns twice": GOOD.replace("age", "ill").encode(),
        "columns twice but for spaces": GOOD.replace("age", " ill ").encode(),
        "a row too short": GOOD.encode() + b"s9,p9\n",
        "a row too long": GOOD.encode() + b"s9,p9,x,train,1,1,1\n",
        "no ids": GOOD.replace("scan_id", "a").replace("patient_id", "b").encode(),
        "an id of 300 letters": GOOD.replace("s0,", "s" * 300 + ",").encode(),
        "an id above its folder": GOOD.replace("s0,", "../../s0,").encode(),
        "an id with codes": GOOD.replace("s0,", "s\x1b[31m\x07\u202e,").encode(),
        "one id twice": (GOOD + "S0,p0,other.nii,train,0,1\n").encode(),
        "a patient on two sides": (GOOD + "s9,p0,other.nii,test,0,1\n").encode(),
        "infinite labels": GOOD.replace("40", "1e999").encode(),
        "an absurd offset": GOOD.replace("age", "hu_offset").replace("40", "1e400").encode(),
        "Excel": b"PK\x03\x04" + b"\0" * 1000,
        "old Excel": b"\xd0\xcf\x11\xe0" + b"\0" * 1000,
        "gzip": b"\x1f\x8b\x08" + bytes(range(256)),
        "Parquet": good_parquet(),
        "HTML": b"<html><table><tr><td>1</td></tr></table></html>\n" * 3,
        "JSON": b'{"scan_id": ["a"]}\n' * 3,
    }  # fmt: skip
    for what, content in refused.items():
        yield Case(f"csv/{what}", put(name, content), refused=True)
    yield Case("csv/1 GB of zeros", lambda folder: holes_in(folder / name, 2**30), refused=True)
    read: dict[str, bytes] = {
        "a byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
        "UTF-16 with a mark": GOOD.encode("utf-16"),
        "UTF-16, big ends first": b"\xfe\xff" + GOOD.encode("utf-16-be"),
        "line ends of Windows": GOOD.replace("\n", "\r\n").encode(),
        "line ends of old Macs": GOOD.replace("\n", "\r").encode(),
        "semicolons": GOOD.replace(",", ";").encode(),
        "tabs": GOOD.replace(",", "\t").encode(),
        "sep=": b"sep=,\n" + GOOD.encode(),
        "quoted line ends": GOOD.replace("s0.nii", '"s\n0.nii"').encode(),
        "100,000 blank lines": GOOD.encode() + b"\n" * 100_000,
        "a longest path": GOOD.replace("s0.nii", "x" * 5000 + ".nii").encode(),
        "a path of codes": GOOD.replace("s0.nii", "\x1b[31m\x07\u202e.nii").encode(),
        "a label of 30 kB": GOOD.replace("40", "x" * 30_000).encode(),
    }
    for what, content in read.items():
        yield Case(f"csv/{what}", put(name, content), refused=False)
    either: dict[str, bytes] = {
        "names in another case": GOOD.replace("scan_id", "Scan ID ").encode(),
        "digits": GOOD.replace("40", "9" * 5000).encode(),
        "letters of all planes": GOOD.replace("ill", "\U0001f600\u0301\u200b").encode(),
        "absurd numbers": GOOD.replace("40", "1e-400").replace("41", "-0x1p9").encode(),
        "labels nan": GOOD.replace("40", "nan").replace("41", "-inf").encode(),
        "days far away": GOOD.replace("age", "day").replace("40", "9" * 400).encode(),
        "dates far away": GOOD.replace("age", "StudyDate").replace("40", "99991231").encode(),
        "no such dates": GOOD.replace("age", "StudyDate").replace("40", "20201399").encode(),
        "hidden signs in a name": GOOD.replace("patient_id", "patient_id\u200b").encode(),
        "key slices": GOOD.replace("age", "key_slices").replace("40", "1 2 " * 20_000).encode(),
        "4,000 columns": "\n".join(
            [HEAD + "".join(f",c{n}" for n in range(4000)), *(x + ",1" * 4000 for x in LINES)]
        ).encode(),
        "a word of a million commas of thousands": GOOD.replace(
            "40", '"' + "1,000" * 6_000 + '"'
        ).encode(),
    }
    for what, content in either.items():
        yield Case(f"csv/{what}", put(name, content))
    for what, suffix in {"tsv": "table.tsv", "txt": "table.txt"}.items():
        yield Case(f"csv/{what} that is Parquet", put(suffix, good_parquet()), refused=True)


def holes_in(path: Path, size: int) -> None:
    """Write a file of zeros that takes no space on the disk."""
    with path.open("wb") as file:
        file.truncate(size)


def odd_columns() -> dict[str, tuple[Any, bool | None]]:
    """Return Arrow columns of odd types, and whether they have to be refused."""
    count = ROWS
    far = pa.array([2**62] * count, pa.int64())
    days = pa.array([2**31 - 1] * count, pa.int32())
    stamp = datetime.datetime(2020, 1, 2, 3, 4, 5)
    return {
        "far dates": (days.cast(pa.date32()), True),
        # new versions of Arrow don't write them, and older ones write other times
        "far times in s": (far.view(pa.timestamp("s")), None),
        "far times in ns": (far.view(pa.timestamp("ns")), None),
        "times before all": (
            pa.array([-(2**62)] * count, pa.int64()).view(pa.timestamp("us")), True,
        ),
        "far times of day": (pa.array([2**40] * count, pa.int64()).view(pa.time64("us")), None),
        "far durations": (far.view(pa.duration("s")), True),
        "a zone": (pa.array([stamp] * count, pa.timestamp("us", "Europe/Berlin")), False),
        "an unknown zone": (pa.array([0] * count, pa.int64()).cast(
            pa.timestamp("us", "Nowhere/At-all")), True),
        "an offset": (pa.array([stamp] * count, pa.timestamp("us", "+05:30")), False),
        "dates": (pa.array([stamp.date()] * count), False),
        "decimals": (pa.array([decimal.Decimal("1.50")] * count), False),
        "wide decimals": (pa.array([decimal.Decimal("9" * 70)] * count), False),
        "a dictionary": (pa.array(["a"] * count).dictionary_encode(), False),
        "a dictionary of dates": (
            pa.DictionaryArray.from_arrays([0] * count, pa.array([2**31 - 1], pa.int32()).cast(
                pa.date32())), True,
        ),
        "texts as bytes": (pa.array([b"yes"] * count), False),
        "bytes": (pa.array([b"\xff\xfe\x00"] * count), True),
        "bytes of one length": (pa.array([b"\xff\x00"] * count, pa.binary(2)), True),
        "lists": (pa.array([[1, 2]] * count), True),
        "structs": (pa.array([{"a": 1}] * count), True),
        "structs of one name twice": (pa.StructArray.from_arrays(
            [pa.array([1] * count), pa.array([2] * count)], ["a", "a"]), True),
        "maps": (pa.array([[("a", 1)]] * count, pa.map_(pa.string(), pa.int64())), True),
        "lists of lists": (pa.array([[[[[[1]]]]]] * count), True),
        "nothing": (pa.nulls(count), False),
        "half floats": (pa.array(np.ones(count, np.float16)), False),
        "not numbers": (pa.array([float("nan")] * count), False),
        "infinite numbers": (pa.array([float("inf")] * count), True),
        "numbers without their last digits": (pa.array([2.0**60] * count), True),
        "64 bits": (pa.array([2**64 - 1] * count, pa.uint64()), False),
        "large texts": (pa.array(["a"] * count, pa.large_string()), False),
        "views of texts": (pa.array(["a"] * count, pa.string_view()), False),
        "truths": (pa.array([True] * count), False),
        "NUL": (pa.array(["a\0b"] * count), True),
        "texts that are not UTF-8": (
            pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(
                np.arange(count + 1, dtype=np.int32).tobytes()), pa.py_buffer(b"\xff" * count)]),
            True,
        ),
        "one cell of 20 MB": (pa.array(["x" * 20_000_000] + ["a"] * (count - 1)), True),
        "UUIDs": (pa.array([b"0123456789abcdef"] * count, pa.uuid()), None),
    }  # fmt: skip


def parquet_cases() -> Iterator[Case]:
    """Yield Parquet tables at fault."""
    name = FORMATS["parquet"]
    for what, (column, refused) in odd_columns().items():
        try:
            content = as_parquet(good_columns() | {"odd": column})
        except (pa.ArrowException, NotImplementedError):
            continue  # this version of Arrow can't write it
        yield Case(f"parquet/{what}", put(name, content), refused)
    for what, column in {"numbers": list(range(ROWS)), "dates": [datetime.date.max] * ROWS}.items():
        content = as_parquet(good_columns() | {"patient_id": column})
        yield Case(f"parquet/ids that are {what}", put(name, content))
    arrays = [pa.array(cells) for cells in good_columns().values()]
    twice = pa.Table.from_arrays([*arrays, arrays[-1]], [*HEAD.split(","), "age"])
    yield Case("parquet/columns twice", put(name, written(twice)), refused=True)
    wide = pa.table(good_columns() | {f"c{n}": pa.nulls(ROWS) for n in range(6000)})
    yield Case("parquet/6,000 columns", put(name, written(wide)), refused=True)
    none = pa.table(good_columns()).slice(0, 0)
    yield Case("parquet/no rows", put(name, written(none)), refused=True)
    yield Case("parquet/no columns", put(name, written(pa.table({}))), refused=True)
    named = pa.table({"scan_id": ["a"], "x" * 100_000: ["b"], "a\0b": ["c"], "\x1b[31m": ["d"]})
    yield Case("parquet/names of columns", put(name, written(named)), refused=True)
    for what, write in bombs().items():
        yield Case(f"parquet/{what}", partial(write_made, name, write), refused=True)
    yield Case("parquet/CSV", put(name, GOOD.encode()), refused=True)
    yield Case("parquet/marks alone", put(name, b"PAR1PAR1"), refused=True)
    footer = b"PAR1" + b"\0" * 100 + b"\xff\xff\xff\x7fPAR1"
    yield Case("parquet/a footer of 2 GB", put(name, footer), refused=True)
    locked = good_parquet()[:-4] + b"PARE"
    yield Case("parquet/locked", put(name, locked), refused=True)


def written(table: pa.Table, **options: Any) -> bytes:
    """Return a table as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def write_made(name: str, make: Callable[[], bytes], folder: Path) -> None:
    """Write a file that takes a while to make."""
    (folder / name).write_bytes(make())


def bombs() -> dict[str, Callable[[], bytes]]:
    """Return small files that would fill the memory."""

    def many_rows(count: int, groups: int, make: Callable[[int], pa.Array]) -> bytes:
        sink = io.BytesIO()
        part = pa.table({name: make(count) for name in ("scan_id", "patient_id", "path")})
        with pq.ParquetWriter(sink, part.schema, compression="zstd") as writer:
            for _ in range(groups):
                writer.write_table(part, row_group_size=count)
        return sink.getvalue()

    def words(count: int) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array(["a"]))

    def long_words(count: int) -> pa.Array:
        return pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(count, np.int32)), pa.array(["x" * 1_000_000])
        )

    def zeros(count: int) -> pa.Array:
        return pa.array(np.zeros(count, np.int64))

    def all_rows(count: int) -> bytes:
        """Return a file whose footer counts more rows than it has."""
        return many_rows(1000, 1, words).replace(b"\xd0\x0f", count.to_bytes(2, "little"))

    return {
        "3 million rows of one word": lambda: many_rows(1_000_000, 3, words),
        "300 GB of one long word": lambda: many_rows(100_000, 1, long_words),
        "3 million zeros": lambda: many_rows(1_000_000, 3, zeros),
        "3 million rows of nothing": lambda: many_rows(1_000_000, 3, pa.nulls),
        "more rows than there are": lambda: all_rows(0x7FFF),
    }


def lesion_cases() -> Iterator[Case]:
    """Yield tables of lesions at fault."""
    head = "scan_id,slice_index,x1,y1,x2,y2"
    for what, row in {
        "infinite": "s1,inf,1,1,2,2",
        "not a number": "s1,nan,1,1,2,2",
        "a half": "s1,1.5,1,1,2,2",
        "huge": "s1,1e300,1,1,2,2",
        "digits": f"s1,{'9' * 5000},1,1,2,2",
        "words": "s1,abc,1,1,2,2",
        "blank": "s1,,,,,",
        "another scan": "s2,1,1,1,2,2",
    }.items():
        yield Case(
            f"lesions/a slice that is {what}",
            put("table.csv", f"{head}\n{row}\n".encode()),
            refused=None if what == "huge" else True,
        )
    for what, box in {
        "infinite": "-inf,-inf,inf,inf",
        "not numbers": "nan,nan,nan,nan",
        "huge": "1e308,1e308,1e309,1e309",
        "turned": "5,5,1,1",
        "words": "a,b,c,d",
    }.items():
        text = f"{head}\ns1,1,{box}\n"
        yield Case(f"lesions/a box that is {what}", put("table.csv", text.encode()), refused=False)
    for column in head.split(","):
        text = f"{head}\ns1,1,1,1,2,2\n".replace(column, "other", 1)
        yield Case(f"lesions/no {column}", put("table.csv", text.encode()), refused=True)


def table_cases() -> Iterator[Case]:
    """Yield every malformed table."""
    yield from csv_cases()
    yield from parquet_cases()
    yield from lesion_cases()
    for kind, name in FORMATS.items():
        good = GOOD.encode() if kind == "csv" else good_parquet()
        yield from no_files(kind, name)
        yield from damaged(kind, name, good, len(good) - 1)
        yield from more_damage(kind, range(20))


def more_damage(kind: str, seeds: range) -> Iterator[Case]:
    """Yield tables with random damage."""
    good = GOOD.encode() if kind == "csv" else good_parquet()
    yield from random_damage(kind, FORMATS[kind], good, len(good), seeds)
