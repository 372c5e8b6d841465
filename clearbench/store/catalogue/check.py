"""Every file that the catalogue is made of, read whole, and the catalogue compared with it."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from clearbench.errors import BadStore
from clearbench.scans.damage import why
from clearbench.store.catalogue.fold import (
    AT_ONCE,
    Fold,
    indexed_files,
    read_files,
    records_by_folder,
    refresh,
    set_of,
)
from clearbench.store.catalogue.rows import file_row, slice_rows
from clearbench.store.catalogue.schema import CREATE, SCHEMAS
from clearbench.store.folder import StoreFolder

OF_FEATURES = ("sources", "damaged", "files", "slice_rows")  # the other tables are of records
REINDEX = "make it again: clearbench store reindex"


@dataclass(frozen=True)
class CheckedFiles:
    """What was found in a store.

    intact: feature files that are as they were written; older: those of them without a seal
    damaged: a sentence for each one that isn't; others: for every other file at fault
    """

    intact: int
    older: int
    damaged: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class _Read:
    """One feature file: its fault, or the digest of its rows in the catalogue, "" for none."""

    fault: str = ""
    digest: str = ""
    sealed: bool = True


def check_files(store: StoreFolder) -> CheckedFiles:
    """Read every feature file, record, cohort and result, and compare the catalogue with them.

    A catalogue that takes a damaged file for whole is made again.
    """
    read = dict(_read_features(store))
    damaged = tuple(one.fault for one in read.values() if one.fault)
    intact = [one for one in read.values() if not one.fault]
    faults, same = _compared(store, read)
    if not same:
        faults, same = _compared(store, read)  # a result may have been written meanwhile
    if not same:
        faults += [f"{store.catalogue}: other than the files of the store; {REINDEX}"]
    older = sum(not one.sealed for one in intact)
    return CheckedFiles(len(intact), older, damaged, tuple(faults))


def _read_features(store: StoreFolder) -> Iterator[tuple[str, _Read]]:
    """Read every feature file, by its path in the store; drafts are left out."""
    records = records_by_folder(store)
    indexed = {file.path for file in indexed_files(store) if set_of(file.path) in records}
    files = [path for path in sorted(store.features.glob("*/*/*.h5")) if path.name[0] != "."]
    paths = [path.relative_to(store.root).as_posix() for path in files]
    for start in range(0, len(paths), AT_ONCE):
        some = paths[start : start + AT_ONCE]
        owners = [records.get(set_of(path)) for path in some]
        for path, owner, one in zip(some, owners, read_files(store, some, owners), strict=True):
            if isinstance(one, BadStore):
                yield path, _Read(str(one))
            elif owner is None or path not in indexed:
                yield path, _Read(sealed=one.sealed)
            else:
                digest = _digest(file_row(0, path, one, owner), slice_rows(0, one))
                yield path, _Read("", digest, one.sealed)


def _digest(row: Mapping[str, Any], slices: pa.Table) -> str:
    """Return a digest of a file's rows in the catalogue, whatever its number there is."""
    # as a table has it: a number there is a float, whether or not JSON has it as one
    [row] = pa.Table.from_pylist([dict(row)], schema=SCHEMAS["files"]).to_pylist()
    found = hashlib.sha256(repr([row[name] for name in _names("files")]).encode())
    for name in _names("slice_rows"):
        found.update(repr(slices.column(name).to_pylist()).encode())
    return found.hexdigest()


def _names(table: str) -> list[str]:
    """Return the columns of a table of the catalogue, without the number of a file."""
    return [name for name in SCHEMAS[table].names if name != "file_id"]


def _compared(store: StoreFolder, read: Mapping[str, _Read]) -> tuple[list[str], bool]:
    """Return the faults of records, and whether the catalogue says the same as all files.

    One that takes a damaged file for whole is made again.
    """
    unreadable, same = [], True
    with duckdb.connect(":memory:") as fresh:
        fresh.execute(CREATE)
        fold = Fold(fresh, store)
        fold.replace_records({file.path: file for file in indexed_files(store)})
        try:
            quoted = str(refresh(store)).replace("'", "''")
            with duckdb.connect(str(store.catalogue), read_only=True) as connection:
                known = dict(_known_digests(connection))
            fresh.execute(f"ATTACH '{quoted}' AS old (READ_ONLY)")
            same = not any(_differs(fresh, table) for table in SCHEMAS if table not in OF_FEATURES)
            same &= _same_features(store, read, known)
            fresh.execute("DETACH old")
            if any(one.fault for path, one in read.items() if path in known):
                refresh(store, rebuild=True)
        except BadStore as fault:
            unreadable = [str(fault)]
        except duckdb.Error as error:
            unreadable = [f"{store.catalogue}: damaged ({why(error)}); {REINDEX}"]
    faults = [f"{store.root / path}: {reason}" for path, reason in sorted(fold.faults.items())]
    return faults + unreadable, same


def _same_features(store: StoreFolder, read: Mapping[str, _Read], known: Mapping[str, str]) -> bool:
    """Tell whether the catalogue has the rows of every whole file, and of no file that is gone."""
    wanted = {path: one.digest for path, one in read.items() if one.digest}
    # a file that was written meanwhile wasn't read
    more = [path for path in known if path not in read and not (store.root / path).exists()]
    return not more and all(known.get(path) == digest for path, digest in wanted.items())


def _known_digests(connection: Any) -> Iterator[tuple[str, str]]:
    """Yield the path of every feature file in the catalogue, and the digest of its rows."""
    rows = connection.sql("SELECT * FROM files ORDER BY file_id").to_arrow_table().to_pylist()
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        between = [some[0]["file_id"], some[-1]["file_id"]]
        slices = connection.sql(
            "SELECT * FROM slice_rows WHERE file_id BETWEEN ? AND ? ORDER BY file_id, row_number",
            params=between,
        ).to_arrow_table()
        numbers = slices.column("file_id").to_numpy()
        for row in some:
            first = int(np.searchsorted(numbers, row["file_id"]))
            last = int(np.searchsorted(numbers, row["file_id"], "right"))
            yield row["path"], _digest(row, slices.slice(first, last - first))


def _differs(fresh: Any, table: str) -> bool:
    """Tell whether a table of the catalogue has other rows than the files say."""
    for one, other in (("old.", "memory."), ("memory.", "old.")):
        rows = f"SELECT * FROM {one}{table} EXCEPT ALL SELECT * FROM {other}{table}"
        if fresh.execute(f"SELECT count(*) FROM ({rows})").fetchone() != (0,):
            return True
    return False
