"""A task card for your own cohort, written from its labels."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearbench.cards import NAME, check_card
from clearbench.cohort.table import Cohort
from clearbench.errors import BadRequest, BadTask
from clearbench.evaluation.task.card import Task, TaskCard, find_task
from clearbench.evaluation.task.labels import YES_NO
from clearbench.evaluation.task.prepared import prepare_task
from clearbench.files import write_text
from clearbench.metrics.registry import ranking_metrics

MOST_CLASSES = 12  # more values are probably a measurement or free text, not classes


@dataclass(frozen=True)
class NewTask:
    """What a new card predicts, and how patients are split.

    By default into repeated folds; else by the sides in `column`, by leaving out each value of
    `group` once (a column too), or by a test on other cohorts, `tested`.
    """

    cohort: Cohort
    labels: tuple[str, ...]
    unit: str = "patient"
    head: str = "abmil"
    column: str = ""
    group: str = ""
    tested: tuple[Cohort, ...] = ()

    @property
    def split(self) -> dict[str, Any]:
        """Return the card's [split]."""
        names = [cohort.name for cohort in self.tested]
        given = {"column": self.column, "group": self.group, "test": names}
        chosen = {key: value for key, value in given.items() if value}
        return chosen or {"folds": 5, "repeats": 5, "seed": 1337}


@dataclass(frozen=True)
class WrittenTask:
    """A new card: its path and a summary.

    too_rare: labels or classes that would not be scored; problem: why an evaluation would be
    refused
    """

    path: Path
    summary: str
    too_rare: tuple[str, ...] = ()
    problem: str = ""


def write_task(new: NewTask, path: Path) -> WrittenTask:
    """Write a card; its target and classes follow from the labels' values.

    Raises UnknownName for a column the cohort lacks, BadTask for labels that make no target,
    BadCard for a unit, head or split that doesn't exist, BadRequest if the file exists already.
    """
    checked_name(path.stem)
    if path.exists():
        raise BadRequest(f"{path} exists; choose another name, or edit it")
    for column in filter(None, (new.column, new.group)):
        new.cohort.label(column)
    values = {label: _values(new.cohort, label) for label in new.labels}
    target, classes = _target(values)
    facts = {
        "title": f"{', '.join(new.labels)} ({new.cohort.name})",
        "version": 1,
        "cohort": new.cohort.name,
        "target": target,
        "labels": new.labels,
        "classes": classes,
        "unit": new.unit,
        "metric": ranking_metrics(target)[0],
        "head": new.head,
    }
    check_card(facts | {"split": new.split}, TaskCard, str(path))
    write_text(path, f"{_lines(facts)}\n[split]\n{_lines(new.split)}")
    summary = f"{target}, {ranking_metrics(target)[0]}, classes {', '.join(classes) or 'no, yes'}"
    try:
        return WrittenTask(path, summary, _too_rare(find_task(str(path)), new))
    except BadTask as error:
        return WrittenTask(path, summary, problem=str(error))


def checked_name(name: str) -> str:
    """Return a task's name; raises BadRequest if it can't be a name."""
    if not NAME.fullmatch(name):
        raise BadRequest(
            f'"{name}" can\'t be the name of a task: use letters, digits, dots, dashes and '
            "underscores, a letter or digit first"
        )
    return name


def _values(cohort: Cohort, label: str) -> list[str]:
    """Return the different values of a label, in alphabetical order."""
    return sorted({value for value in cohort.label(label) if value is not None})


def _too_rare(task: Task, new: NewTask) -> tuple[str, ...]:
    """Return the labels that would not be scored, on any of the tested cohorts."""
    found = [prepare_task(task, new.cohort, other) for other in new.tested or (None,)]
    return tuple(dict.fromkeys(note for prepared in found for note in prepared.skipped))


def _target(values: dict[str, list[str]]) -> tuple[str, list[str]]:
    """Return the target (binary, multiclass or multilabel) and classes that fit the values."""
    yes_no = {
        label: all(value.lower() in YES_NO for value in found) for label, found in values.items()
    }
    if len(values) > 1:
        other = [label for label, simple in yes_no.items() if not simple]
        if other:
            raise BadTask(
                f"several labels must each be 0 or 1; {other[0]} has the values "
                f"{', '.join(values[other[0]][:5])}"
            )
        return "multilabel", []
    [(label, found)] = values.items()
    if len(found) < 2:
        raise BadTask(
            f"label {label} has fewer than two values ({', '.join(found) or 'all blank'})"
        )
    if yes_no[label]:
        return "binary", []
    if len(found) > MOST_CLASSES:
        raise BadTask(
            f"label {label} has {len(found)} values, e.g. {', '.join(found[:4])}; a task has at "
            f"most {MOST_CLASSES} classes, so group them first"
        )
    return ("binary" if len(found) == 2 else "multiclass"), found


def _lines(facts: Mapping[str, Any]) -> str:
    """Write facts as lines of TOML, aligned."""
    return "".join(f"{key:7} = {_written(value)}\n" for key, value in facts.items())


def _written(value: Any) -> str:
    """Write a number, a string or a list of strings as TOML; JSON has the same syntax for these."""
    return json.dumps(value, ensure_ascii=False)
