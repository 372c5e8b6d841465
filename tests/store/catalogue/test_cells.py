"""Each type of DuckDB has a way out: as Arrow, and as text that is DuckDB's own."""

import json

import duckdb
import pytest

from clearbench.errors import BadQuery
from clearbench.store.catalogue.cells import as_json_cells, as_text, for_arrow, unique_names
from clearbench.store.catalogue.query import fetch_table
from clearbench.store.folder import StoreFolder

# One value of every type that DuckDB has, with what is hard about it.
VALUES = {
    "ARRAY": "[1, NULL, 3]::INT[3]",
    "BIGINT": "(-9223372036854775807)::BIGINT",
    "BIGNUM": "('9' || repeat('0', 50))::BIGNUM",
    "BIT": "'10101'::BIT",
    "BLOB": "'\\xFF\\x00a'::BLOB",
    "BOOLEAN": "true",
    "DATE": "'290000-12-31'::DATE",
    "DECIMAL": "123456789012345678901234567890.12345678::DECIMAL(38, 8)",
    "DOUBLE": "1e300::DOUBLE",
    "ENUM": "'a'::ENUM('a', 'b')",
    "FLOAT": "'-inf'::FLOAT",
    "GEOMETRY": "'POINT (1 2)'::GEOMETRY",
    "HUGEINT": "99999999999999999999999999999999999999::HUGEINT",
    "INTEGER": "-5::INTEGER",
    "INTERVAL": "INTERVAL '3 months 2 days 00:00:01'",
    "LIST": "[INTERVAL 1 DAY, NULL]",
    "MAP": "MAP {'a': DATE '2020-01-01', 'b': NULL}",
    "NULL": "NULL",
    "SMALLINT": "7::SMALLINT",
    "STRUCT": "{'a': 'infinity'::TIMESTAMP, 'b': [1::UTINYINT]}",
    "TIME": "'24:00:00'::TIME",
    "TIME WITH TIME ZONE": "'12:00:00+05:30'::TIMETZ",
    "TIMESTAMP": "'infinity'::TIMESTAMP",
    "TIMESTAMP WITH TIME ZONE": "'-infinity'::TIMESTAMPTZ",
    "TIMESTAMPTZ_NS": "'2020-01-01 00:00:00.123456789+00'::TIMESTAMPTZ_NS",
    "TIMESTAMP_MS": "'4000-01-01 (BC) 00:00:00'::TIMESTAMP_MS",
    "TIMESTAMP_NS": "'2020-01-01 00:00:00.123456789'::TIMESTAMP_NS",
    "TIMESTAMP_S": "'20000-01-01 00:00:00'::TIMESTAMP_S",
    "TIME_NS": "'12:00:00.123456789'::TIME_NS",
    "TINYINT": "1::TINYINT",
    "TUPLE": "(1, 'a')",
    "TYPE": "get_type(1)",
    "UBIGINT": "18446744073709551615::UBIGINT",
    "UHUGEINT": "5::UHUGEINT",
    "UINTEGER": "5::UINTEGER",
    "UNION": "union_value(a := '101'::BIT)",
    "USMALLINT": "5::USMALLINT",
    "UTINYINT": "5::UTINYINT",
    "UUID": "'01234567-89ab-cdef-0123-456789abcdef'::UUID",
    "VARCHAR": "chr(0) || '\x1b' || chr(8238)",
    "VARIANT": "{'a': 1}::VARIANT",
}
# in these, DuckDB's own text is not that of its Arrow type
OTHER_TEXT = {"TUPLE": "{'element1': 1, 'element2': a}"}


def test_every_type_of_duckdb_is_tried() -> None:
    """If this fails, DuckDB has a new type: add a value of it that is hard to write."""
    with duckdb.connect() as connection:
        rows = connection.execute("SELECT DISTINCT logical_type FROM duckdb_types()").fetchall()
    assert {name for (name,) in rows} <= set(VALUES)


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_keeps_its_text_through_arrow(kind: str) -> None:
    with duckdb.connect() as connection:
        [(text,)] = connection.sql(f"SELECT ({VALUES[kind]})::VARCHAR").fetchall()
        table = for_arrow(connection.sql(f"SELECT {VALUES[kind]} AS v")).to_arrow_table()
        connection.register("shown", as_text(table, nested_as_json=False))
        assert connection.sql("SELECT v::VARCHAR FROM shown").fetchall() == [
            (OTHER_TEXT.get(kind, text),)
        ]
    [cell] = as_json_cells(table).column("v").to_pylist()
    assert json.loads(cell or "null") is not None or kind == "NULL"


def test_a_whole_number_of_39_digits_is_refused_with_the_way_out(store: StoreFolder) -> None:
    with pytest.raises(BadQuery, match=r"more than 38 digits; write it ::VARCHAR"):
        fetch_table(store, "SELECT 170141183460469231731687303715884105727::HUGEINT")
    statement = "SELECT 170141183460469231731687303715884105727::HUGEINT::VARCHAR AS v"
    assert fetch_table(store, statement).to_pylist() == [
        {"v": "170141183460469231731687303715884105727"}
    ]


def test_columns_of_one_name_are_told_apart(store: StoreFolder) -> None:
    table = fetch_table(store, 'SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS "A", 5 AS "sel""ect"')
    assert table.to_pylist() == [{"a": 1, "a_2": 2, "a_1": 3, "A_3": 4, 'sel"ect': 5}]
    assert unique_names(["x", "y"]) == ["x", "y"]


def test_the_order_of_rows_stays(store: StoreFolder) -> None:
    statement = "SELECT range AS a, INTERVAL (range) DAY AS a FROM range(30000) ORDER BY range DESC"
    table = fetch_table(store, statement)
    assert table.column("a").to_pylist() == list(range(29_999, -1, -1))
    assert as_text(table, nested_as_json=True).column("a_1")[0].as_py() == "29999 days"
