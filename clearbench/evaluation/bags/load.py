"""Bags: all features of one patient, study or scan, with the origin of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clearbench.errors import BadTask, name_some
from clearbench.evaluation.task.units import Units
from clearbench.store.features import map_features, read_facts, read_slice_rows
from clearbench.store.folder import StoreFolder
from clearbench.store.records import EncoderRecord, find_records, record_of_cohort


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
    files, marked = _files(kept, record, store), kept.key_slices or every
    _check_windows(files, record)
    bags = tuple(map(partial(_load, views=record.views), files, marked))
    common = common_views(bags, kept.cohorts, record)
    if common != record.views and len(set(kept.cohorts)) > 1:
        bags = tuple(map(partial(_load, views=common), files, marked))
        kept = kept.take(range(len(kept.ids)), (_left_out_views(common, record),))
    return _without_empty(kept, bags, record)


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


def _check_windows(files: Sequence[Sequence[Path]], record: EncoderRecord) -> None:
    """Raise BadTask if one view stands for two windows in the features of two cohorts."""
    folders = {paths[0].parent: paths[0] for paths in files}
    if len(folders) < 2:
        return
    seen: dict[str, object] = {}
    for path in folders.values():
        for view in read_facts(path).about["views"]:
            window = view.get("windows_hu")
            if view["name"] in record.views and seen.setdefault(view["name"], window) != window:
                raise BadTask(
                    f"{record.name}: view {view['name']} is another window in {path.parent.name}; "
                    "embed both cohorts with one --views"
                )


def _files(units: Units, record: EncoderRecord, store: StoreFolder) -> list[tuple[Path, ...]]:
    """Return the paths of the feature files of each unit's scans; they may be missing."""
    roots = {
        cohort: store.encoder(found.name, found.fingerprint)
        for cohort in set(units.cohorts)
        for found in [record_of_cohort(record, cohort, store)]
    }
    return [
        tuple(roots[cohort] / cohort / f"{scan}.h5" for scan in scans)
        for cohort, scans in zip(units.cohorts, units.scans, strict=True)
    ]


def present_units(units: Units, record: EncoderRecord, store: StoreFolder) -> Units:
    """Return the units with features of every scan; the others are named in `excluded`.

    Raises BadTask with the command that makes them if no unit has features.
    """
    files = _files(units, record, store)
    present = [i for i, paths in enumerate(files) if all(path.is_file() for path in paths)]
    missing = sorted(set(range(len(units.ids))) - set(present))
    cohorts = sorted({units.cohorts[i] for i in missing}) or [""]
    command = f"clearbench embed {cohorts[0]} --model {record.name}{views_option(record)}"
    if not present:
        raise BadTask(
            f"no unit of cohort {', '.join(cohorts)} has features of {record.reference}; "
            f"make them: {command}"
        )
    names = name_some([units.ids[i] for i in missing])
    note = (
        (f"{len(missing)} without features of {record.reference}: {names} ({command})",)
        if missing
        else ()
    )
    return units.take(present, note)


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
    paths: Sequence[Path], marked: Sequence[Sequence[int] | None], views: Sequence[str] = ()
) -> Bag:
    """Load one bag from its scans' files; `marked` has the only slices to take of each, or None.

    views: the only views to take; () for all
    """
    parts, ids, indices, seen, pixels = [], [], [], [], []
    for path, keys in zip(paths, marked, strict=True):
        facts = read_facts(path)
        rows = read_slice_rows(path)
        pixels.append(facts.pixels_signature)
        scan = path.stem
        names = [str(view["name"]) for view in facts.about["views"]]
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
