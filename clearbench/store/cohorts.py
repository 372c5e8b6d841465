"""A store's cohorts: checked copies of cohort tables."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from clearbench.cohort.columns import REQUIRED, columns_of
from clearbench.cohort.labels import label_key, update_labels, with_usual_ids
from clearbench.cohort.pseudonyms import refuse_other_secret
from clearbench.cohort.table import Cohort, check_cohort, stated_name
from clearbench.errors import BadArgument, BadCohort, BadStore, UnknownName, name_some, suggestion
from clearbench.files import write_whole
from clearbench.store.changes import find_changes, rows_by_scan
from clearbench.store.folder import StoreFolder
from clearbench.store.parquet_files import damaged_parquet, read_parquet

ADD_AGAIN = "Remove this file, and add the cohort again"
# ids that nobody else can have: pseudonyms, and UIDs of DICOM
NOBODY_ELSE = re.compile(r"[a-z]+-[0-9a-f]{12}|\d+(\.\d+){4,}")


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


def remove_cohort(store: StoreFolder, name: str) -> None:
    """Remove a cohort's table from the store; its features and results stay."""
    (store.cohorts / f"{name}.parquet").unlink()


def load_cohort(store: StoreFolder, name: str) -> Cohort:
    """Return a cohort by name; raises UnknownName with the nearest names, BadStore if damaged."""
    if name not in cohort_names(store):
        has = ", ".join(cohort_names(store)) or "none yet"
        more = f"; {store.root} has {has}. `clearbench cohort add FILE` adds one, and so does embed"
        raise UnknownName.among("cohort", name, cohort_names(store), more)
    path = store.cohorts / f"{name}.parquet"
    table = stored_table(store, name)
    try:
        return check_cohort(table, name, path)
    except BadCohort as error:
        raise BadStore(f"{error}. {ADD_AGAIN}") from error


def whole_cohorts(store: StoreFolder) -> tuple[list[Cohort], list[str]]:
    """Return the cohorts that can be read, and a sentence for each one that is damaged."""
    cohorts, faults = [], []
    for name in cohort_names(store):
        try:
            cohorts.append(load_cohort(store, name))
        except BadStore as fault:
            faults.append(str(fault))
    return cohorts, faults


def stored_table(store: StoreFolder, name: str, columns: list[str] | None = None) -> pa.Table:
    """Read a stored cohort, or some columns of it; raises BadStore if it is damaged.

    Each column and each scan is there once, all cells are text, and no scan lacks ids or path.
    """
    path = store.cohorts / f"{name}.parquet"
    table = read_parquet(path, ADD_AGAIN, columns)
    names = table.column_names
    wanted = [name for name in REQUIRED if columns is None or name in columns]
    wrong = [name for name in {*wanted, *names} if names.count(name) != 1]
    wrong += [name for name in wanted if not wrong and table.column(name).null_count]
    wrong += [field.name for field in table.schema if not pa.types.is_string(field.type)]
    if wrong:
        raise damaged_parquet(path, f"column {wrong[0]} is not that of a cohort", ADD_AGAIN)
    if "scan_id" in names and pc.count_distinct(table.column("scan_id")).as_py() < table.num_rows:
        raise damaged_parquet(path, "it has a scan twice", ADD_AGAIN)
    return table


def scans_of_cohort(store: StoreFolder, name: str) -> frozenset[str]:
    """Return the ids of a cohort's scans; raises BadStore if it is damaged."""
    return frozenset(stored_table(store, name, ["scan_id"]).column("scan_id").to_pylist())


def with_table(
    table: pa.Table,
    name: str,
    source: Path,
    store: StoreFolder,
    *,
    pad_ids: int = 0,
    replace_rows: bool = False,
) -> Cohort:
    """Return the cohort of a table, or a stored cohort with the table's labels; nothing is saved.

    A table without paths has labels for a cohort of the store: the one called `name`, else that of
    the column cohort or the file's name, else the only one with these ids, if nobody else can have
    them. `pad_ids` fills up ids of labels with zeros; `replace_rows` is that of `merge_cohort`.
    What changes is in `problems`. Raises BadCohort, also for pseudonyms of another store, and for
    ids that may be other people's; UnknownName, BadArgument.
    """
    refuse_other_secret(table, source, store.root)
    known = cohort_names(store)
    wanted = name or stated_name(table, source) or (source.stem if source.stem in known else "")
    if not known or _has_scans(table, wanted in known):
        cohort = _checked(table, name, source, known)
        return merge_cohort(cohort, store, replace_rows=replace_rows)
    if replace_rows:
        reason = (
            f"{source} has no scans of its own (scan_id, patient_id and path), so it has labels "
            "and can't say which scans there are"
        )
        raise BadArgument("replace_rows", True, reason)
    cohort = load_cohort(store, wanted or _owner(table, source, store))
    updated = update_labels(cohort, table, source, pad_ids)
    changes = find_changes(cohort, updated).sentences()
    return replace(updated, problems=(*changes, *updated.problems))


def _has_scans(table: pa.Table, named: bool) -> bool:
    """Tell whether a table has scans of its own, or only labels; `named`: a stored cohort is named.

    A table with paths, under any usual name, has labels only if it lacks ids and names a cohort.
    """
    names = table.column_names
    if not columns_of("path", names):
        return False
    return not named or all(columns_of(role, names) for role in REQUIRED)


def _checked(table: pa.Table, name: str, source: Path, known: Sequence[str]) -> Cohort:
    """Check a table of scans; raises BadCohort, which says how it would be a table of labels."""
    try:
        return check_cohort(table, name, source)
    except BadCohort as error:
        lacks = not all(columns_of(role, table.column_names) for role in REQUIRED)
        if not known or not lacks:
            raise
        raise BadCohort(
            f"{error}. If these are labels of a cohort of the store, name it: "
            f"`clearbench cohort add {source} --name {known[0]}`"
        ) from error


def _owner(labels: pa.Table, source: Path, store: StoreFolder) -> str:
    """Return the name of the only cohort with the ids of these labels.

    Raises BadCohort, also where the ids may be those of other people: 007 is in many hospitals.
    """
    labels = with_usual_ids(labels)
    key = label_key(labels, source)
    ids = set(labels.column(key).to_pylist())
    known = cohort_names(store)
    owners = [name for name in known if ids & set(load_cohort(store, name).column(key))]
    unsure = sorted(name for name in ids if name and not NOBODY_ELSE.fullmatch(name))
    if len(owners) == 1 and unsure:
        raise BadCohort(
            f"{source}: no column path, so these are labels. Cohort {owners[0]} has their {key}, "
            f"but {name_some(unsure)} may be other people too. If they are of that cohort: "
            f"`clearbench cohort add {source} --name {owners[0]}`"
        )
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


def merge_cohort(cohort: Cohort, store: StoreFolder, *, replace_rows: bool = False) -> Cohort:
    """Return the cohort, completed with scans and columns that only the stored copy has.

    A column that is all blank in the new table keeps its stored values. In other columns of both,
    the new table's cells are used, also blank ones; a path that doesn't exist never replaces one
    that does. With `replace_rows`, scans that only the stored copy has leave. `problems` begins
    with what changes.
    """
    if cohort.name not in cohort_names(store):
        return cohort
    old = load_cohort(store, cohort.name)
    new = cohort.table
    filled = [name for name in new.column_names if new.column(name).null_count < new.num_rows]
    fresh = {row["scan_id"]: row for row in new.select(filled).to_pylist()}
    stored = rows_by_scan(old)
    columns = list(dict.fromkeys([*cohort.table.column_names, *old.table.column_names]))
    kept = [scan for scan in stored if scan in fresh or not replace_rows]
    rows = [
        _merged(stored.get(scan, {}), fresh.get(scan, {}))
        for scan in dict.fromkeys([*kept, *fresh])
    ]
    table = pa.table(
        {name: pa.array([row.get(name) for row in rows], pa.string()) for name in columns}
    )
    merged = check_cohort(table, cohort.name, store.cohorts / f"{cohort.name}.parquet")
    changes = find_changes(old, merged, cohort).sentences(replaced=replace_rows)
    problems = dict.fromkeys((*changes, *cohort.reading, *merged.problems))
    return replace(merged, problems=tuple(problems))


def _merged(stored: dict[str, Any], fresh: dict[str, Any]) -> dict[str, Any]:
    """Return a scan's row with the new cells; the stored path stays if only that one exists."""
    row = {**stored, **fresh}
    if stored and fresh and row["path"] != stored["path"]:
        good = Path(stored["path"]).exists() and not Path(row["path"]).exists()
        row["path"] = stored["path"] if good else row["path"]
    return row
