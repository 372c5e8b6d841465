"""Task cards: which labels of which cohort, what a bag is, how patients are split and scored."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from clearbench.cards import (
    Card,
    CardFile,
    check_folders,
    check_name,
    digest,
    find_card,
    list_cards,
    read_card,
)
from clearbench.evaluation.head_registry import HEADS
from clearbench.metrics.registry import ranking_metrics

FOLDER = "tasks"
SELECT = r"^(all|first|last|day *(<=|>=|<|>|=) *-?\d+(\.\d+)?)$"


class Split(Card):
    """Repeated patient-grouped folds; or the fixed sides in `column`; or one `group` left out in
    turn (a column, such as site); or training on the task's cohort and a test on other cohorts.
    """

    folds: int = Field(default=5, ge=2, le=50)
    repeats: int = Field(default=5, ge=1, le=100)
    seed: int = 1337
    column: str = ""
    group: str = ""
    test: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [name for name in ("column", "group", "test") if getattr(self, name)]
        if len(ways) > 1:
            raise ValueError(f"a split is made one way, not by {' and '.join(ways)}")
        return self

    @property
    def crossed(self) -> bool:
        """Tell whether every patient is tested, in one fold or another."""
        return not (self.column or self.test)


class TaskCard(Card):
    """One question asked of a cohort.

    `classes` of an ordinal label stand in their order. `slices = "key"`: bags hold only the slices
    in the cohort's column key_slices (or key_slices_<label>, where it tells labels apart), which a
    reader marked: an oracle. `blank = "negative"`: a
    blank label of a scan counts as 0, since the data set marks only what it found (a scan without
    any label stays unknown). `head` is declared before scores are seen: encoders are ranked by it.
    """

    title: str
    version: int = Field(ge=1)
    cohort: str
    target: Literal["binary", "multiclass", "multilabel", "ordinal", "survival"]
    labels: tuple[str, ...] = Field(min_length=1)
    classes: tuple[str, ...] = ()
    unit: Literal["patient", "study", "scan"] = "patient"
    select: str = Field(default="all", pattern=SELECT)
    slices: Literal["all", "key"] = "all"
    blank: Literal["unknown", "negative"] = "unknown"
    metric: str = ""
    head: str = "abmil"
    split: Split = Split()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self._labels_fit()
        self._classes_fit()
        if self.head not in HEADS:
            raise ValueError(f"head is one of {', '.join(HEADS)}, not {self.head!r}")
        if self.blank == "negative" and self.target not in ("binary", "multilabel"):
            raise ValueError(f'blank = "negative" says nothing of a {self.target} target')
        known = ranking_metrics(self.target)
        if self.metric and self.metric not in known:
            raise ValueError(f"metric of a {self.target} target: {', '.join(known)}")
        return self

    def _labels_fit(self) -> None:
        if self.target == "multilabel" and len(self.labels) < 2:
            raise ValueError("a multilabel target has two or more labels")
        if self.target == "survival" and len(self.labels) != 2:
            raise ValueError("a survival target has two labels: time, event")
        if self.target not in ("multilabel", "survival") and len(self.labels) != 1:
            raise ValueError(f"a {self.target} target has one label, not {len(self.labels)}")

    def _classes_fit(self) -> None:
        if self.target == "binary" and len(self.classes) not in (0, 2):
            raise ValueError("classes of a binary label are two: negative, positive")
        if self.target in ("multiclass", "ordinal") and len(self.classes) < 3:
            raise ValueError(f"a {self.target} label lists its three or more classes, in order")
        if self.target in ("multilabel", "survival") and self.classes:
            raise ValueError(f"a {self.target} target has no classes")

    @property
    def primary(self) -> str:
        """Return the metric that ranks encoders."""
        return self.metric or ranking_metrics(self.target)[0]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return what a head predicts: the label or every label, its classes, the cuts, a risk."""
        named = {
            "multiclass": self.classes,
            "ordinal": tuple(f">={name}" for name in self.classes[1:]),
            "survival": ("risk",),
        }
        return named.get(self.target, self.labels)


class Task(Card):
    """A task card with its name, the digest of its file, and the frozen split that lies beside."""

    name: str
    card: TaskCard
    sha256: str
    split_file: Path | None = None


def task_names(extra: Iterable[Path] = ()) -> list[str]:
    """Return the name of every task."""
    extra = tuple(extra)
    check_folders("task_folders", extra)
    return list(list_cards(FOLDER, extra))


def find_task(name: str, extra: Iterable[Path] = ()) -> Task:
    """Find a task by name, or by the path of its card.

    Raises UnknownName with the nearest names, BadCard if the card breaks its rules.
    """
    extra = tuple(extra)
    check_folders("task_folders", extra)
    path = task_file(name, extra)
    check_name(CardFile(path.stem, path))
    frozen = split_path(name, extra)
    return Task(
        name=path.stem,
        card=read_card(path, TaskCard),
        sha256=digest(path),
        split_file=frozen if frozen.is_file() else None,
    )


def split_path(name: str, extra: Iterable[Path] = ()) -> Path:
    """Return where a task's frozen split lies, or would: <task>.split.json, beside its card."""
    return task_file(name, extra).with_suffix(".split.json")


def task_file(name: str, extra: Iterable[Path] = ()) -> Path:
    """Return where a task's card lies; raises UnknownName."""
    return find_card("task", FOLDER, name, extra).path
