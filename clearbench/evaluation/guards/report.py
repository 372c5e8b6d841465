"""Run the guards; each returns the findings that a result records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clearbench.evaluation.guards.contamination import contamination, read_seen
from clearbench.evaluation.guards.copies import FoundCopies, copies_alarm
from clearbench.evaluation.guards.same_patient import same_patients_alarm
from clearbench.evaluation.guards.split_check import check_split
from clearbench.evaluation.guards.tags import person_alarm, tags_alarm
from clearbench.evaluation.task.card import TaskCard
from clearbench.evaluation.task.checks import labels_check
from clearbench.evaluation.task.prepared import PreparedTask
from clearbench.evaluation.task.split_file import read_split
from clearbench.evaluation.task.splits import Fold
from clearbench.evaluation.task.units import Units
from clearbench.store.folder import StoreFolder
from clearbench.store.records import EncoderRecord, seen_path

CHANCE_AUROC = 0.5


@dataclass(frozen=True)
class GuardFinding:
    """The finding of one guard; an alarm needs action."""

    guard: str
    alarm: bool
    says: str


def guard_copies(found: FoundCopies) -> GuardFinding:
    """Report the scans that are stored under two patients' ids."""
    if found.searched < 2:
        says = f"not searched: {found.searched} of {found.total} scans have a thumbnail"
        return GuardFinding("copies", False, says)
    alarm = copies_alarm(found.copies)
    none = f"none among {found.searched} of {found.total} scans"
    return GuardFinding("copies", bool(alarm), alarm or none)


def guard_patients(units: Units, folds: Sequence[Fold]) -> GuardFinding:
    """Look for patients who may be one person under two ids."""
    alarm = same_patients_alarm(units, folds)
    return GuardFinding("patients", bool(alarm), alarm or "no two ids are alike")


def guard_labels(prepared: PreparedTask) -> list[GuardFinding]:
    """Check that labels are those of the split file; no finding without a split file."""
    task = prepared.task
    checks = read_split(task.split_file, task).labels_check if task.split_file else {}
    if prepared.test_cohort not in checks:
        return []
    if checks[prepared.test_cohort] == labels_check(prepared.units):
        return [GuardFinding("labels", False, "as they were when the split file was written")]
    says = (
        "not those of the split file (some were changed or removed): results from before and after "
        f"can't be compared; raise the card's version and run: clearbench tasks freeze {task.name} "
        "--replace"
    )
    return [GuardFinding("labels", True, says)]


def guard_split(folds: Sequence[Fold]) -> GuardFinding:
    """Refuse folds with a patient on two sides, such as train and test; raises BadTask."""
    check_split(folds)
    place = f"a fold, in {len(folds)} folds" if len(folds) > 1 else "the split"
    return GuardFinding("sides", False, f"no patient is on two sides of {place}")


def guard_contamination(
    record: EncoderRecord, store: StoreFolder, prepared: PreparedTask
) -> GuardFinding:
    """Check whether an encoder was pretrained on test patients; "yes" and "possible" are alarms."""
    folds = prepared.folds
    tested = {_plain(patient) for fold in folds for patient in fold.test}
    everyone = tested | {_plain(patient) for fold in folds for patient in (*fold.train, *fold.tune)}
    path = seen_path(record, store)
    found = contamination(
        record.card.get("facts", {}).get("pretraining", ()),
        prepared.task.card.cohort,
        read_seen(path) if path.is_file() else (),
        tested,
        others=everyone - tested,
        random_weights=str(record.card.get("source", "")).startswith(("random", "floor")),
    )
    alarm = found.verdict in ("yes", "possible")
    return GuardFinding("contamination", alarm, f"{found.verdict}: {found.reason}")


def _plain(patient: str) -> str:
    """Remove the cohort from a patient's name, where there are two cohorts."""
    return Path(patient).name


def guard_shortcuts(lows: Mapping[str, float | None], card: TaskCard) -> list[GuardFinding]:
    """Check whether technical tags, or age and sex, alone predict the label.

    `lows` are the lower bounds of the floors' scores, by name. Only an AUROC can raise an alarm,
    because the alarm's threshold is an AUROC; other metrics are shown.
    """
    alarms = {"floor-tags": tags_alarm, "floor-person": person_alarm}
    is_auroc = card.primary.startswith("auroc")
    return [
        _shortcut(name, alarms[name](low) if is_auroc else "", _hint(low, card.primary))
        for name, low in lows.items()
        if name in alarms
    ]


def _hint(low: float | None, metric: str) -> str:
    """Return the words for a floor's score without an alarm."""
    if low is None:
        return "not scored"
    if metric.startswith("auroc") and low <= CHANCE_AUROC:
        return "no sign that they predict the label: their AUROC may be at chance level"
    return f"{metric} at least {low:.2f}"


def _shortcut(name: str, alarm: str, hint: str) -> GuardFinding:
    """Return the finding of one floor."""
    return GuardFinding(name.removeprefix("floor-"), bool(alarm), alarm or hint)
