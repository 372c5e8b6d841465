"""The store's folder: what lies where, and its schema version."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearbench.errors import BadStore
from clearbench.files import write_text

SCHEMA = 1
MARK = "store.json"
STORE_VARIABLE = "CLEARBENCH_STORE"
DEFAULT_STORE = "clearbench-store"


@dataclass(frozen=True)
class StoreFolder:
    """Paths inside one store."""

    root: Path

    @property
    def features(self) -> Path:
        """Where feature files lie: <encoder>-<fp8>/<cohort>/<scan_id>.h5."""
        return self.root / "features"

    @property
    def cohorts(self) -> Path:
        """Where checked cohorts lie: <name>.parquet."""
        return self.root / "cohorts"

    @property
    def results(self) -> Path:
        """Where results lie: <task>/<encoder>-<fp8>--<head>--<preset>.json."""
        return self.root / "results"

    @property
    def catalogue(self) -> Path:
        """The DuckDB index; it can be thrown away."""
        return self.root / "catalogue.duckdb"

    def encoder(self, name: str, fingerprint: str) -> Path:
        """The folder of one encoder's features."""
        return self.features / f"{name}-{fingerprint[:8]}"


def default_store() -> Path:
    """Return $CLEARBENCH_STORE, else ./clearbench-store."""
    return Path(os.environ.get(STORE_VARIABLE) or DEFAULT_STORE)


def open_store(root: Path | str, *, create: bool = False) -> StoreFolder:
    """Open a store, or make one.

    Raises BadStore if there is none, or one of another schema version.
    """
    folder = StoreFolder(Path(root))
    mark = folder.root / MARK
    if not mark.is_file():
        if not create:
            raise BadStore(
                f"{folder.root} is no clearbench store; "
                f"`clearbench embed … --store {folder.root}` makes one"
            )
        if folder.root.exists() and not folder.root.is_dir():
            raise BadStore(f"{folder.root} is a file, not a folder")
        write_text(mark, json.dumps({"schema": SCHEMA}) + "\n")
        return folder
    schema = _schema(mark)
    if schema != SCHEMA:
        raise BadStore(
            f"{folder.root}: schema {schema}, this clearbench reads schema {SCHEMA}; "
            "use the clearbench version that made it, or embed into a new store"
        )
    return folder


def _schema(mark: Path) -> Any:
    """Read the schema version."""
    try:
        return json.loads(mark.read_text())["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadStore(
            f'{mark}: damaged; if this version made the store, write {{"schema": {SCHEMA}}} into it'
        ) from error
