"""The checked copies of cohorts that a store keeps."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from clearbench.cohort.labels import label_key, update_labels
from clearbench.cohort.table import Cohort, check_cohort, stated_name
from clearbench.errors import BadCohort, BadStore, UnknownName, suggestion
from clearbench.files import write_whole
from clearbench.store.folder import StoreFolder


def cohort_names(store: StoreFolder) -> list[str]:
    """Return the names of the store's cohorts."""
    return (
        sorted(path.stem for path in store.cohorts.glob("*.parquet"))
        if store.cohorts.is_dir()
        else []
    )


def save_cohort(cohort: Cohort, store: StoreFolder) -> Path:
    """Keep a checked copy of a cohort, in place of an earlier one."""
    path = store.cohorts / f"{cohort.name}.parquet"
    write_whole(path, lambda draft: pyarrow.parquet.write_table(cohort.table, draft))
    return path


def load_cohort(store: StoreFolder, name: str) -> Cohort:
    """Return a cohort by name; raises UnknownName with the nearest names."""
    if name not in cohort_names(store):
        more = f" in {store.root}; add it with `clearbench cohort add FILE` or by embedding it"
        raise UnknownName.among("cohort", name, cohort_names(store), more)
    path = store.cohorts / f"{name}.parquet"
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise BadStore(f"{path}: damaged ({error}); add the cohort again") from error
    return check_cohort(table, name, path)


def with_table(table: pa.Table, name: str, source: Path, store: StoreFolder) -> Cohort:
    """Return the cohort that a table makes, or completes with its labels; it is not saved yet.

    A table without paths holds labels of a cohort that the store knows: the one of that name, of
    its cohort column or its file's name, else the only one that has its ids. Raises BadCohort,
    UnknownName.
    """
    known = cohort_names(store)
    if "path" in table.column_names or not known:
        return merge_cohort(check_cohort(table, name, source), store)
    meant = name or stated_name(table, source) or (source.stem if source.stem in known else "")
    owner = load_cohort(store, meant or _owner(table, source, store))
    return update_labels(owner, table, source)


def _owner(labels: pa.Table, source: Path, store: StoreFolder) -> str:
    """Return the one cohort that has the ids of these labels."""
    key = label_key(labels, source)
    ids = set(labels.column(key).to_pylist())
    known = cohort_names(store)
    owners = [name for name in known if ids & set(load_cohort(store, name).column(key))]
    if len(owners) == 1:
        return owners[0]
    if owners:
        raise BadCohort(
            f"{source}: {key} occurs in cohorts {', '.join(owners)}; say whose labels these are: "
            "--name COHORT"
        )
    hint = suggestion("path", labels.column_names)
    raise BadCohort(
        f"{source}: no column path{hint}"
        if hint
        else f"{source}: no column path, so these are labels; but no {key} is in a cohort of the "
        f"store ({', '.join(known)})"
    )


def merge_cohort(cohort: Cohort, store: StoreFolder) -> Cohort:
    """Return the cohort with what the store knew of it and this table doesn't have.

    Scans and columns that only the stored copy has are kept, and so is a column that is blank
    throughout in the new table; where both have a cell, the new table wins, blank or not.
    """
    if cohort.name not in cohort_names(store):
        return cohort
    old = load_cohort(store, cohort.name)
    news = cohort.table
    filled = [name for name in news.column_names if news.column(name).null_count < news.num_rows]
    fresh = {row["scan_id"]: row for row in news.select(filled).to_pylist()}
    stored = {row["scan_id"]: row for row in old.table.to_pylist()}
    columns = list(dict.fromkeys([*cohort.table.column_names, *old.table.column_names]))
    rows = [
        {**stored.get(scan, {}), **fresh.get(scan, {})} for scan in dict.fromkeys([*stored, *fresh])
    ]
    table = pa.table(
        {name: pa.array([row.get(name) for row in rows], pa.string()) for name in columns}
    )
    return check_cohort(table, cohort.name, store.cohorts / f"{cohort.name}.parquet")
