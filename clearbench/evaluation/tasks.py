"""Task cards: which labels of which cohort, what a bag is, how patients are split and scored."""

from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Self

from pydantic import Field, model_validator

from clearbench.cards import Card, digest, find_card, list_cards, read_card

FOLDER = "tasks"
METRICS = MappingProxyType(
    {
        "binary": ("auroc", "average_precision", "balanced_accuracy", "f1"),
        "multiclass": ("auroc_macro", "average_precision_macro", "balanced_accuracy", "f1_macro"),
        "multilabel": (
            "auroc_macro",
            "average_precision_macro",
            "balanced_accuracy_macro",
            "f1_macro",
        ),
    }
)


class Split(Card):
    """Repeated patient-grouped folds, or the fixed sides in a column of the cohort."""

    folds: int = Field(default=5, ge=2, le=50)
    repeats: int = Field(default=5, ge=1, le=100)
    seed: int = 1337
    column: str = ""


class TaskCard(Card):
    """One question asked of a cohort."""

    title: str
    version: int = Field(ge=1)
    cohort: str
    target: Literal["binary", "multiclass", "multilabel"]
    labels: tuple[str, ...] = Field(min_length=1)
    classes: tuple[str, ...] = ()
    unit: Literal["patient", "study", "scan"] = "patient"
    select: Literal["all", "first", "last"] = "all"
    slices: Literal["all"] = "all"
    metric: str = ""
    split: Split = Split()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.target == "multilabel" and len(self.labels) < 2:
            raise ValueError("a multilabel target has two or more labels")
        if self.target != "multilabel" and len(self.labels) != 1:
            raise ValueError(f"a {self.target} target has one label, not {len(self.labels)}")
        if self.target == "binary" and len(self.classes) not in (0, 2):
            raise ValueError("classes of a binary label are two: negative, positive")
        if self.target == "multiclass" and len(self.classes) < 3:
            raise ValueError("a multiclass label lists its three or more classes, in order")
        if self.metric and self.metric not in METRICS[self.target]:
            raise ValueError(f"metric of a {self.target} target: {', '.join(METRICS[self.target])}")
        return self

    @property
    def primary(self) -> str:
        """Return the metric that ranks encoders."""
        return self.metric or METRICS[self.target][0]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return what a head predicts: the label, its classes, or every label."""
        return self.classes if self.target == "multiclass" else self.labels


class Task(Card):
    """A task card with its name and the digest of its file."""

    name: str
    card: TaskCard
    sha256: str


def task_names(extra: Iterable[Path] = ()) -> list[str]:
    """Return the name of every task."""
    return list(list_cards(FOLDER, extra))


def find_task(name: str, extra: Iterable[Path] = ()) -> Task:
    """Find a task by name, or by the path of its card.

    Raises UnknownName with the nearest names, BadCard if the card breaks its rules.
    """
    file = find_card("task", FOLDER, name, extra)
    return Task(name=file.name, card=read_card(file.path, TaskCard), sha256=digest(file.path))
