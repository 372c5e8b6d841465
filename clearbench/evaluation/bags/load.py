"""Bags: all features of one patient, study or scan, with the origin of each."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clearbench.errors import BadStore, BadTask, name_some
from clearbench.evaluation.task.units import Units
from clearbench.store.agreement import view_names
from clearbench.store.features import map_features, read_file
from clearbench.store.folder import ScanKey, StoreFolder
from clearbench.store.records import EncoderRecord, find_records, record_of_cohort

OwnedFile = tuple[Path, EncoderRecord]


@dataclass(frozen=True)
class Bag:
    """One unit's features [instances, dim] (memory-mapped if possible) and their origin.

    An instance is one slice under one view. A view that a slice lacks is not in the bag. `pixels`
    has the digest of each scan's pixels.
    """

    features: NDArray[np.float32]
    scan_ids: tuple[str, ...]
    slice_index: NDArray[np.int32]
    views: tuple[str, ...]
    pixels: tuple[str, ...] = ()


def load_bags(
    units: Units, record: EncoderRecord, store: StoreFolder
) -> tuple[Units, tuple[Bag, ...]]:
    """Load each unit's bag; units with incomplete features are left out and named.

    Bags have the record's views. With a test cohort, they have the views that both cohorts have,
    also where its features were made with other views; what is left out is named. If units have key
    slices, a bag has only these. Raises BadTask with the command that makes features if no unit has
    any, for key slices of an encoder of whole volumes, or if cohorts have no view in common.
    """
    if units.key_slices and record.card.get("scope") == "volume":
        raise BadTask(
            f"{record.name} embeds whole scans, but the task takes key slices only "
            '(slices = "key"); use an encoder of slices'
        )
    kept = present_units(units, record, store)
    every: list[Sequence[Sequence[int] | None]] = [(None,) * len(scans) for scans in kept.scans]
    kept, marked, bags = _loaded(kept, kept.key_slices or every, record, store)
    files = _owned_files(kept, record, store)
    _check_windows(files, record)
    common = common_views(bags, kept.cohorts, record)
    if common != record.views and len(set(kept.cohorts)) > 1:
        bags = tuple(map(partial(_load, views=common), files, marked))
        kept = kept.take(range(len(kept.ids)), (_left_out_views(common, record),))
    return _without_empty(kept, bags, record)


def _loaded(
    units: Units,
    marked: Sequence[Sequence[Sequence[int] | None]],
    record: EncoderRecord,
    store: StoreFolder,
) -> tuple[Units, list[Sequence[Sequence[int] | None]], tuple[Bag, ...]]:
    """Load each unit's bag; return the units of whole files, their marked slices and their bags.

    Raises BadTask if no unit has only whole files.
    """
    bags: dict[int, Bag] = {}
    faults = []
    for row, files in enumerate(_owned_files(units, record, store)):
        try:
            bags[row] = _load(files, marked[row], views=record.views)
        except BadStore:
            faults.append(row)
    kept = _without_damaged(units, faults, record)
    return kept, [marked[row] for row in bags], tuple(bags.values())


def whole_units(units: Units, record: EncoderRecord, store: StoreFolder) -> Units:
    """Return the units whose features are all there and undamaged; the others are in `excluded`.

    Every file is read. Raises BadTask as `present_units` does, or if all are damaged.
    """
    kept = present_units(units, record, store)
    faults = []
    for row, files in enumerate(_owned_files(kept, record, store)):
        try:
            for path, owner in files:
                read_file(path, owner)
        except BadStore:
            faults.append(row)
    return _without_damaged(kept, faults, record)


def _without_damaged(units: Units, faults: Collection[int], record: EncoderRecord) -> Units:
    """Leave out the units of damaged files; raises BadTask if none is left."""
    if not faults:
        return units
    names = name_some([units.ids[row] for row in faults])
    again = _embed_command({units.cohorts[row] for row in faults}, record)
    note = f"{len(faults)} with damaged features of {record.reference}: {names} ({again})"
    if len(faults) == len(units.ids):
        raise BadTask(note)
    return units.take([row for row in range(len(units.ids)) if row not in faults], (note,))


def _without_empty(
    units: Units, bags: tuple[Bag, ...], record: EncoderRecord
) -> tuple[Units, tuple[Bag, ...]]:
    """Leave out units none of whose slices has a wanted view; raises BadTask if none is left."""
    rows = [row for row, bag in enumerate(bags) if len(bag.features)]
    if len(rows) == len(bags):
        return units, bags
    lost = [units.ids[row] for row in range(len(bags)) if row not in set(rows)]
    note = f"{len(lost)} without the views {', '.join(record.views)}: {name_some(lost)}"
    if not rows:
        raise BadTask(f"{record.reference}: {note}")
    return units.take(rows, (note,)), tuple(bags[row] for row in rows)


def common_views(
    bags: Sequence[Bag], cohorts: Sequence[str], record: EncoderRecord
) -> tuple[str, ...]:
    """Return the views that the bags of every cohort have; raises BadTask if there is none."""
    found: dict[str, set[str]] = {}
    for cohort, bag in zip(cohorts, bags, strict=True):
        found.setdefault(cohort, set()).update(bag.views)
    common = tuple(name for name in record.views if all(name in have for have in found.values()))
    if not common:
        has = "; ".join(f"{c}: {', '.join(sorted(have)) or 'none'}" for c, have in found.items())
        raise BadTask(f"{record.name}: the cohorts have no view in common ({has})")
    return common


def _left_out_views(common: Sequence[str], record: EncoderRecord) -> str:
    """Return the note that not every view is used."""
    out = [name for name in record.views if name not in common]
    return f"only the views {', '.join(common)} are used; not all cohorts have {', '.join(out)}"


def _check_windows(files: Sequence[Sequence[OwnedFile]], record: EncoderRecord) -> None:
    """Raise BadTask if one view stands for two windows in the features of two cohorts."""
    folders = {path.parent: path for owned in files for path, _ in owned[:1]}
    if len(folders) < 2:
        return
    seen: dict[str, object] = {}
    for path in folders.values():
        for view in read_file(path).facts.about["views"]:
            window = view.get("windows_hu")
            if view["name"] in record.views and seen.setdefault(view["name"], window) != window:
                raise BadTask(
                    f"{record.name}: view {view['name']} is another window in {path.parent.name}; "
                    "embed both cohorts with one --views"
                )


def _owned_files(
    units: Units, record: EncoderRecord, store: StoreFolder
) -> list[tuple[OwnedFile, ...]]:
    """Return the path of each feature file of each unit, with the record of its encoder."""
    owners = {
        cohort: record_of_cohort(record, cohort, store) for cohort in sorted(set(units.cohorts))
    }
    return [
        tuple(
            (ScanKey(owner.name, owner.fingerprint, cohort, scan).path(store), owner)
            for scan in scans
        )
        for cohort, scans in zip(units.cohorts, units.scans, strict=True)
        for owner in [owners[cohort]]
    ]


def present_units(units: Units, record: EncoderRecord, store: StoreFolder) -> Units:
    """Return the units with features of every scan; the others are named in `excluded`.

    Raises BadTask with the command that makes them if no unit has features.
    """
    files = _owned_files(units, record, store)
    present = [i for i, owned in enumerate(files) if all(path.is_file() for path, _ in owned)]
    missing = sorted(set(range(len(units.ids))) - set(present))
    cohorts = {units.cohorts[i] for i in missing}
    command = _embed_command(cohorts, record)
    if not present:
        raise BadTask(
            f"no unit of cohort {', '.join(sorted(cohorts))} has features of {record.reference}; "
            f"make them: {command}"
        )
    names = name_some([units.ids[i] for i in missing])
    note = (
        (f"{len(missing)} without features of {record.reference}: {names} ({command})",)
        if missing
        else ()
    )
    return units.take(present, note)


def _embed_command(cohorts: Iterable[str], record: EncoderRecord) -> str:
    """Return the command that makes features of the first of some cohorts again."""
    cohort = next(iter(sorted(cohorts)), "")
    return f"clearbench embed {cohort} --model {record.name}{views_option(record)}"


def lacking_features(units: Units, cohort: str, store: StoreFolder) -> tuple[str, ...]:
    """Return one note per encoder whose features some units lack, with the command that makes them.

    Only encoders with features of the task's cohort count; without any, the note says so.
    """
    try:
        records = find_records(store, (), cohort)
    except BadTask as error:
        return (str(error),)
    return tuple(note for record in records for note in _lacking(units, record, store))


def _lacking(units: Units, record: EncoderRecord, store: StoreFolder) -> tuple[str, ...]:
    """Return the notes on units that lack one encoder's features."""
    try:
        return present_units(units, record, store).excluded[len(units.excluded) :]
    except BadTask as error:
        return (str(error),)


def views_option(record: EncoderRecord) -> str:
    """Return the option --views for these features; "" for the views of the encoder's card."""
    facts = record.card.get("input", {})
    stored = record.stored_views or record.views
    usual = facts.get("views") != "free" or tuple(facts.get("default_views", ())) == stored
    return "" if usual else f" --views {','.join(stored)}"


def _load(
    files: Sequence[OwnedFile],
    marked: Sequence[Sequence[int] | None],
    views: Sequence[str] = (),
) -> Bag:
    """Load one bag from its scans' files; `marked` has the only slices to take of each, or None.

    views: the only views to take; () for all. Raises BadStore for a damaged file.
    """
    parts, ids, indices, seen, pixels = [], [], [], [], []
    for (path, owner), keys in zip(files, marked, strict=True):
        found = read_file(path, owner)
        facts, rows = found.facts, found.rows
        pixels.append(facts.pixels_signature)
        scan = path.stem
        names = view_names(facts.about)
        wanted = np.isin(rows.slice_index, keys) if keys is not None else True
        taken = np.isin(names, views) if views else True
        present = (rows.present & np.reshape(wanted, (-1, 1)) & taken).reshape(-1)
        flat = map_features(facts).reshape(-1, facts.shape[2])
        # Picking rows copies them; without gaps the memory map itself is used.
        parts.append(flat if present.all() else flat[present])
        ids += [scan] * int(present.sum())
        # Slice after slice, each with all its views: the order of the flattened features.
        indices.append(np.repeat(rows.slice_index, len(names))[present])
        seen += list(np.array(names * len(rows.slice_index))[present])
    features = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return Bag(
        features.astype(np.float32, copy=False),
        tuple(ids),
        np.concatenate(indices),
        tuple(map(str, seen)),
        tuple(pixels),
    )
