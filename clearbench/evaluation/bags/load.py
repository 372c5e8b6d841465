"""Bags: all features of one patient, study or scan, with where each comes from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clearbench.errors import BadTask
from clearbench.evaluation.task.units import Units
from clearbench.store.features import map_features, read_facts, read_slice_rows
from clearbench.store.folder import StoreFolder
from clearbench.store.records import EncoderRecord, find_records

SHOWN = 5


@dataclass(frozen=True)
class Bag:
    """One unit's features [instances, dim] (memory-mapped where that is possible) and their origin.

    An instance is one slice under one view; slices that lack a view are not in the bag.
    """

    features: NDArray[np.float32]
    scan_ids: tuple[str, ...]
    slice_index: NDArray[np.int32]
    views: tuple[str, ...]


def load_bags(
    units: Units, record: EncoderRecord, store: StoreFolder
) -> tuple[Units, tuple[Bag, ...]]:
    """Load each unit's bag; units whose features are incomplete are left out, by name.

    Where units have key slices, a bag holds only those. Raises BadTask with the command that makes
    them if no unit has features, or if key slices are wanted of whole volumes.
    """
    if units.key_slices and record.card.get("scope") == "volume":
        raise BadTask(
            f"{record.name} embeds whole scans and has no slices; "
            'the task takes key slices alone (slices = "key")'
        )
    kept = present_units(units, record, store)
    every: list[Sequence[Sequence[int] | None]] = [(None,) * len(scans) for scans in kept.scans]
    files = _files(kept, record, store)
    return kept, tuple(map(_load, files, kept.key_slices or every))


def _files(units: Units, record: EncoderRecord, store: StoreFolder) -> list[tuple[Path, ...]]:
    """Return where the features of each unit's scans lie, or would."""
    root = store.encoder(record.name, record.fingerprint)
    return [
        tuple(root / cohort / f"{scan}.h5" for scan in scans)
        for cohort, scans in zip(units.cohorts, units.scans, strict=True)
    ]


def present_units(units: Units, record: EncoderRecord, store: StoreFolder) -> Units:
    """Return the units all of whose scans have features; the others are named in `excluded`.

    Raises BadTask with the command that makes them if no unit has features.
    """
    files = _files(units, record, store)
    there = [i for i, paths in enumerate(files) if all(path.is_file() for path in paths)]
    missing = sorted(set(range(len(units.ids))) - set(there))
    cohorts = sorted({units.cohorts[i] for i in missing}) or [""]
    command = f"clearbench embed {cohorts[0]} --model {record.name}{views_option(record)}"
    if not there:
        raise BadTask(
            f"no unit of cohort {', '.join(cohorts)} has features of {record.reference}; "
            f"make them: {command}"
        )
    names = ", ".join(units.ids[i] for i in missing[:SHOWN]) + (
        " …" if len(missing) > SHOWN else ""
    )
    note = (
        (f"{len(missing)} without features of {record.reference}: {names} ({command})",)
        if missing
        else ()
    )
    return units.take(there, note)


def lacking_features(units: Units, cohort: str, store: StoreFolder) -> tuple[str, ...]:
    """Say which units lack which encoder's features, and the command that makes them.

    Only encoders count that have features of the task's cohort; none at all is said too.
    """
    try:
        records = find_records(store, (), cohort)
    except BadTask as error:
        return (str(error),)
    return tuple(note for record in records for note in _lacking(units, record, store))


def _lacking(units: Units, record: EncoderRecord, store: StoreFolder) -> tuple[str, ...]:
    """Say which units lack one encoder's features."""
    try:
        return present_units(units, record, store).excluded[len(units.excluded) :]
    except BadTask as error:
        return (str(error),)


def views_option(record: EncoderRecord) -> str:
    """Return --views as these features need it; nothing where the card's own views are meant."""
    facts = record.card.get("input", {})
    usual = facts.get("views") != "free" or tuple(facts.get("default_views", ())) == record.views
    return "" if usual else f" --views {','.join(record.views)}"


def _load(paths: Sequence[Path], marked: Sequence[Sequence[int] | None]) -> Bag:
    """Load one bag from its scans' files; of a scan with marked slices only those."""
    parts, ids, indices, views = [], [], [], []
    for path, keys in zip(paths, marked, strict=True):
        facts = read_facts(path)
        rows = read_slice_rows(path)
        scan = path.stem
        names = [str(view["name"]) for view in facts.about["views"]]
        wanted = np.isin(rows.slice_index, keys) if keys is not None else True
        present = (rows.present & np.reshape(wanted, (-1, 1))).reshape(-1)
        flat = map_features(facts).reshape(-1, facts.shape[2])
        parts.append(flat if present.all() else flat[present])
        ids += [scan] * int(present.sum())
        indices.append(np.repeat(rows.slice_index, len(names))[present])
        views += list(np.array(names * len(rows.slice_index))[present])
    features = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return Bag(
        features.astype(np.float32, copy=False),
        tuple(ids),
        np.concatenate(indices),
        tuple(map(str, views)),
    )
