"""Index features/, cohorts/ and results/ in catalogue.duckdb, which can be built again.

The file itself is never opened for writing: a draft is a changed copy, and replaces the file. A
damaged file costs only its own rows; the table `damaged` names it.
"""

import os
import shutil
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from clearbench.errors import BadStore, StorageFull
from clearbench.files import disk_refuses, remove, sweep_drafts, write_whole
from clearbench.scans.damage import why
from clearbench.store.catalogue.rows import (
    Rows,
    cohort_rows,
    encoder_row,
    file_row,
    result_rows,
    result_table,
    slice_rows,
)
from clearbench.store.catalogue.schema import CREATE, SCHEMAS
from clearbench.store.cohorts import cohort_names, scans_of_cohort
from clearbench.store.features import FeatureFile, read_file
from clearbench.store.folder import StoreFolder
from clearbench.store.records import (
    EMBED_AGAIN,
    ENCODER_FILE,
    EncoderRecord,
    damaged_records,
    list_records,
    read_run,
)

COPIES_FILES = "*/copies*.parquet"
READERS = 4  # threads; to read and to hash lets others run
AT_ONCE = 500  # feature files whose rows are in memory
Read = TypeVar("Read")


@dataclass(frozen=True)
class IndexedFile:
    """A file in the catalogue, with its size and time when it was read; -1 and 0 if it can't be."""

    path: str
    kind: str
    size: int
    mtime_ns: int


# A row for the tables themselves: a change of their columns makes a new catalogue.
TABLES = IndexedFile("", "tables", zlib.crc32(CREATE.encode()), 0)
Files = dict[str, IndexedFile]


def refresh(store: StoreFolder, *, rebuild: bool = False) -> Path:
    """Bring the catalogue up to date with the store's files; returns its path.

    Only feature files that are new, changed or gone are read; `rebuild` reads all of them. Raises
    BadStore if it can't be written, and isn't up to date; StorageFull.
    """
    now = {file.path: file for file in (TABLES, *indexed_files(store))}
    then = {} if rebuild else _known(store.catalogue)
    if then == now:
        return store.catalogue
    _check_writable(store)
    sweep_drafts(store.root, deep=False)
    try:
        _replace_catalogue(store, now, then)
    except duckdb.Error:
        _replace_catalogue(store, now, {})  # the old one may be damaged
    return store.catalogue


def _check_writable(store: StoreFolder) -> None:
    """Raise BadStore if the catalogue can't be replaced by this user."""
    if store.catalogue.is_dir():
        raise BadStore(f"{store.catalogue}: a folder, where the catalogue belongs; remove it")
    if not os.access(store.root, os.W_OK):
        raise BadStore(
            f"{store.catalogue}: missing, not readable for you, or older than the store's files, "
            f"and you can't write into {store.root}; its owner brings it up to date: clearbench "
            f"store reindex --store {store.root}"
        )


def _replace_catalogue(store: StoreFolder, now: Files, then: Files) -> None:
    """Write the new catalogue; raises StorageFull, or duckdb.Error if the old one is damaged."""
    try:
        write_whole(store.catalogue, lambda draft: _write_draft(draft, store, now, then))
    # a full disk is one of these in DuckDB, not an OSError
    except (duckdb.IOException, duckdb.FatalException) as error:
        if then:
            raise
        raise disk_refuses(store.catalogue, str(error).splitlines()[0]) from error


def ask(store: StoreFolder, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of SQL over an up-to-date catalogue; one that is damaged is made again.

    Raises BadStore if that doesn't help.
    """
    try:
        return _asked(refresh(store), sql)
    except duckdb.Error:
        pass
    try:
        return _asked(refresh(store, rebuild=True), sql)
    except duckdb.Error as error:
        raise BadStore(f"{store.catalogue}: not readable ({why(error)}); remove it") from error


def _asked(catalogue: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of SQL over a catalogue."""
    # DuckDB allows many readers of a file, or one writer
    with duckdb.connect(str(catalogue), read_only=True) as connection:
        rows: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
        return rows


def is_of_catalogue(fault: BaseException) -> bool:
    """Tell whether an error was raised because DuckDB found its own file damaged."""
    return isinstance(fault.__cause__, duckdb.Error) and "Corrupt database" in str(fault.__cause__)


def damaged_files(store: StoreFolder) -> list[str]:
    """Return a sentence for each damaged file of the store, or for its catalogue alone."""
    try:
        rows = ask(store, "SELECT path, reason FROM damaged ORDER BY path")
    except (BadStore, StorageFull) as fault:
        return [str(fault)]
    return [f"{store.root / path}: {reason}" for path, reason in rows]


def indexed_files(store: StoreFolder) -> Iterator[IndexedFile]:
    """Return every file of the store that the catalogue has.

    Features of scans that left their cohort are not among them, nor those of a damaged cohort.
    """
    members = {name: _members(store, name) for name in cohort_names(store)}
    patterns = {
        "features": (store.features, "*/*/*.h5"),
        "encoder": (store.features, f"*/{ENCODER_FILE}"),
        "run": (store.features, "*/runs/*.json"),
        "cohort": (store.cohorts, "*.parquet"),
        "result": (store.results, "*/*.json"),
        "predictions": (store.results, "*/*.predictions.parquet"),
        "attention": (store.results, "*/*.attention.parquet"),
        "copies": (store.results, COPIES_FILES),
    }
    for kind, (folder, pattern) in patterns.items():
        for path in _files(folder, pattern):
            if kind == "features" and path.stem not in members.get(path.parent.name, (path.stem,)):
                continue
            relative = path.relative_to(store.root).as_posix()
            yield IndexedFile(relative, kind, *_size_and_time(path))


def _members(store: StoreFolder, cohort: str) -> frozenset[str]:
    """Return the ids of a cohort's scans; none if it is damaged."""
    try:
        return scans_of_cohort(store, cohort)
    except BadStore:
        return frozenset()


def _size_and_time(path: Path) -> tuple[int, int]:
    """Return a file's size and time; -1 and 0 for what is no file, or can't be read now."""
    try:
        facts = path.stat()
    except OSError:  # a link that leads nowhere
        return -1, 0
    # rights change without the time of the file
    readable = stat.S_ISREG(facts.st_mode) and os.access(path, os.R_OK)
    return (facts.st_size, facts.st_mtime_ns) if readable else (-1, 0)


def _files(folder: Path, pattern: str) -> list[Path]:
    """Return a folder's files in order, without hidden ones (drafts); [] without the folder."""
    found = sorted(folder.glob(pattern)) if folder.is_dir() else []
    return [path for path in found if not path.name.startswith(".")]


def _known(catalogue: Path) -> Files:
    """Return the files in the catalogue; {} if it is missing, damaged or has other tables."""
    if not catalogue.is_file():
        return {}
    try:
        rows = _asked(catalogue, "SELECT path, kind, size, mtime_ns FROM sources")
    except duckdb.Error:
        return {}
    known = {row[0]: IndexedFile(*row) for row in rows}
    return known if TABLES in known.values() else {}


def _write_draft(draft: Path, store: StoreFolder, now: Files, then: Files) -> None:
    """Write the new catalogue, in a folder that only its owner can open.

    DuckDB makes its files, also its log and spilled rows, with rights of its own.
    """
    folder = draft.with_suffix(".tmp.d")  # the name of a draft, so it is swept after a kill
    folder.mkdir(mode=0o700)
    try:
        new = folder / store.catalogue.name
        if then:
            shutil.copyfile(store.catalogue, new)
        with duckdb.connect(str(new)) as connection:
            if not then:
                connection.execute(CREATE)
            connection.execute("BEGIN")
            Fold(connection, store).run(now, then)
            connection.execute("COMMIT")
            connection.execute("CHECKPOINT")  # closing does it too, but hides a failure
        new.chmod(stat.S_IMODE(draft.stat().st_mode))
        new.replace(draft)
    finally:
        remove(folder)


@dataclass(frozen=True)
class Fold:
    """One change of a catalogue; `faults` are the reasons of damaged files, by path."""

    connection: Any
    store: StoreFolder
    faults: dict[str, str] = field(default_factory=dict)

    def run(self, now: Files, then: Files) -> None:
        """Take out old files, and put in new ones."""
        records = records_by_folder(self.store)
        # features are compared with their encoder's record
        again = {
            set_of(path)
            for path in {*now, *then}
            if path.endswith(f"/{ENCODER_FILE}") and now.get(path) != then.get(path)
        }
        changed = [
            path
            for path in {**then, **now}
            if now.get(path) != then.get(path) or set_of(path) in again
        ]
        self._remove_features(changed)
        new = sorted(path for path in changed if path in now and now[path].kind == "features")
        for start in range(0, len(new), AT_ONCE):
            self._insert_features(new[start : start + AT_ONCE], records)
        self.replace_records(now)
        self._replace("sources", [vars(file) for file in now.values()])
        faults = [{"path": path, "reason": reason} for path, reason in self.faults.items()]
        self._insert("damaged", faults)

    def replace_records(self, now: Files) -> None:
        """Replace the rows of everything but features."""
        self._replace_encoders(now)
        self._replace_cohorts()
        self._replace_results()

    def _tried(self, read: Callable[[], Read], path: Path) -> Read | None:
        """Return what a file holds; None if it is damaged, which is noted."""
        try:
            return read()
        except BadStore as fault:
            self._note(path, fault)
            return None

    def _note(self, path: Path, fault: BadStore) -> None:
        """Note why a file is left out."""
        reason = str(fault).removeprefix(f"{path}: ")
        self.faults[path.relative_to(self.store.root).as_posix()] = reason

    def _remove_features(self, paths: list[str]) -> None:
        """Remove feature files that are gone or changed, and all notes of damage on others."""
        self.connection.register("gone", pa.table({"path": pa.array(paths, pa.string())}))
        self.connection.execute(
            # before `files`, which has the ids of these rows
            "DELETE FROM slice_rows "
            "WHERE file_id IN (SELECT file_id FROM files SEMI JOIN gone USING (path))"
        )
        self.connection.execute("DELETE FROM files WHERE path IN (SELECT path FROM gone)")
        self.connection.execute(
            "DELETE FROM damaged WHERE path IN (SELECT path FROM gone) OR path NOT LIKE '%.h5'"
        )
        self.connection.unregister("gone")

    def _insert_features(self, paths: list[str], records: dict[str, EncoderRecord]) -> None:
        """Add new feature files; a damaged one is left out until it is embedded again."""
        known = [path for path in paths if set_of(path) in records]
        owners = [records[set_of(path)] for path in known]
        [[first]] = self.connection.execute(
            "SELECT coalesce(max(file_id), 0) + 1 FROM files"
        ).fetchall()
        files, rows = Rows(), []
        every = read_files(self.store, known, owners)
        for number, (path, owner, found) in enumerate(zip(known, owners, every, strict=True)):
            if isinstance(found, BadStore):
                self._note(self.store.root / path, found)
                continue
            files.append(file_row(first + number, path, found, owner))
            rows.append(slice_rows(first + number, found))
        self._insert("files", files)
        self._insert("slice_rows", rows)

    def _replace_encoders(self, now: Files) -> None:
        """Replace the rows of encoders; note damaged and missing records, and damaged runs."""
        records = records_by_folder(self.store)
        for path, fault in damaged_records(self.store).items():
            self._note(path, fault)
        for folder in {set_of(p) for p, file in now.items() if file.kind == "features"}:
            if folder not in records and f"{folder}/{ENCODER_FILE}" not in self.faults:
                missing = self.store.root / folder / ENCODER_FILE
                self._note(missing, BadStore(f"missing; {EMBED_AGAIN}"))
        for path in (self.store.root / p for p, file in now.items() if file.kind == "run"):
            self._tried(partial(read_run, path), path)
        self._replace("encoders", [encoder_row(each, self.store) for each in records.values()])

    def _replace_cohorts(self) -> None:
        """Replace the rows of every cohort: scans, labels and splits."""
        tables: dict[str, Rows] = {"cohort_scans": [], "labels": [], "splits": []}
        for path in _files(self.store.cohorts, "*.parquet"):
            found = self._tried(partial(cohort_rows, self.store, path.stem), path) or {}
            for table, rows in found.items():
                tables[table] += rows
        for table, rows in tables.items():
            self._replace(table, rows)

    def _replace_results(self) -> None:
        """Replace the rows of every result, of its predictions and attention, and of copies."""
        found = {
            path: self._tried(partial(result_rows, path), path)
            for path in _files(self.store.results, "*/*.json")
        }
        self._replace("results", [row for rows in found.values() for row in rows or ()])
        whole = [path for path, rows in found.items() if rows is not None]
        for table in ("predictions", "attention"):
            files = [path.with_suffix(f".{table}.parquet") for path in whole]
            self._replace(table, self._tables(filter(os.path.lexists, files), SCHEMAS[table]))
        copies = _files(self.store.results, COPIES_FILES)
        self._replace("duplicates", self._tables(copies, SCHEMAS["duplicates"]))

    def _tables(self, paths: Iterable[Path], schema: pa.Schema) -> list[pa.Table]:
        """Return the tables that aren't damaged."""
        parts = (self._tried(partial(result_table, path, schema), path) for path in paths)
        return [part for part in parts if part is not None]

    def _replace(self, table: str, rows: Rows | list[pa.Table]) -> None:
        """Replace a table's rows."""
        self.connection.execute(f"DELETE FROM {table}")
        self._insert(table, rows)

    def _insert(self, table: str, rows: Rows | list[pa.Table]) -> None:
        """Add rows to a table, through Arrow."""
        if not rows:
            return
        more = (
            pa.concat_tables(rows)
            if isinstance(rows[0], pa.Table)
            # with the schema, because a column of only None has no type of its own
            else pa.Table.from_pylist(rows, schema=SCHEMAS[table])
        )
        self.connection.register("more", more)
        self.connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM more")
        self.connection.unregister("more")


def records_by_folder(store: StoreFolder) -> dict[str, EncoderRecord]:
    """Return every encoder's record by the folder of its features, as in the catalogue's paths."""
    return {
        store.encoder(each.name, each.fingerprint).relative_to(store.root).as_posix(): each
        for each in list_records(store)
    }


def set_of(path: str) -> str:
    """Return the folder of the set of features that a file of the store belongs to."""
    return "/".join(path.split("/")[:2])


def read_files(
    store: StoreFolder, paths: Sequence[str], records: Sequence[EncoderRecord | None]
) -> list[FeatureFile | BadStore]:
    """Read feature files in some threads, each with its encoder's record; a damaged one's fault."""

    def read(path: str, record: EncoderRecord | None) -> FeatureFile | BadStore:
        try:
            return read_file(store.root / path, record)
        except BadStore as fault:
            return fault

    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(read, paths, records))
