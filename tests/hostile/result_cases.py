"""Malformed results: records in JSON, and the predictions next to them."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clearbench.results.record import published_results
from hostile.cases import Case, damaged, no_files, put, random_damage
from hostile.table_cases import written

FOLDER = published_results() / "ct-ich-hemorrhage"
STEM = "efficientnet-lite0-5865fde3--mean-logreg--default"
GOOD = (FOLDER / f"{STEM}.json").read_bytes()
FACTS: dict[str, Any] = json.loads(GOOD)
SECONDS = f'"seconds": {FACTS["seconds"]}'
NAME, TABLE = "bad.json", "bad.predictions.parquet"
VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "-1": -1,
    "2**63": 2**63,
    "4,000 digits": 10**4000,
    "0.5": 0.5,
    "1e308": 1e308,
    "a text": "abc",
    "a blank text": "",
    "a long text": "x" * 100_000,
    "a path": "../../../etc/passwd",
    "codes": "\x1b[31m\x07\u202e\x00",
    "an empty list": [],
    "a list of numbers": [1, 2],
    "a list of lists": [[[]]],
    "a table": {"value": "x"},
    "an empty table": {},
}


def wrong_values() -> Iterator[Case]:
    """Yield a record for every key and every wrong value, and one without the key."""
    for key, (what, value) in product(FACTS, VALUES.items()):
        text = json.dumps(FACTS | {key: value})
        yield Case(f"result/{key} is {what}", put(NAME, text.encode()))
    for key in FACTS:
        text = json.dumps({name: value for name, value in FACTS.items() if name != key})
        yield Case(f"result/no {key}", put(NAME, text.encode()))
    inner = {
        "scores": {"auroc": {"value": 0.5, "low": 0.4, "high": 0.6}},
        "fold_scores": FACTS["fold_scores"][:1],
        "guards": [{"guard": "sides", "alarm": True, "says": "x"}],
        "curve": [
            {"patients": 8, "whole": True, "draws": 1, "value": 0.5, "low": None, "high": None}
        ],
    }
    for key, good in inner.items():
        rows = good["auroc"] if isinstance(good, dict) else good[0]
        for name, (what, value) in product(rows, VALUES.items()):
            row = rows | {name: value}
            changed = {"auroc": row} if isinstance(good, dict) else [row]
            text = json.dumps(FACTS | {key: changed})
            yield Case(f"result/{name} of {key} is {what}", put(NAME, text.encode()))
        for name in rows:
            row = {each: value for each, value in rows.items() if each != name}
            changed = {"auroc": row} if isinstance(good, dict) else [row]
            text = json.dumps(FACTS | {key: changed})
            if name != "strength" and name != "slope":
                yield Case(f"result/no {name} in {key}", put(NAME, text.encode()), refused=True)


def replaced(old: str, new: str) -> str:
    """Return the good record with something else in the place of `old`, which it must have."""
    text = GOOD.decode()
    if old not in text:
        raise ValueError(f"the good record lacks {old}")
    return text.replace(old, new)


def no_results() -> Iterator[Case]:
    """Yield files that are no JSON, and bombs."""
    contents: dict[str, bytes] = {
        "a list": b"[]",
        "a number": b"1",
        "null": b"null",
        "a text": b'"abc"',
        "lists in lists": b"[" * 100_000,
        "closed lists in lists": b"[" * 100_000 + b"]" * 100_000,
        "tables in tables": b'{"a":' * 100_000,
        "deep scores": replaced('"scores": {', '"scores": {"a":' + '{"a":' * 900).encode(),
        "a number of 5,000 digits": replaced('"seeds": 1', f'"seeds": {"9" * 5000}').encode(),
        "NaN": replaced(SECONDS, '"seconds": NaN').encode(),
        "Infinity": replaced(SECONDS, '"seconds": -Infinity').encode(),
        "1e999": replaced(SECONDS, '"seconds": 1e999').encode(),
        "a key twice": replaced('"seeds": 1', '"seeds": 1, "seeds": 2').encode(),
        "a key of scores twice": replaced('"brier": {', '"f1": {').encode(),
        "another key": replaced('"seeds": 1', '"seeds": 1, "sceds": 2').encode(),
        "another schema": replaced('"schema": 4', '"schema": 99').encode(),
        "an older schema": replaced('"schema": 4', '"schema": 3').encode(),
        "half a character": replaced('"outputs"', '"licence": "\\ud800", "outputs"').encode(),
        "half a character in a key": b'{"\\udfff": 1}',
        "UTF-16": GOOD.decode().encode("utf-16"),
        "Latin-1": replaced("Intra", "\xfc").encode("latin-1"),
        "comments": b"// x\n" + GOOD,
        "quotes of Python": str(FACTS).encode(),
        "two records": GOOD + GOOD,
        "NUL": b"\0" * 1000,
        "200,000 keys": json.dumps({f"a{n}": n for n in range(200_000)}).encode(),
    }
    either = ("an older schema",)
    for what, content in contents.items():
        refused = None if what in either else True
        yield Case(f"result/{what}", put(NAME, content), refused)
    mark = b"\xef\xbb\xbf" + GOOD
    yield Case("result/a byte order mark", put(NAME, mark), refused=False)


def good_table() -> pa.Table:
    """Return the predictions of the good result."""
    return pq.read_table(FOLDER / f"{STEM}.predictions.parquet")


def write_both(table: Callable[[], pa.Table] | bytes, folder: Path) -> None:
    """Write the good record, and predictions."""
    (folder / NAME).write_bytes(GOOD)
    content = table if isinstance(table, bytes) else written(table())
    (folder / TABLE).write_bytes(content)


def prediction_cases() -> Iterator[Case]:
    """Yield tables of predictions at fault, next to a good record."""
    good = good_table()
    count = good.num_rows

    def column(name: str, values: Any) -> pa.Table:
        return good.set_column(good.column_names.index(name), name, pa.chunked_array([values]))

    columns: dict[str, dict[str, Callable[[], Any]]] = {
        "score": {
            "not a number": lambda: pa.array([float("nan")] * count),
            "infinite": lambda: pa.array([float("inf")] * count),
            "text": lambda: pa.array(["0.5"] * count),
            "blank": lambda: pa.nulls(count, pa.float64()),
            "lists": lambda: pa.array([[0.5]] * count),
        },
        "truth": {
            "7": lambda: pa.array([7.0] * count),
            "-1": lambda: pa.array([-1.0] * count),
            "infinite": lambda: pa.array([float("inf")] * count),
            "text": lambda: pa.array(["yes"] * count),
            "dates": lambda: pa.array([2**40] * count).view(pa.timestamp("s")),
        },
        "repeat": {
            "-1": lambda: pa.array([-1] * count),
            "2**62": lambda: pa.array([2**62] * count),
            "1e300": lambda: pa.array([1e300] * count),
            "blank": lambda: pa.nulls(count, pa.int64()),
            "text": lambda: pa.array(["0"] * count),
        },
        "draw": {"-1": lambda: pa.array([-1] * count)},
        "label": {
            "another one": lambda: pa.array(["other"] * count),
            "blank": lambda: pa.nulls(count, pa.string()),
            "numbers": lambda: pa.array([1] * count),
        },
        "unit": {
            "one": lambda: pa.array(["p"] * count),
            "blank": lambda: pa.nulls(count, pa.string()),
            "bytes": lambda: pa.array([b"\xff"] * count),
            "numbers": lambda: pa.array(range(count)),
        },
        "patient_id": {"blank": lambda: pa.nulls(count, pa.string())},
    }  # fmt: skip
    for name, several in columns.items():
        for what, make in several.items():
            write = partial(write_both, lambda name=name, make=make: column(name, make()))
            yield Case(f"predictions/{name} is {what}", write, refused=True)
        gone = partial(write_both, lambda name=name: good.drop_columns([name]))
        yield Case(f"predictions/no {name}", gone, refused=True)
    tables: dict[str, Callable[[], pa.Table]] = {
        "no rows": lambda: good.slice(0, 0),
        "rows twice": lambda: pa.concat_tables([good, good]),
        "columns twice": lambda: pa.Table.from_arrays(
            [*good.columns, good.column("score")], [*good.column_names, "score"]
        ),
        "3 million rows": lambda: pa.table(
            {
                name: pa.DictionaryArray.from_arrays(np.zeros(3_000_000, np.int32), pa.array(["a"]))
                for name in good.column_names
            }
        ),
    }
    for what, make in tables.items():
        yield Case(f"predictions/{what}", partial(write_both, make), refused=True)
    for what, make in {
        "half of the rows": lambda: good.slice(0, count // 2),
        "one row": lambda: good.slice(0, 1),
        "one fold": lambda: good.filter(pc.equal(good.column("fold"), 0)),
        "turned round": lambda: good.take(pa.array(range(count)[::-1])),
        "truths of one kind": lambda: column("truth", pa.array([1.0] * count)),
        "unknown truths": lambda: column("truth", pa.nulls(count, pa.float64())),
        "scores of 2": lambda: column("score", pa.array([2.0] * count)),
        "scores of -1e308": lambda: column("score", pa.array([-1e308] * count)),
        "equal scores": lambda: column("score", pa.array([0.5] * count)),
        "other patients": lambda: column("unit", pa.array([f"q{n}" for n in range(count)])),
    }.items():
        yield Case(f"predictions/{what}", partial(write_both, make))
    for case in [
        *no_files("predictions", TABLE),
        *damaged("predictions", TABLE, written(good), 3000),
    ]:
        yield Case(case.name, partial(write_beside, case), case.refused)


def write_beside(case: Case, folder: Path) -> None:
    """Write a good record and a case's predictions."""
    (folder / NAME).write_bytes(GOOD)
    case.write(folder)


def result_cases() -> Iterator[Case]:
    """Yield every malformed result."""
    yield from wrong_values()
    yield from no_results()
    yield from no_files("result", NAME)
    yield from damaged("result", NAME, GOOD, 4000)
    yield from more_damage("result", range(20))
    yield from prediction_cases()


def more_damage(kind: str, seeds: range) -> Iterator[Case]:
    """Yield results with random damage."""
    if kind == "result":
        yield from random_damage(kind, NAME, GOOD, len(GOOD), seeds)
        return
    for case in random_damage(kind, TABLE, written(good_table()), 20_000, seeds):
        yield Case(case.name, partial(write_beside, case))
