"""What goes into a pack, from where, and with which names."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from clearbench.cohort.renaming import Names, make_names
from clearbench.cohort.table import Cohort
from clearbench.evaluation.task.card import TaskCard
from clearbench.evaluation.task.labels import read_sides
from clearbench.evaluation.task.prepared import PreparedTask
from clearbench.packs.facts import PackedCohort
from clearbench.store.cohorts import load_cohort
from clearbench.store.folder import StoreFolder
from clearbench.store.records import EncoderRecord


@dataclass(frozen=True)
class PackRequest:
    """A request for a pack.

    card_file: the task's card; prepared: the task, once per test cohort; records: the features
    results: the folder of the results
    """

    card_file: Path
    prepared: tuple[PreparedTask, ...]
    records: tuple[EncoderRecord, ...]
    store: StoreFolder
    results: Path

    @property
    def card(self) -> TaskCard:
        """Return the task's card."""
        return self.prepared[0].task.card


@dataclass(frozen=True)
class Part:
    """One file of a pack."""

    name: str
    content: bytes


@dataclass(frozen=True)
class CohortToPack:
    """A cohort for a pack, its new names, and the scans of the task's units."""

    cohort: Cohort
    names: Names
    scans: frozenset[str]

    @cached_property
    def patient_of(self) -> dict[str, str]:
        """Return each scan's patient, as the cohort has it now."""
        return {row.scan_id: row.patient_id for row in self.cohort.rows()}

    def facts(self) -> PackedCohort:
        """Return its entry in pack.json."""
        return PackedCohort(
            name=self.cohort.name,
            public=self.cohort.public,
            renamed=not self.cohort.public,
            patients=len({self.patient_of[scan] for scan in self.scans}),
            scans=len(self.scans),
        )


CohortsToPack = Mapping[str, CohortToPack]


def find_cohorts(request: PackRequest) -> CohortsToPack:
    """Return the task's cohort and its test cohorts, by name."""
    scans: dict[str, set[str]] = {}
    for prepared in request.prepared:
        for cohort, unit_scans in zip(prepared.units.cohorts, prepared.units.scans, strict=True):
            scans.setdefault(cohort, set()).update(unit_scans)
    found = {name: load_cohort(request.store, name) for name in scans}
    group = request.card.split.group
    if group:  # Bonn and bonn are one group also under their new names
        found = {
            name: cohort.with_column(
                group, [side or None for side in read_sides(cohort, request.card)]
            )
            for name, cohort in found.items()
        }
    return {
        name: CohortToPack(cohort, make_names(cohort, group), frozenset(scans[name]))
        for name, cohort in found.items()
    }


def patient_names(request: PackRequest, cohorts: CohortsToPack) -> dict[str, str]:
    """Return the new name of every patient, as units have it."""
    return _with_cohort(request, {name: each.names.patients for name, each in cohorts.items()})


def unit_names(request: PackRequest, cohorts: CohortsToPack) -> dict[str, str]:
    """Return the new name of every unit, as results have it."""
    names = {"patient": "patients", "study": "studies", "scan": "scans"}[request.card.unit]
    return _with_cohort(
        request, {name: getattr(each.names, names) for name, each in cohorts.items()}
    )


def _with_cohort(request: PackRequest, names: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Put the cohort before each name if the task has test cohorts."""
    if not request.card.split.test:
        return dict(names[request.card.cohort])
    return {f"{c}/{old}": f"{c}/{new}" for c, each in names.items() for old, new in each.items()}


def json_bytes(value: object) -> bytes:
    """Return a record as the bytes of a JSON file."""
    # sort_keys, so that the same content makes the same bytes.
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
