"""What is packed, from where, and under which names."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clearbench.cohort.renaming import Names, make_names
from clearbench.cohort.table import Cohort
from clearbench.evaluation.task.card import TaskCard
from clearbench.evaluation.task.prepared import PreparedTask
from clearbench.packs.facts import PackedCohort
from clearbench.store.cohorts import load_cohort
from clearbench.store.folder import StoreFolder
from clearbench.store.records import EncoderRecord


@dataclass(frozen=True)
class PackRequest:
    """What is to be packed: a task with its card's file, prepared once per test cohort; features;
    where its results lie.
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
    """A cohort of a pack, its new names, and the scans that the task's units hold."""

    cohort: Cohort
    names: Names
    scans: frozenset[str]

    def told(self) -> PackedCohort:
        """Return what the pack says of it."""
        rows = {row.scan_id: row.patient_id for row in self.cohort.rows()}
        return PackedCohort(
            name=self.cohort.name,
            public=self.cohort.public,
            renamed=not self.cohort.public,
            patients=len({rows[scan] for scan in self.scans}),
            scans=len(self.scans),
        )


CohortsToPack = Mapping[str, CohortToPack]


def find_cohorts(request: PackRequest) -> CohortsToPack:
    """Return the task's cohort and those it is tested on."""
    scans: dict[str, set[str]] = {}
    for prepared in request.prepared:
        for cohort, some in zip(prepared.units.cohorts, prepared.units.scans, strict=True):
            scans.setdefault(cohort, set()).update(some)
    found = {name: load_cohort(request.store, name) for name in scans}
    return {
        name: CohortToPack(
            cohort, make_names(cohort, request.card.split.group), frozenset(scans[name])
        )
        for name, cohort in found.items()
    }


def patient_names(request: PackRequest, sources: CohortsToPack) -> dict[str, str]:
    """Return new names of patients as units name them: by their cohort, if others are tested."""
    return _named(request, {name: source.names.patients for name, source in sources.items()})


def unit_names(request: PackRequest, sources: CohortsToPack) -> dict[str, str]:
    """Return new names of units, as results name them."""
    kind = {"patient": "patients", "study": "studies", "scan": "scans"}[request.card.unit]
    return _named(request, {name: getattr(s.names, kind) for name, s in sources.items()})


def _named(request: PackRequest, names: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Put the cohort before each name where a task is tested on other cohorts."""
    if not request.card.split.test:
        return dict(names[request.card.cohort])
    return {f"{c}/{old}": f"{c}/{new}" for c, some in names.items() for old, new in some.items()}


def json_bytes(value: object) -> bytes:
    """Write a record."""
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
