import csv
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet
import pytest

from clearbench.errors import BadRequest
from clearbench.store.answers import as_csv, as_json, for_screen, write_parquet
from clearbench.store.catalogue.cells import for_arrow


def answer(sql: str) -> pa.Table:
    with duckdb.connect() as connection:
        return for_arrow(connection.sql(sql)).to_arrow_table()


def rows_of_csv(table: pa.Table) -> list[list[str]]:
    return list(csv.reader(io.StringIO("".join(as_csv(table)))))


def rows_of_json(table: pa.Table) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads("".join(as_json(table)), parse_constant=refuse)


def test_csv_and_json_have_the_same_texts() -> None:
    table = answer(
        "SELECT 'infinity'::TIMESTAMP AS t, INTERVAL 1 DAY AS i, [1.5, NULL] AS l, "
        "{'a': 'x'} AS s, TIME '24:00:00' AS m, '\\xFF'::BLOB AS b, "
        "'é\"\n' AS text, true AS yes, NULL AS n"
    )
    names = ["t", "i", "l", "s", "m", "b", "text", "yes", "n"]
    texts = [
        "infinity",
        "1 day",
        "[1.5,null]",
        '{"a":"x"}',
        "24:00:00",
        "\\xFF",
        'é"\n',
        "true",
        "",
    ]
    assert rows_of_csv(table) == [names, texts]
    assert rows_of_json(table) == [
        {"t": "infinity", "i": "1 day", "l": [1.5, None], "s": {"a": "x"}, "m": "24:00:00",
         "b": "\\xFF", "text": 'é"\n', "yes": True, "n": None}
    ]  # fmt: skip


def test_numbers_that_are_not_finite_are_text_in_json() -> None:
    table = answer("SELECT 'nan'::FLOAT AS a, ['inf'::DOUBLE, '-inf'] AS b, 'NaN is a text' AS c")
    assert rows_of_json(table) == [
        {"a": "NaN", "b": ["Infinity", "-Infinity"], "c": "NaN is a text"}
    ]


@pytest.mark.parametrize("rows", [0, 1, 8192, 20_000])
def test_every_row_is_written_once(rows: int) -> None:
    table = answer(f"SELECT range AS n, 'x' || range AS text FROM range({rows})")
    expected = [{"n": n, "text": f"x{n}"} for n in range(rows)]
    assert rows_of_json(table) == expected
    header, *cells = rows_of_csv(table)
    assert header == ["n", "text"]
    assert cells == [[str(row["n"]), row["text"]] for row in expected]


def test_a_long_text_is_cut_on_the_screen_only() -> None:
    table = answer("SELECT repeat('x', 100000) AS a, [repeat('y', 1000)] AS b, sum(1) AS c")
    [row] = for_screen(table)
    assert row["a"] == "x" * 500 + "… (100,000 characters)"
    assert row["b"] == ["y" * 500 + "… (1,000 characters)"]
    assert row["c"] == 1
    assert isinstance(row["c"], int)
    assert len(rows_of_csv(table)[1][0]) == 100_000
    assert len(rows_of_json(table)[0]["a"]) == 100_000


@pytest.mark.parametrize(
    "value",
    [
        "'infinity'::TIMESTAMP",
        "'-infinity'::TIMESTAMPTZ",
        "'infinity'::DATE",
        "['infinity'::TIMESTAMP_S]",
        "{'a': {'b': '-infinity'::TIMESTAMP_MS}}",
        "MAP {'infinity'::DATE: 1}",
        "['infinity'::TIMESTAMP_NS]::TIMESTAMP_NS[1]",
    ],
)
def test_parquet_has_no_date_without_end(value: str, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r'column "v" has a date without end.*::VARCHAR'):
        write_parquet(answer(f"SELECT {value} AS v"), tmp_path / "x.parquet")
    assert not list(tmp_path.iterdir())


def test_parquet_has_what_the_answer_has(tmp_path: Path) -> None:
    table = answer(
        "SELECT DATE '290000-01-01' AS d, INTERVAL 1 DAY AS i, union_value(a := 1) AS u, "
        "MAP {'a': [1]} AS m, TIMETZ '12:00:00+05' AS t, {} AS e, [1, 2]::INT[2] AS l"
    )
    write_parquet(table, tmp_path / "x.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "x.parquet").equals(table)
