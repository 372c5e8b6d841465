"""The store's folder: what lies where, its schema version, and writing files whole."""

import errno
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearbench.errors import BadStore, StorageFull

SCHEMA = 1
MARK = "store.json"
STORE_VARIABLE = "CLEARBENCH_STORE"
DEFAULT_STORE = "clearbench-store"
DISK_REFUSES = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
)


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
        write_whole(mark, lambda draft: draft.write_text(json.dumps({"schema": SCHEMA}) + "\n"))
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


def draft_of(path: Path) -> Path:
    """Return the name under which `path` is written before it is whole: host and process in it."""
    return path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.tmp")


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a draft in the same folder, flush it to the disk, and rename it.

    Raises StorageFull if the disk refuses; then nothing stays behind.
    """
    draft = draft_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(draft)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        if error.errno in DISK_REFUSES:
            raise disk_refuses(path, str(error.strerror)) from error
        raise
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def disk_refuses(path: Path, why: str) -> StorageFull:
    """Say that a file can't be written, and what to do."""
    return StorageFull(
        f"{path.parent}: the disk refuses to be written ({why}); what was complete stays, "
        "free some space (or allow writing) and run the same command again"
    )


def sweep_drafts(folder: Path, *, deep: bool = True) -> int:
    """Remove drafts that killed processes of this host left in a folder; returns how many."""
    host = socket.gethostname()
    swept = 0
    drafts = (folder.rglob if deep else folder.glob)(".*.tmp*") if folder.is_dir() else ()
    for draft in list(drafts):
        owner, _, process = draft.name.partition(".tmp")[0].rpartition("-")
        if owner.endswith(f".{host}") and process.isdigit() and not _alive(int(process)):
            draft.unlink(missing_ok=True)
            swept += 1
    return swept


def _alive(process: int) -> bool:
    """Tell whether a process of this host runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
