"""The values of an answer, as Arrow and as text: each type of DuckDB has a way out."""

from collections.abc import Sequence
from itertools import count
from typing import Any

import duckdb
import pyarrow as pa

# Arrow holds these exactly; every other type, also one that a later DuckDB brings, becomes text.
HELD = frozenset(
    {"array", "bigint", "blob", "boolean", "date", "decimal", "double", "enum", "float", "integer"}
    | {"json", "list", "map", "null", "row", "smallint", "struct", "time", "time_ns", "timestamp"}
    | {"timestamp with time zone", "timestamp_ms", "timestamp_ns", "timestamp_s", "timestamptz_ns"}
    | {"tinyint", "tuple", "ubigint", "uinteger", "usmallint", "utinyint", "uuid", "varchar"}
)
# no file is touched, and rows keep their order
ALONE = {"enable_external_access": "false", "temp_directory": "", "threads": "1"}
LONG_NUMBER = "to DECIMAL(38,0)"  # in DuckDB's words if a number is longer
DIGITS = frozenset({"hugeint", "uhugeint"})  # sums are of this type; nearly all fit into 38 digits


def for_arrow(relation: Any) -> Any:
    """Return a relation whose columns have different names, and types that Arrow holds exactly.

    Types that Arrow lacks become text. A number of more than 38 digits fails when it is read.
    """
    names = unique_names(relation.columns)
    ways = [_way(kind) for kind in relation.types]
    if names == relation.columns and not any(ways):
        return relation
    columns = (
        f"#{place}{way} AS {_quoted(name)}"
        for place, (name, way) in enumerate(zip(names, ways, strict=True), start=1)
    )
    return relation.project(", ".join(columns))


def unique_names(names: Sequence[str]) -> list[str]:
    """Return names of which no two are alike, as DuckDB makes them: a, a_1, a_2.

    Capitals make no difference, because they make none in SQL.
    """
    taken = {name.lower() for name in names}
    seen: set[str] = set()
    unique = []
    for name in names:
        if name.lower() in seen:
            new = next(f"{name}_{n}" for n in count(1) if f"{name}_{n}".lower() not in taken)
            taken.add(new.lower())
        else:
            new = name
        seen.add(new.lower())
        unique.append(new)
    return unique


def _way(kind: Any) -> str:
    """Return the cast of a column of this type; "" if Arrow holds it."""
    if kind.id in DIGITS:
        return "::DECIMAL(38, 0)"
    return "" if _held(kind) else "::VARCHAR"


def _held(kind: Any) -> bool:
    """Return True if Arrow holds a type exactly, with all that is inside of it."""
    if str(kind.id) not in HELD:
        return False
    if kind.id not in ("list", "array", "struct", "map", "tuple", "row"):
        return True
    inner = [child for _, child in kind.children if not isinstance(child, int)]
    return bool(inner) and all(_held(child) for child in inner)


def _quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def as_text(table: pa.Table, *, nested_as_json: bool) -> pa.Table:
    """Return a table of numbers, truth values and text: of other types, DuckDB's text.

    So dates far away or without end, times of 24:00 and bytes have a text, which Python's and
    Arrow's own types don't have. Nested values are JSON, or what DuckDB shows.
    """
    expressions = []
    for place, kind in enumerate(table.schema.types):
        nested = pa.types.is_nested(kind) and nested_as_json
        cast = f"to_json(c{place})::VARCHAR" if nested else f"c{place}::VARCHAR"
        expressions.append(f"c{place}" if is_plain(kind) else cast)
    return _selected(table, expressions)


def as_json_cells(table: pa.Table) -> pa.Table:
    """Return a table in which each value is its JSON, and null is null."""
    return _selected(table, [f"to_json(c{n})::VARCHAR" for n in range(table.num_columns)])


def is_plain(kind: pa.DataType) -> bool:
    """Return True for numbers, truth values and text."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
    )


def _selected(table: pa.Table, expressions: Sequence[str]) -> pa.Table:
    """Return what SQL expressions make of the columns c0, c1, …, under the table's names."""
    if not expressions:
        return table
    with duckdb.connect(config=ALONE) as connection:
        connection.execute("SET TimeZone = 'UTC'")  # as Arrow has times with a zone
        numbered = table.rename_columns([f"c{place}" for place in range(table.num_columns)])
        connection.register("answer", numbered)
        made = connection.sql(f"SELECT {', '.join(expressions)} FROM answer").to_arrow_table()
    return made.rename_columns(table.column_names)
