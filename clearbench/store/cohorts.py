"""A store's cohorts: checked copies of cohort tables."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from clearbench.cohort.labels import label_key, update_labels, with_usual_ids
from clearbench.cohort.pseudonyms import refuse_other_secret
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
    """Save a checked cohort in the store; it replaces an earlier one of that name."""
    path = store.cohorts / f"{cohort.name}.parquet"
    write_whole(path, lambda draft: pyarrow.parquet.write_table(cohort.table, draft))
    return path


def load_cohort(store: StoreFolder, name: str) -> Cohort:
    """Return a cohort by name; raises UnknownName with the nearest names, BadStore if damaged."""
    if name not in cohort_names(store):
        has = ", ".join(cohort_names(store)) or "none yet"
        more = f"; {store.root} has {has}. `clearbench cohort add FILE` adds one, and so does embed"
        raise UnknownName.among("cohort", name, cohort_names(store), more)
    path = store.cohorts / f"{name}.parquet"
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise BadStore(f"{path}: damaged ({error}); add the cohort again") from error
    return check_cohort(table, name, path)


def with_table(
    table: pa.Table, name: str, source: Path, store: StoreFolder, *, pad_ids: int = 0
) -> Cohort:
    """Return the cohort of a table, or a stored cohort with the table's labels; nothing is saved.

    A table without paths has labels for a cohort of the store: the one called `name`, else that of
    the column cohort or the file's name, else the only one with these ids. `pad_ids` fills up ids
    of labels with zeros. Raises BadCohort, also for pseudonyms of another store; UnknownName.
    """
    refuse_other_secret(table, source, store.root)
    known = cohort_names(store)
    if "path" in table.column_names or not known:
        return merge_cohort(check_cohort(table, name, source), store)
    wanted = name or stated_name(table, source) or (source.stem if source.stem in known else "")
    cohort = load_cohort(store, wanted or _owner(table, source, store))
    return update_labels(cohort, table, source, pad_ids)


def _owner(labels: pa.Table, source: Path, store: StoreFolder) -> str:
    """Return the name of the only cohort with the ids of these labels; raises BadCohort."""
    labels = with_usual_ids(labels)
    key = label_key(labels, source)
    ids = set(labels.column(key).to_pylist())
    known = cohort_names(store)
    owners = [name for name in known if ids & set(load_cohort(store, name).column(key))]
    if len(owners) == 1:
        return owners[0]
    if owners:
        raise BadCohort(
            f"{source}: several cohorts have its {key} ({', '.join(owners)}); name one: "
            f"`clearbench cohort add {source} --name {owners[0]}`"
        )
    hint = suggestion("path", labels.column_names)
    raise BadCohort(
        f"{source}: no column path{hint}"
        if hint
        else f"{source}: no column path, so these are labels; but no cohort of the store has any "
        f"{key} of this table ({', '.join(known)})"
    )


def merge_cohort(cohort: Cohort, store: StoreFolder) -> Cohort:
    """Return the cohort, completed with scans and columns that only the stored copy has.

    A column that is all blank in the new table keeps its stored values. In other columns of both,
    the new table's cells are used, also blank ones.
    """
    if cohort.name not in cohort_names(store):
        return cohort
    old = load_cohort(store, cohort.name)
    new = cohort.table
    filled = [name for name in new.column_names if new.column(name).null_count < new.num_rows]
    fresh = {row["scan_id"]: row for row in new.select(filled).to_pylist()}
    stored = {row["scan_id"]: row for row in old.table.to_pylist()}
    columns = list(dict.fromkeys([*cohort.table.column_names, *old.table.column_names]))
    rows = [
        {**stored.get(scan, {}), **fresh.get(scan, {})} for scan in dict.fromkeys([*stored, *fresh])
    ]
    table = pa.table(
        {name: pa.array([row.get(name) for row in rows], pa.string()) for name in columns}
    )
    return check_cohort(table, cohort.name, store.cohorts / f"{cohort.name}.parquet")
