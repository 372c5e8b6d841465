"""Every kind of statement and every function of this DuckDB is judged by a person."""

from pathlib import Path

import duckdb
import pytest

from clearbench.errors import BadQuery
from clearbench.store.catalogue.functions import CALLED, TABLE_FUNCTIONS, known
from clearbench.store.catalogue.judge import REFUSED, judge, one_select

VIEWS = ("scans", "labels")
JUDGED = Path(__file__).with_name("judged_functions.txt")


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect()
    made.execute("ATTACH ':memory:' AS catalogue")
    made.execute("CREATE TABLE catalogue.files (path TEXT)")
    return made


def judged(section: str) -> set[str]:
    """Return the names in a section of the list of judged functions."""
    text = JUDGED.read_text()
    part = text.partition(f"[{section}]\n")[2].partition("[")[0]
    assert part, section
    return set(part.split())


def functions(*, called: bool) -> set[str]:
    """Return the names of DuckDB's functions that an expression can call, or of the others."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT DISTINCT lower(function_name), function_type FROM duckdb_functions()"
        ).fetchall()
    return {name.replace(" ", "_") for name, kind in rows if (kind in CALLED) == called}


def test_every_kind_of_statement_is_judged() -> None:
    """If this fails, DuckDB has a new kind: say in REFUSED why a query can't be one."""
    assert set(duckdb.StatementType.__members__) == {"SELECT", *REFUSED}


def test_every_function_is_judged() -> None:
    """If this fails, DuckDB has new functions: read what they do, and add them to the list."""
    new = functions(called=True) - judged("expressions, accepted") - judged("expressions, refused")
    assert not new, "not judged"
    tables = judged("tables, accepted") | judged("tables and pragmas, refused")
    assert not functions(called=False) - tables, "not judged"


def test_functions_are_accepted_and_refused_as_they_are_judged() -> None:
    refused = {name.replace(" ", "_") for name in known().refused}
    expressions = functions(called=True)
    assert expressions & refused == expressions & judged("expressions, refused")
    assert expressions - refused == expressions & judged("expressions, accepted")
    assert judged("tables, accepted") == set(TABLE_FUNCTIONS)


def test_a_refused_table_function_is_reached_in_no_way(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    for name in judged("tables and pragmas, refused"):
        for statement in (
            f"SELECT * FROM {name}()",
            f"FROM {name.upper()}('catalogue.files')",
            f'SELECT * FROM "{name}"(1, 2, 3) AS t(a)',
            f"SELECT * FROM system.main.{name}()",
            f"SELECT * FROM scans, LATERAL (FROM {name}(scans.site))",
            f"SELECT (SELECT 1 FROM {name}())",
            f"WITH {name}_ AS (FROM {name}()) FROM {name}_",
        ):
            assert not is_let_through(connection, statement), statement


def test_no_keyword_leads_to_an_inner_table(connection: duckdb.DuckDBPyConnection) -> None:
    """Every word of DuckDB's grammar before, between and after what a query may have."""
    words = [
        w for (w,) in connection.execute("SELECT keyword_name FROM duckdb_keywords()").fetchall()
    ]
    assert len(words) > 300
    reached = 0
    for word in words:
        for statement in (
            f"{word} catalogue.files",
            f"{word} TABLE catalogue.files",
            f"{word} SELECT * FROM catalogue.files",
            f"SELECT * FROM {word} catalogue.files",
            f"SELECT * FROM scans {word} catalogue.files",
            f"SELECT * FROM scans {word} JOIN catalogue.files ON true",
            f"SELECT {word} (FROM catalogue.files) FROM scans",
            f"WITH x AS {word} (FROM catalogue.files) FROM x",
            f"FROM scans {word} FROM catalogue.files",
        ):
            if is_let_through(connection, statement):
                # then the name of the inner table is only an alias, or a column
                found = tables_of(connection, statement)
                assert not any("files" in name for name in found), statement
                reached += "scans" in str(found)
    assert reached, "no statement was let through, so nothing was tried"


def is_let_through(connection: duckdb.DuckDBPyConnection, statement: str) -> bool:
    try:
        judge(connection, one_select(connection, statement), VIEWS)
    except (BadQuery, duckdb.ParserException, duckdb.NotImplementedException):
        return False
    return True


def tables_of(connection: duckdb.DuckDBPyConnection, statement: str) -> set[str]:
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS scans (site TEXT)")
    try:
        return set(connection.get_table_names(statement, qualified=True))
    except duckdb.Error:
        return set()
