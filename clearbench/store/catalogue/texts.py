"""What the catalogue holds of patients: the owner of each feature file, and every text."""

from collections.abc import Iterator
from pathlib import Path

import duckdb

from clearbench.errors import BadStore
from clearbench.store.catalogue.fold import ask
from clearbench.store.folder import StoreFolder

PART = 10_000  # rows at once
NAMES = """
SELECT table_name FROM duckdb_tables() UNION ALL SELECT column_name FROM duckdb_columns()
WHERE NOT internal UNION ALL SELECT sql FROM duckdb_views() WHERE NOT internal
UNION ALL SELECT comment FROM duckdb_tables() WHERE comment IS NOT NULL
"""


def owners_of_files(store: StoreFolder) -> dict[Path, str]:
    """Return the patient of every feature file that the catalogue has, by its path."""
    rows = ask(store, "SELECT path, patient_id FROM files")
    return {store.root / path: str(patient) for path, patient in rows}


NUMBERS = ("DOUBLE", "FLOAT", "BOOLEAN")


def database_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield column and text of every different value in a DuckDB file, but those of floats.

    Raises BadStore if it is damaged.
    """
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            connection.execute("SET enable_external_access = false")
            yield from (("name", name) for (name,) in connection.execute(NAMES).fetchall())
            columns = connection.execute(
                "SELECT schema_name, table_name, column_name FROM duckdb_columns() "
                "WHERE NOT internal AND data_type NOT IN ? ORDER BY ALL",
                [list(NUMBERS)],
            ).fetchall()
            for schema, table, column in columns:
                where = f"{_quoted(schema)}.{_quoted(table)}"
                texts = connection.execute(
                    f"SELECT DISTINCT {_quoted(column)}::VARCHAR FROM {where}"
                )
                while rows := texts.fetchmany(PART):
                    yield from ((column, text) for (text,) in rows if text is not None)
    except duckdb.Error as error:
        raise BadStore(f"{path}: not a readable database of DuckDB ({error})") from error


def _quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'
