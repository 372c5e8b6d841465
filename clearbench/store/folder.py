"""The store's folder: the paths inside it, and its schema version."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from clearbench.errors import BadStore
from clearbench.files import write_text
from clearbench.store.json_files import damaged_json, is_count, read_json

SCHEMA = 1
LARGEST_SCHEMA = 1000
STORE_FILE = "store.json"
STORE_VARIABLE = "CLEARBENCH_STORE"
DEFAULT_STORE = "clearbench-store"


@dataclass(frozen=True)
class StoreFolder:
    """Paths inside one store."""

    root: Path

    @property
    def features(self) -> Path:
        """The folder of feature files: <encoder>-<fp8>/<cohort>/<scan_id>.h5."""
        return self.root / "features"

    @property
    def cohorts(self) -> Path:
        """The folder of checked cohorts: <name>.parquet."""
        return self.root / "cohorts"

    @property
    def results(self) -> Path:
        """The folder of results: <task>/<encoder>-<fp8>--<head>--<preset>.json."""
        return self.root / "results"

    @property
    def catalogue(self) -> Path:
        """The DuckDB index; it may be deleted, and is built again."""
        return self.root / "catalogue.duckdb"

    def encoder(self, name: str, fingerprint: str) -> Path:
        """The folder of one encoder's features."""
        return self.features / f"{name}-{fingerprint[:8]}"


@dataclass(frozen=True)
class ScanKey:
    """The key of a feature file: encoder, cohort and scan."""

    encoder: str
    fingerprint: str
    cohort: str
    scan_id: str

    def path(self, store: StoreFolder) -> Path:
        """Return the path of the file."""
        return store.encoder(self.encoder, self.fingerprint) / self.cohort / f"{self.scan_id}.h5"


def default_store() -> Path:
    """Return $CLEARBENCH_STORE, else ./clearbench-store."""
    return Path(os.environ.get(STORE_VARIABLE) or DEFAULT_STORE)


def open_store(root: Path | str, *, create: bool = False) -> StoreFolder:
    """Open a store, or with `create` make one.

    Raises BadStore if there is none, or it has another schema version.
    """
    folder = StoreFolder(Path(root))
    file = folder.root / STORE_FILE
    if not file.is_file():
        if not create:
            raise BadStore(
                f"{folder.root} isn't a clearbench store; "
                f"`clearbench embed` or `clearbench cohort add`, with --store {folder.root}, "
                "makes one"
            )
        if folder.root.exists() and not folder.root.is_dir():
            raise BadStore(f"{folder.root} is a file, not a folder")
        write_schema(folder, SCHEMA)
        return folder
    schema = read_schema(folder)
    if schema > SCHEMA:
        raise BadStore(
            f"{folder.root}: a newer clearbench made this store (schema {schema}, this version "
            f"reads {SCHEMA}); update clearbench"
        )
    if schema < SCHEMA:
        raise BadStore(
            f"{folder.root}: an older clearbench made this store (schema {schema}, this version "
            f"reads {SCHEMA}); run: clearbench store migrate --store {folder.root} "
            "(features are kept)"
        )
    return folder


def read_schema(folder: StoreFolder) -> int:
    """Return the number of a store's schema; raises BadStore if it isn't a store, or is damaged."""
    file = folder.root / STORE_FILE
    if not file.is_file():
        raise BadStore(f"{folder.root}: not a clearbench store (no {STORE_FILE} in it)")
    way_out = f'if this version made the store, write {{"schema": {SCHEMA}}} into it'
    schema = read_json(file, way_out).get("schema")
    if isinstance(schema, int) and is_count(schema) and schema <= LARGEST_SCHEMA:
        return schema
    raise damaged_json(file, "schema is no small whole number", way_out)


def write_schema(folder: StoreFolder, schema: int) -> None:
    """Write the number of a store's schema; raises StorageFull."""
    write_text(folder.root / STORE_FILE, json.dumps({"schema": schema}) + "\n")
