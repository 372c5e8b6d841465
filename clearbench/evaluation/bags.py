"""Bags: all features of one patient, study or scan, with where each comes from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from clearbench.errors import BadTask
from clearbench.evaluation.units import Units
from clearbench.store.features import map_features, read_facts, read_rows
from clearbench.store.folder import StoreFolder
from clearbench.store.records import EncoderRecord

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


@dataclass(frozen=True)
class Padded:
    """A batch of bags: features [b, n, dim], mask [b, n] (true where an instance stands)."""

    features: Tensor
    mask: Tensor


def load_bags(
    units: Units, record: EncoderRecord, store: StoreFolder, cohort: str
) -> tuple[Units, tuple[Bag, ...]]:
    """Load each unit's bag; units whose features are incomplete are left out, by name.

    Raises BadTask with the command that makes them if no unit has features.
    """
    folder = store.encoder(record.name, record.fingerprint) / cohort
    there = [
        i
        for i, scans in enumerate(units.scans)
        if all((folder / f"{scan}.h5").is_file() for scan in scans)
    ]
    missing = sorted(set(range(len(units.ids))) - set(there))
    command = f"clearbench embed {cohort} --model {record.name}{_views_option(record)}"
    if not there:
        raise BadTask(
            f"no unit of cohort {cohort} has features of {record.reference}; make them: {command}"
        )
    names = ", ".join(units.ids[i] for i in missing[:SHOWN]) + (
        " …" if len(missing) > SHOWN else ""
    )
    note = (
        (f"{len(missing)} without features of {record.reference}: {names} ({command})",)
        if missing
        else ()
    )
    kept = units.take(there, note)
    return kept, tuple(_load(scans, folder) for scans in kept.scans)


def _views_option(record: EncoderRecord) -> str:
    """Return --views as these features need it; nothing where the card's own views are meant."""
    facts = record.card.get("input", {})
    usual = facts.get("views") != "free" or tuple(facts.get("default_views", ())) == record.views
    return "" if usual else f" --views {','.join(record.views)}"


def _load(scans: Sequence[str], folder: Path) -> Bag:
    """Load one bag from its scans' files."""
    parts, ids, indices, views = [], [], [], []
    for scan in scans:
        facts = read_facts(folder / f"{scan}.h5")
        rows = read_rows(facts.path)
        names = [str(view["name"]) for view in facts.about["views"]]
        present = rows.present.reshape(-1)
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


def pad(bags: Sequence[Tensor]) -> Padded:
    """Put bags [instances, dim] into one batch, on their device."""
    lengths = torch.tensor([len(bag) for bag in bags], device=bags[0].device)
    features = pad_sequence(list(bags), batch_first=True)
    places = torch.arange(features.shape[1], device=features.device)
    return Padded(features, places < lengths[:, None])


def draw(bag: Tensor, most: int, generator: np.random.Generator) -> Tensor:
    """Return a random `most` instances of a longer bag, in order; 0 means all.

    That is for training only: scores are taken from whole bags.
    """
    if not most or len(bag) <= most:
        return bag
    return bag[np.sort(generator.choice(len(bag), most, replace=False))]
