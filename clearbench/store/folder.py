"""The store's folder: the paths inside it, and its schema version."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clearbench.errors import BadStore, is_text
from clearbench.files import everything_below, write_whole
from clearbench.rights import (
    GROUP,
    GROUP_READS,
    OWNER_ONLY,
    STORE_FILE,
    is_group_readable,
    readable_by_others,
    set_rights,
)
from clearbench.store.json_files import damaged_json, is_count, read_json

SCHEMA = 1
LARGEST_SCHEMA = 1000
STORE_VARIABLE = "CLEARBENCH_STORE"
# whatever the group may read: with one of these, its members could find out who is who
OWNERS_ALONE = frozenset({"secret.key", "keys.csv", "forgetting.json"})
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
        if not is_text(str(folder.root.absolute())):
            raise BadStore(f"{folder.root}: a name in it isn't UTF-8; name another place")
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


def share(folder: StoreFolder, *, group: bool) -> None:
    """Let the group read a store, or its owner alone; later files have the same rights.

    The secret, the key table and the list of a removal are the owner's always. What links lead to
    is closed too, and never opened, as it may be more than the store's. Raises StorageFull.
    """
    write_schema(folder, read_schema(folder), group=group)
    for path, linked in _everything(folder):
        rights = _rights_of(path, group)
        set_rights(path, rights & path.stat().st_mode if linked else rights)


def find_readable(folder: StoreFolder) -> tuple[Path, ...]:
    """Return the files and folders of a store that others may read, against its setting."""
    group = is_group_readable(folder.root)
    return tuple(
        path for path, _ in _everything(folder) if readable_by_others(path, _rights_of(path, group))
    )


def find_foreign(folder: StoreFolder) -> tuple[Path, ...]:
    """Return the files and folders of a store that belong to another user than its folder does.

    Their owners can read them, whatever their rights are; the superuser can read all anyway.
    """
    known = (0, folder.root.stat().st_uid)
    return tuple(path for path, _ in _everything(folder) if path.stat().st_uid not in known)


def _everything(folder: StoreFolder) -> Iterator[tuple[Path, bool]]:
    """Yield every file and folder of a store, and whether it is behind a link."""
    root = folder.root.resolve()
    for path in [folder.root, *everything_below(folder.root)]:
        if path.exists():  # a draft may be gone meanwhile, and a link may lead to nothing
            yield path, not path.resolve().is_relative_to(root)


def _rights_of(path: Path, group: bool) -> int:
    """Return the rights of a file or folder of a store."""
    return GROUP_READS if group and path.name not in OWNERS_ALONE else OWNER_ONLY


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


def write_schema(folder: StoreFolder, schema: int, *, group: bool | None = None) -> None:
    """Write a store's file: the number of its schema, and whether the group may read the store.

    `group` is None to keep what the file says. Raises StorageFull.
    """
    group = is_group_readable(folder.root) if group is None else group
    # the schema first: a store among scans is known by it
    text = json.dumps({"schema": schema} | ({GROUP: True} if group else {})) + "\n"
    file = folder.root / STORE_FILE
    write_whole(
        file, lambda draft: draft.write_text(text, encoding="utf-8"), private=True, group=group
    )
