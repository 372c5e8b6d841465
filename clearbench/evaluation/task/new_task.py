"""A task card for your own cohort, written from its labels."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clearbench.cards import NAME, check_card
from clearbench.cohort.table import Cohort
from clearbench.errors import BadRequest, BadTask
from clearbench.evaluation.task.card import Task, TaskCard, find_task
from clearbench.evaluation.task.labels import notes_on_sides
from clearbench.evaluation.task.prepared import prepare_task
from clearbench.evaluation.task.understand import Wishes, understand
from clearbench.files import write_output
from clearbench.metrics.registry import ranking_metrics


@dataclass(frozen=True)
class NewTask:
    """What a new card predicts, and how patients are split.

    `wishes` say what the labels' values mean. By default patients are split into repeated folds;
    else by the sides in `column`, by leaving out each value of `group` once (a column too), or by a
    test on other cohorts, `tested`.
    """

    cohort: Cohort
    labels: tuple[str, ...]
    unit: str = "patient"
    head: str = "abmil"
    column: str = ""
    group: str = ""
    tested: tuple[Cohort, ...] = ()
    wishes: Wishes = field(default_factory=Wishes)

    @property
    def split(self) -> dict[str, Any]:
        """Return the card's [split]."""
        names = [cohort.name for cohort in self.tested]
        given = {"column": self.column, "group": self.group, "test": names}
        chosen = {key: value for key, value in given.items() if value}
        return chosen or {"folds": 5, "repeats": 5, "seed": 1337}


@dataclass(frozen=True)
class WrittenTask:
    """A new card: its path, a summary, and what the labels' values were taken for.

    too_rare: labels or classes that would not be scored; problem: why an evaluation would be
    refused
    """

    path: Path
    summary: str
    says: tuple[str, ...] = ()
    too_rare: tuple[str, ...] = ()
    problem: str = ""


def write_task(new: NewTask, path: Path) -> WrittenTask:
    """Write a card; its target and classes follow from the labels' values and the wishes.

    Raises UnknownName for a column the cohort lacks, BadTask for labels that make no target, or
    several: then it says how to name the one that is meant;
    BadCard for a unit, head or split that doesn't exist, BadRequest if the file exists already.
    """
    checked_name(path.stem)
    if path.exists():
        raise BadRequest(f"{path} exists; choose another name, or edit it")
    for column in filter(None, (new.column, new.group)):
        new.cohort.label(column)
    found = understand(new.cohort, new.labels, new.wishes)
    facts = {
        "title": f"{', '.join(new.labels)} ({new.cohort.name})",
        "version": 1,
        "cohort": new.cohort.name,
        "target": found.target,
        "labels": new.labels,
        **({"classes": found.classes} if found.classes else {}),
        **({"positive": found.positive} if found.positive else {}),
        **({"unknown": new.wishes.unknown} if new.wishes.unknown else {}),
        "unit": new.unit,
        "metric": ranking_metrics(found.target)[0],
        "head": new.head,
    }
    check_card(facts | {"split": new.split}, TaskCard, str(path))
    text = f"{_lines(facts)}\n[split]\n{_lines(new.split)}"
    write_output(path, lambda draft: draft.write_text(text, encoding="utf-8"), stream=False)
    summary = f"{found.target}, {ranking_metrics(found.target)[0]}"
    written = WrittenTask(path, summary, found.says)
    try:
        return _prepared(written, find_task(str(path)), new)
    except BadTask as error:
        return replace(written, problem=str(error))


def checked_name(name: str) -> str:
    """Return a task's name; raises BadRequest if it can't be a name."""
    if not NAME.fullmatch(name):
        raise BadRequest(
            f'"{name}" can\'t be the name of a task: use letters, digits, dots, dashes and '
            "underscores, a letter or digit first"
        )
    return name


def _prepared(written: WrittenTask, task: Task, new: NewTask) -> WrittenTask:
    """Add the labels that would not be scored, on any tested cohort, and how patients are split."""
    says = (*written.says, *notes_on_sides(new.cohort, task.card))
    found = [prepare_task(task, new.cohort, other) for other in new.tested or (None,)]
    too_rare = dict.fromkeys(note for prepared in found for note in prepared.skipped)
    if task.card.split.column:
        says += found[0].units.excluded
    return replace(written, says=says, too_rare=tuple(too_rare))


def _lines(facts: Mapping[str, Any]) -> str:
    """Write facts as lines of TOML, aligned."""
    return "".join(f"{key:8} = {_written(value)}\n" for key, value in facts.items())


def _written(value: Any) -> str:
    """Write a number, a string or a list of strings as TOML; JSON has the same syntax for these."""
    return json.dumps(value, ensure_ascii=False)
