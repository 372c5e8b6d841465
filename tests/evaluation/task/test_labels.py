from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from clearbench.errors import BadTask
from clearbench.evaluation.task.labels import read_days, read_labels, read_sides

Make = Callable[..., Any]
STAGES = {"target": "multiclass", "classes": ["I", "II", "III"]}


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("1.0", 1), ("TRUE", 1), ("Positive", 1), ("0", 0), ("No", 0), ("false", 0)],
)
def test_yes_and_no_have_several_words(
    make_cohort: Make, make_task: Make, text: str, value: int
) -> None:
    assert read_labels(make_cohort(x=[text]), make_task().card) == [[value]]


def test_values_outside_the_tasks_are_named(make_cohort: Make, make_task: Make) -> None:
    with pytest.raises(
        BadTask, match=r"label x of cohort c has the values 2, maybe; the task allows 0, 1"
    ):
        read_labels(make_cohort(x=["1", "maybe", "2"]), make_task().card)
    with pytest.raises(BadTask, match=r"has the values IV, i; the task allows I, II, III \(blank"):
        read_labels(make_cohort(x=["IV", "i", "II"]), make_task(**STAGES).card)


def test_classes_are_numbered_in_order(make_cohort: Make, make_task: Make) -> None:
    stages = read_labels(make_cohort(x=["III", "I", None]), make_task(**STAGES).card)
    np.testing.assert_array_equal(stages, [[2.0, 0.0, np.nan]])
    pair = make_task(classes=["benign", "malignant"])
    assert read_labels(make_cohort(x=["malignant"]), pair.card) == [[1.0]]


def test_blank_labels_are_negative_only_where_the_card_says_so(
    make_cohort: Make, make_task: Make
) -> None:
    """A scan without any annotation stays unknown."""
    cohort = make_cohort(x=["1", None, None], y=[None, "1", None])
    task = {"target": "multilabel", "labels": ["x", "y"]}
    unknown = read_labels(cohort, make_task(**task).card)
    np.testing.assert_array_equal(unknown, [[1, np.nan, np.nan], [np.nan, 1, np.nan]])
    negative = read_labels(cohort, make_task(**task, blank="negative").card)
    np.testing.assert_array_equal(negative, [[1, 0, np.nan], [0, 1, np.nan]])


def test_a_scan_without_time_or_event_has_neither(make_cohort: Make, make_task: Make) -> None:
    task = make_task(target="survival", labels=["days", "dead"])
    values = read_labels(make_cohort(days=["12.5", None, "3"], dead=["1", "1", None]), task.card)
    np.testing.assert_array_equal(values, [[12.5, np.nan, np.nan], [1, np.nan, np.nan]])


@pytest.mark.parametrize("text", ["-1", "soon", "nan"])
def test_a_time_is_a_number_of_days(make_cohort: Make, make_task: Make, text: str) -> None:
    task = make_task(target="survival", labels=["days", "dead"])
    with pytest.raises(BadTask, match=f"label days of scan s0, cohort c, is '{text}'; a time"):
        read_labels(make_cohort(days=[text], dead=["1"]), task.card)


def test_sides_have_their_usual_names_and_groups_their_own(
    make_cohort: Make, make_task: Make
) -> None:
    cohort = make_cohort(side=["Train", "VAL", "holdout", None, "spare"], x=["1"] * 5)
    fixed, left_out = make_task(split={"column": "side"}), make_task(split={"group": "side"})
    assert read_sides(cohort, fixed.card) == ["train", "tune", "test", "", "spare"]
    assert read_sides(cohort, left_out.card) == ["Train", "VAL", "holdout", "", "spare"]
    assert read_sides(cohort, make_task().card) == [""] * 5


@pytest.mark.parametrize("days", [["1", None], ["1", "2020-01-01"], ["1", "nan"], None])
def test_selecting_needs_a_day_for_every_scan(
    make_cohort: Make, make_task: Make, days: Any
) -> None:
    cohort = make_cohort(x=["1", "0"], **({"day": days} if days else {}))
    with pytest.raises(BadTask, match="needs a number in column day of cohort c"):
        read_days(cohort, make_task(select="first").card)
    assert read_days(cohort, make_task().card) == [0, 0]
