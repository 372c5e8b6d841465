"""Floors: what is scored without any encoder, or without any label, as ordinary rows of a board.

A score means something only above them: the technical tags of the scans, age and sex, a histogram
of their grey values, and the head on labels that were shuffled.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clearbench.arrays import Floats
from clearbench.cohort.table import Cohort
from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.guards.report import Sketches
from clearbench.evaluation.guards.tags import TagTable, fit_tags, person_features, tag_features
from clearbench.evaluation.protocol.encoder_data import EncoderData
from clearbench.evaluation.task.units import Units
from clearbench.scans.thumbnail import Sketch
from clearbench.store.features import read_sketch
from clearbench.store.folder import StoreFolder
from clearbench.store.records import EncoderRecord

VERSION = 1  # raised when a floor's numbers change
SOURCE = "floor"
TITLES = {
    "floor-tags": "technical tags alone (thickness, kernel, contrast, scanner, site, slices)",
    "floor-person": "age and sex alone",
    "floor-histogram": "64-bin histogram of grey values",
    "floor-permuted": "the declared head, trained on shuffled labels",
}
PLAIN_HEAD = "mean-logreg"

Design = Callable[[NDArray[np.int64]], BagSet]


@dataclass(frozen=True)
class Floor:
    """One floor: what is learnt from, by which head."""

    data: EncoderData
    head: str


def read_sketches(units: Units, record: EncoderRecord, store: StoreFolder) -> Sketches:
    """Read what was taken of each unit's scans while they were read, where it was taken."""
    root = store.encoder(record.name, record.fingerprint)
    found = {}
    for cohort, scans in zip(units.cohorts, units.scans, strict=True):
        for scan in scans:
            sketch = _sketch(root / cohort / f"{scan}.h5")
            if sketch is not None:
                found[cohort, scan] = sketch
    return found


def _sketch(path: Path) -> Sketch | None:
    """Read one scan's sketch, if it was embedded at all."""
    return read_sketch(path) if path.is_file() else None


def make_floors(
    data: EncoderData, cohorts: Mapping[str, Cohort], sketches: Sketches
) -> tuple[Floor, ...]:
    """Return the floors that these units allow, on the folds of an encoder's material.

    `cohorts` holds the tables of the units' cohorts. The histogram needs a sketch of every scan;
    age and sex need their columns.
    """
    units = data.units
    floors = [_shuffled(data)]
    tables = {
        "floor-tags": _tables(units, cohorts, _technical(sketches)),
        "floor-person": _tables(units, cohorts, lambda c, u: person_features(c, u)),
    }
    floors += [_tabled(data, name, table) for name, table in tables.items() if table.names]
    scans = [(c, s) for c, group in zip(units.cohorts, units.scans, strict=True) for s in group]
    if all(scan in sketches for scan in scans):
        floors.append(_histogram(data, sketches))
    return tuple(floors)


def _technical(sketches: Sketches) -> Callable[[Cohort, list[tuple[str, ...]]], TagTable]:
    """Return what reads the technical tags of one cohort's units."""

    def read(cohort: Cohort, units: list[tuple[str, ...]]) -> TagTable:
        counts = {
            scan: each.slices for (name, scan), each in sketches.items() if name == cohort.name
        }
        return tag_features(cohort, units, counts)

    return read


def _tables(
    units: Units,
    cohorts: Mapping[str, Cohort],
    read: Callable[[Cohort, list[tuple[str, ...]]], TagTable],
) -> TagTable:
    """Read the tags of all units, cohort after cohort, in the order of the units."""
    parts = {}
    for name in dict.fromkeys(units.cohorts):
        rows = [row for row, cohort in enumerate(units.cohorts) if cohort == name]
        parts[name] = (rows, read(cohorts[name], [units.scans[row] for row in rows]))
    return _stacked(len(units.ids), list(parts.values()))


def _stacked(count: int, parts: list[tuple[list[int], TagTable]]) -> TagTable:
    """Put tables of several cohorts into one; what a cohort lacks is unknown there."""
    numbers = tuple(dict.fromkeys(n for _, table in parts for n in table.number_names))
    words = tuple(dict.fromkeys(n for _, table in parts for n in table.category_names))
    values = np.full((count, len(numbers)), np.nan)
    texts = np.full((count, len(words)), "", dtype=object)
    for rows, table in parts:
        for place, name in enumerate(numbers):
            if name in table.number_names:
                values[rows, place] = table.number(name)
        for place, name in enumerate(words):
            if name in table.category_names:
                texts[rows, place] = table.category(name)
    return TagTable(numbers, values, words, texts.astype(np.str_))


def _tabled(data: EncoderData, name: str, table: TagTable) -> Floor:
    """Learn from a table, its levels told by each fold's training units alone."""

    def design(train: NDArray[np.int64]) -> BagSet:
        return _one_each(fit_tags(table, train.tolist()).design(table))

    return Floor(_of(data, name, len(table.names), design), PLAIN_HEAD)


def _histogram(data: EncoderData, sketches: Sketches) -> Floor:
    """Learn from the mean histogram of each unit's scans."""
    units = data.units
    values = np.stack(
        [
            np.mean([sketches[cohort, scan].histogram for scan in scans], axis=0)
            for cohort, scans in zip(units.cohorts, units.scans, strict=True)
        ]
    )
    bags = _one_each(values.astype(np.float64))
    return Floor(_of(data, "floor-histogram", values.shape[1], lambda _: bags), PLAIN_HEAD)


def _one_each(values: Floats) -> BagSet:
    """Make each row a bag of one instance; a table without columns says nothing of anyone."""
    rows = values if values.shape[1] else np.zeros((len(values), 1))
    return BagSet.of([row[None] for row in rows])


def _shuffled(data: EncoderData) -> Floor:
    """Learn an encoder's features under shuffled labels."""
    record = _record("floor-permuted", data.record.dim, data.record.fingerprint)
    head = data.prepared.task.card.head
    return Floor(replace(data, record=record, shuffled=True, bags=()), head)


def _of(data: EncoderData, name: str, dim: int, design: Design) -> EncoderData:
    """Return an encoder's material with other instances."""
    record = _record(name, dim, data.prepared.task.name)
    return replace(data, record=record, design=design, bags=())


def _record(name: str, dim: int, *more: str) -> EncoderRecord:
    """Describe a floor as an encoder is described, so that it makes an ordinary row."""
    fingerprint = hashlib.sha256("\n".join([name, str(VERSION), *more]).encode()).hexdigest()
    card = {"title": TITLES[name], "source": SOURCE}
    return EncoderRecord(name, fingerprint, dim, (), "float32", "float32", "", card)
