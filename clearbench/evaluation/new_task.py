"""A task card for a cohort of one's own, written from its labels."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clearbench.cards import check_card
from clearbench.cohort.table import Cohort
from clearbench.errors import BadRequest, BadTask
from clearbench.evaluation.labels import YES_NO
from clearbench.evaluation.prepared import prepare_task
from clearbench.evaluation.tasks import METRICS, TaskCard, find_task

MOST_CLASSES = 12
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class WrittenTask:
    """Where a new card lies, and what it asks.

    too_rare: labels or classes that would not be scored; problem: why an evaluation would be
    refused.
    """

    path: Path
    summary: str
    too_rare: tuple[str, ...] = ()
    problem: str = ""


def write_task(
    cohort: Cohort,
    labels: Sequence[str],
    path: Path,
    *,
    unit: str = "patient",
    split_column: str = "",
) -> WrittenTask:
    """Write a card whose target and classes are read off the labels' values.

    Raises UnknownName for a column the cohort lacks, BadTask for a label that is no class,
    BadRequest if a card stands there already.
    """
    if not NAME.fullmatch(path.stem):
        raise BadRequest(f"{path.stem}: letters, digits, dots, dashes and underscores make a name")
    if path.exists():
        raise BadRequest(f"{path} exists; choose another name, or edit it")
    values = {label: sorted({v for v in cohort.label(label) if v is not None}) for label in labels}
    target, classes = _target(values)
    split = (
        f'column = "{split_column}"' if split_column else "folds   = 5\nrepeats = 5\nseed    = 1337"
    )
    text = (
        f'title   = "{", ".join(labels)} ({cohort.name})"\nversion = 1\n'
        f'cohort  = "{cohort.name}"\ntarget  = "{target}"\n'
        f'labels  = {_quoted(labels)}\nclasses = {_quoted(classes)}\nunit    = "{unit}"\n'
        f'metric  = "{METRICS[target][0]}"\n\n[split]\n{split}\n'
    )
    if split_column:
        cohort.label(split_column)
    _check(text, str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    summary = f"{target}, {METRICS[target][0]}, classes {', '.join(classes) or 'no, yes'}"
    try:
        return WrittenTask(path, summary, prepare_task(find_task(str(path)), cohort).skipped)
    except BadTask as error:
        return WrittenTask(path, summary, problem=str(error))


def _target(values: dict[str, list[str]]) -> tuple[str, list[str]]:
    """Tell binary, multiclass and multilabel apart by the values found."""
    yes_no = {
        label: all(value.lower() in YES_NO for value in found) for label, found in values.items()
    }
    if len(values) > 1:
        other = [label for label, simple in yes_no.items() if not simple]
        if other:
            raise BadTask(
                f"several labels must each be 0 or 1; {other[0]} holds "
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
            f"label {label} has {len(found)} values, e.g. {', '.join(found[:4])}; classes are "
            "few, group them first"
        )
    return ("binary" if len(found) == 2 else "multiclass"), found


def _quoted(words: Sequence[str]) -> str:
    """Write a TOML list of strings."""
    inner = ", ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
    return f"[{inner}]"


def _check(text: str, where: str) -> None:
    """Refuse to write a card that would not be read."""
    check_card(tomllib.loads(text), TaskCard, where)
