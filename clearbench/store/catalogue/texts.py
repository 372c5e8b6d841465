"""What the catalogue holds of patients: the owner of each feature file, and every text."""

from collections.abc import Iterator
from pathlib import Path

import duckdb

from clearbench.errors import BadStore
from clearbench.store.catalogue.fold import ask
from clearbench.store.folder import StoreFolder


def owners_of_files(store: StoreFolder) -> dict[Path, str]:
    """Return the patient of every feature file that the catalogue has, by its path."""
    rows = ask(store, "SELECT path, patient_id FROM files")
    return {store.root / path: str(patient) for path, patient in rows}


def catalogue_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield column and text of every different text in a catalogue; raises BadStore if damaged."""
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            columns = connection.execute(
                "SELECT table_name, column_name FROM duckdb_columns() "
                "WHERE NOT internal AND data_type LIKE 'VARCHAR%' ORDER BY ALL"
            ).fetchall()
            for table, column in columns:
                texts = connection.execute(f'SELECT DISTINCT "{column}"::VARCHAR FROM "{table}"')
                yield from ((column, text) for (text,) in texts.fetchall() if text is not None)
    except duckdb.Error as error:
        raise BadStore(f"{path}: not a readable catalogue; remove it") from error
