"""Index features/, cohorts/ and results/ in catalogue.duckdb, which can be built again.

The file itself is never opened for writing: a draft is a changed copy, and replaces the file.
"""

import json
import shutil
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from clearbench.bounded import read_text
from clearbench.cohort.columns import is_label
from clearbench.errors import BadStore
from clearbench.files import disk_refuses, remove, sweep_drafts, write_whole
from clearbench.store.catalogue.schema import CREATE, SCHEMAS
from clearbench.store.cohorts import cohort_scans
from clearbench.store.features import FileFacts, read_facts, read_slice_rows
from clearbench.store.folder import StoreFolder
from clearbench.store.records import list_records, measured_rate
from clearbench.store.result_columns import with_cut
from clearbench.technical import FROM_HEADER

COPIES_FILES = "*/copies*.parquet"


@dataclass(frozen=True)
class IndexedFile:
    """A file in the catalogue, with its size and time when it was read."""

    path: str
    kind: str
    size: int
    mtime_ns: int


# A row for the tables themselves: a change of their columns makes a new catalogue.
TABLES = IndexedFile("", "tables", zlib.crc32(CREATE.encode()), 0)


def refresh(store: StoreFolder, *, rebuild: bool = False) -> Path:
    """Bring the catalogue up to date with the store's files; returns its path.

    Only feature files that are new, changed or gone are read; `rebuild` reads all of them.
    """
    now = {file.path: file for file in (TABLES, *_indexed_files(store))}
    then = {} if rebuild else _known(store.catalogue)
    if then == now:
        return store.catalogue
    sweep_drafts(store.root, deep=False)
    try:
        write_whole(store.catalogue, lambda draft: _write_draft(draft, store, now, then))
    # a full disk is one of these in DuckDB, not an OSError
    except (duckdb.IOException, duckdb.FatalException) as error:
        raise disk_refuses(store.catalogue, str(error).splitlines()[0]) from error
    return store.catalogue


def damaged_files(store: StoreFolder) -> list[str]:
    """Return the paths of feature files that can't be read, from an up-to-date catalogue."""
    # DuckDB allows many readers of a file, or one writer
    with duckdb.connect(str(refresh(store)), read_only=True) as connection:
        rows = connection.execute(
            "SELECT path FROM sources ANTI JOIN files USING (path) WHERE kind = 'features' "
            "ORDER BY path"
        ).fetchall()
    return [str(store.root / row[0]) for row in rows]


def _indexed_files(store: StoreFolder) -> Iterator[IndexedFile]:
    """Return every file of the store that the catalogue has.

    Features of scans that left their cohort are not among them.
    """
    members = cohort_scans(store)
    patterns = {
        "features": (store.features, "*/*/*.h5"),
        "encoder": (store.features, "*/encoder.json"),
        "run": (store.features, "*/runs/*.json"),
        "cohort": (store.cohorts, "*.parquet"),
        "result": (store.results, "*/*.json"),
        "predictions": (store.results, "*/*.predictions.parquet"),
        "attention": (store.results, "*/*.attention.parquet"),
        "copies": (store.results, COPIES_FILES),
    }
    for kind, (folder, pattern) in patterns.items():
        for path in _files(folder, pattern):
            cohort = path.parent.name
            if kind == "features" and path.stem not in members.get(cohort, (path.stem,)):
                continue
            facts = path.stat()
            relative = path.relative_to(store.root).as_posix()
            yield IndexedFile(relative, kind, facts.st_size, facts.st_mtime_ns)


def _files(folder: Path, pattern: str) -> list[Path]:
    """Return a folder's files in order, without hidden ones (drafts); [] without the folder."""
    found = sorted(folder.glob(pattern)) if folder.is_dir() else []
    return [path for path in found if not path.name.startswith(".")]


def _known(catalogue: Path) -> dict[str, IndexedFile]:
    """Return the files in the catalogue; {} if it is missing, damaged or has other tables."""
    if not catalogue.is_file():
        return {}
    try:
        with duckdb.connect(str(catalogue), read_only=True) as connection:
            rows = connection.execute("SELECT path, kind, size, mtime_ns FROM sources").fetchall()
    except duckdb.Error:
        return {}
    known = {row[0]: IndexedFile(*row) for row in rows}
    return known if TABLES in known.values() else {}


def _write_draft(
    draft: Path, store: StoreFolder, now: dict[str, IndexedFile], then: dict[str, IndexedFile]
) -> None:
    """Write the new catalogue, in a folder that only its owner can open.

    DuckDB makes its files, also its log and spilled rows, with rights of its own.
    """
    folder = draft.with_suffix(".tmp.d")  # the name of a draft, so it is swept after a kill
    folder.mkdir(mode=0o700)
    try:
        new = folder / store.catalogue.name
        _write(new, store, now, then)
        new.chmod(stat.S_IMODE(draft.stat().st_mode))
        new.replace(draft)
    finally:
        remove(folder)


def _write(
    draft: Path, store: StoreFolder, now: dict[str, IndexedFile], then: dict[str, IndexedFile]
) -> None:
    """Write the new catalogue: a copy of the old one, without old files and with new ones."""
    if then:
        shutil.copyfile(store.catalogue, draft)
    with duckdb.connect(str(draft)) as connection:
        if not then:
            connection.execute(CREATE)
        added = [file for path, file in now.items() if then.get(path) != file]
        removed = [path for path, file in then.items() if now.get(path) != file]
        connection.execute("BEGIN")
        _remove_features(connection, removed)
        _insert_features(connection, store, [f.path for f in added if f.kind == "features"])
        _replace(connection, "encoders", _encoder_rows(store))
        _replace_cohorts(connection, store)
        _replace_results(connection, store)
        _replace_copies(connection, store)
        _replace(connection, "sources", [vars(file) for file in now.values()])
        connection.execute("COMMIT")
        connection.execute("CHECKPOINT")  # closing does it too, but hides a failure


def _remove_features(connection: Any, paths: list[str]) -> None:
    """Remove feature files that are gone or changed."""
    gone = pa.table({"path": pa.array(paths, pa.string())})
    connection.register("gone", gone)
    connection.execute(
        # before `files`, which has the ids of these rows
        "DELETE FROM slice_rows "
        "WHERE file_id IN (SELECT file_id FROM files SEMI JOIN gone USING (path))"
    )
    connection.execute("DELETE FROM files WHERE path IN (SELECT path FROM gone)")
    connection.unregister("gone")


def _insert_features(connection: Any, store: StoreFolder, paths: list[str]) -> None:
    """Add the new feature files; one that can't be read is left out until it is embedded again."""
    [[first]] = connection.execute("SELECT coalesce(max(file_id), 0) + 1 FROM files").fetchall()
    files, rows = [], []
    for number, path in enumerate(paths, start=first):
        try:
            facts = read_facts(store.root / path)
            rows.append(_slice_rows(number, store.root / path, facts))
        except BadStore:
            continue
        files.append(_file_row(number, path, facts))
    _insert(connection, "files", files)
    if rows:
        connection.register("more", pa.concat_tables(rows))
        connection.execute("INSERT INTO slice_rows BY NAME SELECT * FROM more")
        connection.unregister("more")


def _file_row(number: int, path: str, facts: FileFacts) -> dict[str, Any]:
    """Return one feature file as a row."""
    about = facts.about
    encoder, cohort, name = Path(path).parts[-3:]
    spacing = about.get("spacing_mm") or [None] * 3
    technical = about.get("facts", {})
    return {
        "file_id": number, "path": path, "start": facts.offset, "dtype": facts.dtype,
        "encoder": encoder.rpartition("-")[0], "fingerprint": about.get("fingerprint", ""),
        "cohort": cohort, "scan_id": name.removesuffix(".h5"), "patient_id": facts.patient_id,
        "n_slices": facts.shape[0], "n_views": facts.shape[1], "dim": facts.shape[2],
        "spacing_z_mm": spacing[0], "spacing_y_mm": spacing[1], "spacing_x_mm": spacing[2],
        **{column.name: technical.get(column.name) for column in FROM_HEADER},
        "problems": "; ".join(technical.get("problems", [])),
    }  # fmt: skip


def _slice_rows(number: int, path: Path, facts: FileFacts) -> pa.Table:
    """Return a row per slice and view of a file, in the features' order, with absent ones."""
    rows = read_slice_rows(path)
    count, views = rows.present.shape
    names = [view["name"] for view in facts.about["views"]]
    return pa.table(
        {
            "file_id": pa.array(np.full(count * views, number, np.int64)),
            "row_number": pa.array(np.arange(count * views, dtype=np.int32)),
            "slice_index": pa.array(np.repeat(rows.slice_index, views)),
            "view": pa.array(names * count),
            # NULL where unknown, because SQL sorts NaN above all numbers
            "z_mm": pa.array(
                np.repeat(rows.z_mm, views), mask=np.isnan(np.repeat(rows.z_mm, views))
            ),
            "present": pa.array(rows.present.reshape(-1)),
        }
    )


def _encoder_rows(store: StoreFolder) -> list[dict[str, Any]]:
    """Return a row per encoder with features in the store."""
    return [
        {
            "encoder": record.name,
            "fingerprint": record.fingerprint,
            "title": record.card.get("title"),
            "family": record.card.get("family"),
            "dim": record.dim,
            "pooling": record.card.get("pooling"),
            "views": list(record.views),
            "precision": record.precision,
            "store_dtype": record.store_dtype,
            "weights_sha256": record.weights_sha256,
            "licence": record.card.get("weights", {}).get("licence"),
            "parameters_m": record.card.get("facts", {}).get("parameters_m"),
            "slices_per_s": measured_rate(record, store),
        }
        for record in list_records(store)
    ]


def _replace_cohorts(connection: Any, store: StoreFolder) -> None:
    """Replace the rows of every cohort: scans, labels (one row each) and splits."""
    scans: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    splits: list[dict[str, Any]] = []
    for path in _files(store.cohorts, "*.parquet"):
        for row in _read_parquet(path).to_pylist():
            owner = {
                "cohort": path.stem,
                "scan_id": row["scan_id"],
                "patient_id": row["patient_id"],
            }
            scans.append(
                {
                    **owner,
                    **{
                        name: row.get(name)
                        for name in SCHEMAS["cohort_scans"].names
                        if name not in owner
                    },
                }
            )
            labels += [
                {**owner, "label": k, "value": v}
                for k, v in row.items()
                if is_label(k) and v is not None
            ]
            splits += [{**owner, "split": row["split"]}] if row.get("split") else []
    for table, rows in (("cohort_scans", scans), ("labels", labels), ("splits", splits)):
        _replace(connection, table, rows)


def _replace_results(connection: Any, store: StoreFolder) -> None:
    """Replace the rows of every result, its predictions and its attention."""
    results = _files(store.results, "*/*.json")
    _replace(connection, "results", [row for path in results for row in _result_rows(path)])
    for table in ("predictions", "attention"):
        files = [path.with_suffix(f".{table}.parquet") for path in results]
        parts = [_read_result(path, SCHEMAS[table]) for path in files if path.is_file()]
        connection.execute(f"DELETE FROM {table}")
        if parts:
            connection.register("more", pa.concat_tables(parts))
            connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM more")
            connection.unregister("more")


def _replace_copies(connection: Any, store: StoreFolder) -> None:
    """Replace the rows of scans that are stored under two patients' ids."""
    rows = []
    for path in _files(store.results, COPIES_FILES):
        rows += _read_parquet(path).select(SCHEMAS["duplicates"].names).to_pylist()
    _replace(connection, "duplicates", rows)


def _read_result(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a table of a result, in the columns of SQL."""
    table = with_cut(_read_parquet(path))
    try:
        table = table.filter(pc.equal(table.column("draw"), 0))  # heads of all training patients
        return table.select(schema.names).cast(schema)
    except (KeyError, ValueError, pa.ArrowException) as error:
        raise BadStore(
            f"{path}: columns of another version ({', '.join(table.column_names)}); evaluate again"
        ) from error


def _read_parquet(path: Path) -> pa.Table:
    """Read a table that clearbench wrote; raises BadStore if it is damaged."""
    try:
        return pyarrow.parquet.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise BadStore(f"{path}: damaged ({error}); remove it and make it again") from error


def _result_rows(path: Path) -> list[dict[str, Any]]:
    """Return a row per metric of a result file; raises BadStore if it is damaged."""
    try:
        result = json.loads(read_text(path))
        return _metric_rows(result)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadStore(f"{path}: damaged ({error}); remove it and evaluate again") from error


def _metric_rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row per metric of a result."""
    facts = {
        name: result.get(name)
        for name in ("task", "encoder", "fingerprint", "head", "preset", "created")
    }
    return [
        {
            **facts,
            "metric": name,
            "value": score["value"],
            "low": score["low"],
            "high": score["high"],
            "patients": result.get("patients"),
            "forgotten": result.get("forgotten", 0),
        }
        for name, score in result.get("scores", {}).items()
    ]


def _replace(connection: Any, table: str, rows: list[dict[str, Any]]) -> None:
    """Replace a table's rows."""
    connection.execute(f"DELETE FROM {table}")
    _insert(connection, table, rows)


def _insert(connection: Any, table: str, rows: list[dict[str, Any]]) -> None:
    """Add rows to a table, through Arrow."""
    if rows:
        # with the schema, because a column of only None has no type of its own
        connection.register("more", pa.Table.from_pylist(rows, schema=SCHEMAS[table]))
        connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM more")
        connection.unregister("more")
