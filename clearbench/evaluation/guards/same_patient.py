"""Find patients who may be one person under two ids: spellings, or one id in two cohorts."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from clearbench.cohort.ids import plain_id
from clearbench.errors import name_some
from clearbench.evaluation.task.splits import Fold
from clearbench.evaluation.task.units import Units

SHORT_NUMBER = re.compile(r"\d{1,5}")


def same_patients(units: Units) -> tuple[tuple[str, ...], ...]:
    """Return the groups of patients whose ids differ only in zeros, dashes, .0, case, cohort."""
    several = len(set(units.cohorts)) > 1
    groups: dict[str, list[str]] = defaultdict(list)
    for patient in dict.fromkeys(units.patients):
        # with two cohorts, a patient is called <cohort>/<id>
        name = PurePosixPath(patient).name if several else patient
        # two data sets may both count their patients from 1
        if not (several and SHORT_NUMBER.fullmatch(name)):
            groups[plain_id(name)].append(patient)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)


def same_patients_alarm(units: Units, folds: Sequence[Fold]) -> str:
    """Return the alarm on patients who may be one person, and what to do; "" without any."""
    groups = same_patients(units)
    if not groups:
        return ""
    parted = sum(any(_parted(group, fold) for fold in folds) for group in groups)
    leak = f", {parted} of them on two sides of a fold" if parted else ""
    listed = name_some([" = ".join(group) for group in groups])
    count = f"{len(groups)} {'patient' if len(groups) == 1 else 'patients'}"
    if len(set(units.cohorts)) > 1:
        return (
            f"{count} may be in the cohort of training and in the test cohort{leak}: {listed}; if "
            "they are the same people, take them out of one of the two"
        )
    return (
        f"{count} may each have several ids{leak}: {listed}; if so, write each patient's id in one "
        "way in the cohort table"
    )


def _parted(group: Sequence[str], fold: Fold) -> bool:
    """Tell whether a group is on more than one side of a fold."""
    sides = (set(side) for side in (fold.train, fold.tune, fold.test))
    return sum(bool(side & set(group)) for side in sides) > 1
