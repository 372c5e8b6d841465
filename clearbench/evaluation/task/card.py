"""Task cards: which labels of which cohort, what a bag is, how patients are split and scored."""

import hashlib
import json
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
from clearbench.errors import name_some, suggestion
from clearbench.evaluation.head_registry import head_names
from clearbench.metrics.registry import ranking_metrics

FOLDER = "tasks"
SELECT = r"^(all|first|last|day *(<=|>=|<|>|=) *-?\d+(\.\d+)?)$"


class Split(Card):
    """How patients are split: repeated folds by default, or one of three other ways.

    column: a column of the cohort with each patient's side (train, tune or test)
    group: a column, such as site; each of its values is left out once
    test: other cohorts; the task's cohort trains, each of these is a test set
    """

    folds: int = Field(default=5, ge=2, le=50)
    repeats: int = Field(default=5, ge=1, le=100)
    seed: int = Field(default=1337, ge=0, lt=2**63)
    column: str = ""
    group: str = ""
    test: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        given = [name for name in ("column", "group", "test") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"a split has one of column, group, test; not {' and '.join(given)}")
        return self

    @property
    def crossed(self) -> bool:
        """Tell whether it is a cross-validation, which tests every patient."""
        return not (self.column or self.test)


class TaskCard(Card):
    """What is predicted for a cohort, and how it is split and scored.

    classes: the words of a label; of an ordinal label, in their order; of a multilabel target, the
        two that all its labels have
    positive: which of two words of a label, or of a survival target's event, is positive
    unknown: values that mean unknown, such as 9 or TX; blank, NA and "unknown" do anyway, unless
        they are classes. Of a survival target they are the event's: a time of 9 stays a time
    slices: "key" takes only the slices that a reader marked, from the cohort's column key_slices
        (or key_slices_<label>, where it has one per label). An oracle: a real user has no marks.
    blank: "negative" counts a blank label of a scan as 0, for data sets that list findings only;
        of several labels, a scan without any stays unknown
    head: declared before scores are seen, because encoders are ranked by it
    """

    title: str
    version: int = Field(ge=1, lt=2**31)
    cohort: str
    target: Literal["binary", "multiclass", "multilabel", "ordinal", "survival"]
    labels: tuple[str, ...] = Field(min_length=1)
    classes: tuple[str, ...] = ()
    positive: str = ""
    unknown: tuple[str, ...] = ()
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
        if self.head not in head_names():
            near = suggestion(self.head, head_names())
            raise ValueError(f"head is one of {', '.join(head_names())}, not {self.head!r}{near}")
        if self.blank == "negative" and self.target not in ("binary", "multilabel"):
            raise ValueError(
                f'blank = "negative" is for binary and multilabel targets, not for {self.target}'
            )
        known = ranking_metrics(self.target)
        if self.metric and self.metric not in known:
            raise ValueError(f"metric of a {self.target} target is one of {', '.join(known)}")
        return self

    def _labels_fit(self) -> None:
        if self.target == "multilabel" and len(self.labels) < 2:
            raise ValueError("a multilabel target has two or more labels")
        if self.target == "survival" and len(self.labels) != 2:
            raise ValueError("a survival target has two labels: time, event")
        if self.target not in ("multilabel", "survival") and len(self.labels) != 1:
            raise ValueError(f"a {self.target} target has one label, not {len(self.labels)}")

    def _classes_fit(self) -> None:
        two = self.target in ("binary", "survival", "multilabel")
        if two and len(self.classes) not in (0, 2):
            raise ValueError(
                f"classes of a {self.target} target are two words, or none for 0 and 1"
            )
        if two and self.classes and self.positive not in self.classes:
            raise ValueError(
                f"classes {', '.join(self.classes)} need their positive word: positive = "
                f'"{self.classes[0]}" or "{self.classes[1]}"'
            )
        if self.positive and not (two and self.classes):
            raise ValueError(
                "positive is for the two classes of a binary, multilabel or survival target"
            )
        if self.target in ("multiclass", "ordinal") and len(self.classes) < 3:
            raise ValueError(f"a {self.target} label lists its three or more classes, in order")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes has a word twice")
        both = set(self.classes) & set(self.unknown)
        if both:
            raise ValueError(f"{name_some(sorted(both))} is in classes and in unknown")

    @property
    def content_sha256(self) -> str:
        """Return the digest of what is asked: of every field but the title."""
        # without defaults, so that a new field of the card changes no earlier digest
        facts = self.model_dump(mode="json", exclude={"title"}, exclude_defaults=True)
        text = json.dumps(facts | {"metric": self.primary}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def primary(self) -> str:
        """Return the metric that ranks encoders."""
        return self.metric or ranking_metrics(self.target)[0]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the names of a head's outputs: labels, classes, cuts of classes, or a risk."""
        named = {
            "multiclass": self.classes,
            "ordinal": tuple(f">={name}" for name in self.classes[1:]),
            "survival": ("risk",),
        }
        return named.get(self.target, self.labels)


class Task(Card):
    """A task card with its name, the digest of its file, and its split file if there is one."""

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
    split_file = split_path(name, extra)
    return Task(
        name=path.stem,
        card=read_card(path, TaskCard),
        sha256=digest(path),
        split_file=split_file if split_file.is_file() else None,
    )


def split_path(name: str, extra: Iterable[Path] = ()) -> Path:
    """Return where a task's split file is, or would be: <task>.split.json next to its card."""
    return task_file(name, extra).with_suffix(".split.json")


def task_file(name: str, extra: Iterable[Path] = ()) -> Path:
    """Return the path of a task's card; raises UnknownName."""
    return find_card("task", FOLDER, name, extra).path
