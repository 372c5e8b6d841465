"""Floors: scores without an encoder, or without true labels, as ordinary rows of a board.

An encoder's score is worth something only above them. They are: technical tags of the scans, age
and sex, a histogram of grey values, and the declared head trained on shuffled labels.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from clearbench.arrays import Floats, Rows
from clearbench.cohort.table import Cohort
from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.guards.copies import Sketches
from clearbench.evaluation.guards.tags import TagTable, fit_tags, person_features, tag_features
from clearbench.evaluation.protocol.encoder_data import EncoderData
from clearbench.evaluation.task.units import Units
from clearbench.store.records import FLOOR, EncoderRecord

VERSION = 1  # raised when a floor's numbers change
TITLES = {
    "floor-tags": "technical tags alone (thickness, kernel, contrast, scanner, site, slices)",
    "floor-person": "age and sex alone",
    "floor-histogram": "64-bin histogram of grey values",
    "floor-permuted": "the declared head, trained on shuffled labels",
}
PLAIN_HEAD = "mean-logreg"

MakeInstances = Callable[[Rows], BagSet]  # rows of training units → bags of all units


@dataclass(frozen=True)
class Floor:
    """One floor: its data, and the head that is trained on them."""

    data: EncoderData
    head: str


def make_floors(
    data: EncoderData, cohorts: Mapping[str, Cohort], sketches: Sketches
) -> tuple[Floor, ...]:
    """Return the floors that are possible for these units, on the folds of an encoder's data.

    `cohorts` has the tables of the units' cohorts. The histogram needs a sketch of every scan; age
    and sex need their columns.
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
    """Return a function that reads the technical tags of one cohort's units."""

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
    """Join tables of several cohorts; columns that a cohort lacks are unknown there."""
    numbers = tuple(dict.fromkeys(n for _, table in parts for n in table.number_names))
    words = tuple(dict.fromkeys(n for _, table in parts for n in table.category_names))
    values = np.full((count, len(numbers)), np.nan)
    # object, because a text array that is made from "" would cut every word to one letter.
    texts = np.full((count, len(words)), "", dtype=object)
    for rows, table in parts:
        for column, name in enumerate(numbers):
            if name in table.number_names:
                values[rows, column] = table.number(name)
        for column, name in enumerate(words):
            if name in table.category_names:
                texts[rows, column] = table.category(name)
    return TagTable(numbers, values, words, texts.astype(np.str_))


def _tabled(data: EncoderData, name: str, table: TagTable) -> Floor:
    """Make a floor of a table; its encoding is fitted to each fold's training units alone."""

    def make_instances(train: Rows) -> BagSet:
        return _one_each(fit_tags(table, train.tolist()).design(table))

    return Floor(_with_instances(data, name, len(table.names), make_instances), PLAIN_HEAD)


def _histogram(data: EncoderData, sketches: Sketches) -> Floor:
    """Make the floor of the mean histogram of each unit's scans."""
    units = data.units
    values = np.stack(
        [
            np.mean([sketches[cohort, scan].histogram for scan in scans], axis=0)
            for cohort, scans in zip(units.cohorts, units.scans, strict=True)
        ]
    )
    bags = _one_each(values.astype(np.float64))
    return Floor(
        _with_instances(data, "floor-histogram", values.shape[1], lambda _: bags), PLAIN_HEAD
    )


def _one_each(values: Floats) -> BagSet:
    """Make each row a bag of one instance; a table without columns gets one column of zeros."""
    rows = values if values.shape[1] else np.zeros((len(values), 1))
    return BagSet.of([row[None] for row in rows])


def _shuffled(data: EncoderData) -> Floor:
    """Make the floor of the encoder's features with shuffled labels."""
    record = _record("floor-permuted", data.record.dim, data.record.fingerprint)
    head = data.prepared.task.card.head
    return Floor(replace(data, record=record, shuffled=True, bags=()), head)


def _with_instances(
    data: EncoderData, name: str, dim: int, make_instances: MakeInstances
) -> EncoderData:
    """Return an encoder's data with the instances of a floor."""
    record = _record(name, dim, data.prepared.task.name)
    return replace(data, record=record, make_instances=make_instances, bags=())


def _record(name: str, dim: int, *more: str) -> EncoderRecord:
    """Return a record of a floor as if it were an encoder, so that it makes an ordinary row."""
    fingerprint = hashlib.sha256("\n".join([name, str(VERSION), *more]).encode()).hexdigest()
    card = {"title": TITLES[name], "source": FLOOR}
    return EncoderRecord(name, fingerprint, dim, (), "float32", "float32", "", card)
