"""A task and its cohort: units and folds from labels alone, the same for every encoder."""

from dataclasses import dataclass

from clearbench.cohort.table import Cohort
from clearbench.evaluation.task.card import Task
from clearbench.evaluation.task.checks import labels_check, scans_check
from clearbench.evaluation.task.rare import too_rare
from clearbench.evaluation.task.split_file import folds_of_file, read_split
from clearbench.evaluation.task.splits import Fold, make_folds, split_sha256
from clearbench.evaluation.task.units import Units, make_units
from clearbench.store.cohorts import load_cohort
from clearbench.store.folder import StoreFolder


@dataclass(frozen=True)
class PreparedTask:
    """A task on one cohort: its units, and the folds that every encoder shares.

    skipped: labels, or groups left out, that are too rare to score, and why. labels_check: a short
    digest of the labels of all units, of training and test; scans_check: of their scans;
    pixels_check: of the pixels that an encoder's features were made from. Where an encoder lacks
    patients, `folds` are without them, and `whole` are the folds of all patients.
    """

    task: Task
    units: Units
    folds: tuple[Fold, ...]
    skipped: tuple[str, ...]
    labels_check: str = ""
    scans_check: str = ""
    pixels_check: str = ""
    whole: tuple[Fold, ...] = ()

    @property
    def split_sha256(self) -> str:
        """Return the digest of the folds of all patients, the same for encoders that lack some."""
        return split_sha256(self.whole or self.folds)

    @property
    def test_cohort(self) -> str:
        """Return the test cohort, if it isn't the task's own; else ""."""
        other = set(self.units.cohorts) - {self.task.card.cohort}
        return other.pop() if other else ""

    @property
    def unscored(self) -> tuple[int, ...]:
        """Return the numbers of the outputs that `skipped` names."""
        names = enumerate(self.task.card.outputs)
        return tuple(i for i, name in names if any(n.startswith(f"{name}: ") for n in self.skipped))


def prepare_task(task: Task, cohort: Cohort, external: Cohort | None = None) -> PreparedTask:
    """Make units and folds from labels alone, so that every encoder gets the same ones.

    With an `external` cohort the task's own cohort trains and the external one tests. If the task
    has a split file, its folds are used. Raises BadTask if no label has enough patients.
    """
    units = make_units(cohort, task.card)
    if external is not None:
        units = units.joined(make_units(external, task.card))
    if task.split_file is not None:
        other = external.name if external is not None else ""
        units, folds = folds_of_file(read_split(task.split_file, task), units, other)
    else:
        folds = make_folds(units, task.card)
    skipped = too_rare(units, folds, task)
    return PreparedTask(task, units, folds, skipped, labels_check(units), scans_check(units))


def prepare_from_store(task: Task, store: StoreFolder) -> list[PreparedTask]:
    """Prepare a task on the cohorts of a store: once, or once per cohort that it is tested on.

    Raises UnknownName for a cohort that the store lacks, and BadTask as `prepare_task` does.
    """
    own = load_cohort(store, task.card.cohort)
    others = [load_cohort(store, name) for name in task.card.split.test]
    return [prepare_task(task, own, other) for other in others] or [prepare_task(task, own)]
