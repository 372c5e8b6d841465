from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from clearbench.errors import BadTask
from clearbench.evaluation.task.labels import (
    notes_on_labels,
    notes_on_sides,
    read_days,
    read_labels,
    read_sides,
)

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
        BadTask,
        match=r"label x of cohort c has the values 2 \(1 scan\), maybe \(1 scan\); the task",
    ):
        read_labels(make_cohort(x=["1", "maybe", "2"]), make_task().card)
    with pytest.raises(
        BadTask, match=r"the values IV \(1 scan\); the task allows I, II, III\..*unknown ="
    ):
        read_labels(make_cohort(x=["IV", "i", "II"]), make_task(**STAGES).card)


def test_classes_are_numbered_in_order(make_cohort: Make, make_task: Make) -> None:
    stages = read_labels(make_cohort(x=["III", "I", None]), make_task(**STAGES).card)
    np.testing.assert_array_equal(stages, [[2.0, 0.0, np.nan]])


def test_the_positive_word_is_one_in_whatever_order_and_spelling(
    make_cohort: Make, make_task: Make
) -> None:
    """The alphabet must not turn an ill patient into a healthy one."""
    cohort = make_cohort(x=["abnormal", "Normal", "ABNORMAL "])
    for classes in (["abnormal", "normal"], ["normal", "abnormal"]):
        pair = make_task(classes=classes, positive="abnormal")
        assert read_labels(cohort, pair.card) == [[1.0, 0.0, 1.0]]
    codes = make_task(classes=["1", "2"], positive="1")
    assert read_labels(make_cohort(x=["1.0", "2", "1"]), codes.card) == [[1.0, 0.0, 1.0]]


def test_classes_that_differ_by_case_only_are_two(make_cohort: Make, make_task: Make) -> None:
    task = make_task(target="multiclass", classes=["ia", "Ia", "IA"])
    assert read_labels(make_cohort(x=["IA", "ia", "Ia"]), task.card) == [[2.0, 0.0, 1.0]]


def test_unknown_is_what_the_card_says(make_cohort: Make, make_task: Make) -> None:
    cohort = make_cohort(x=["1", "9.0", "None", "0", None])
    values = read_labels(cohort, make_task(unknown=["9"]).card)
    np.testing.assert_array_equal(values, [[1, np.nan, np.nan, 0, np.nan]])
    grades = make_task(target="multiclass", classes=["0", "1", "9", "None"])
    np.testing.assert_array_equal(read_labels(cohort, grades.card), [[1, 2, 3, 0, np.nan]])


def test_what_was_read_otherwise_than_written_is_noted(make_cohort: Make, make_task: Make) -> None:
    cohort = make_cohort(x=["Yes", "yes", "9", "no", "unknown"])
    assert notes_on_labels(cohort, make_task(unknown=["9"]).card) == (
        "label x: 9 (1 scan), unknown (1 scan) counts as unknown",
        "label x: read as one value each: Yes = yes",
    )


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


def test_unknown_words_are_never_negative(make_cohort: Make, make_task: Make) -> None:
    task = make_task(target="multilabel", labels=["x", "y"], blank="negative", unknown=["9"])
    values = read_labels(make_cohort(x=["1", "9"], y=[None, "1"]), task.card)
    np.testing.assert_array_equal(values, [[1, np.nan], [0, 1]])


def test_blank_is_negative_for_one_label_too(make_cohort: Make, make_task: Make) -> None:
    cohort, card = make_cohort(x=["1", None, "NA"]), make_task(blank="negative").card
    np.testing.assert_array_equal(read_labels(cohort, card), [[1, 0, np.nan]])
    assert "label x: blank (1 scan) counts as negative" in notes_on_labels(cohort, card)


def test_several_labels_share_two_words(make_cohort: Make, make_task: Make) -> None:
    words = {"classes": ["absent", "present"], "positive": "present"}
    task = make_task(target="multilabel", labels=["x", "y"], **words)
    cohort = make_cohort(x=["Present", "absent"], y=["absent", None])
    np.testing.assert_array_equal(read_labels(cohort, task.card), [[1, 0], [0, np.nan]])


def test_a_time_is_never_a_code_for_unknown(make_cohort: Make, make_task: Make) -> None:
    task = make_task(target="survival", labels=["days", "dead"], unknown=["9", "lost"])
    cohort = make_cohort(days=["9", "9.0", "lost", "4"], dead=["1", "0", "1", "9"])
    values = read_labels(cohort, task.card)
    np.testing.assert_array_equal(values, [[9, 9, np.nan, np.nan], [1, 0, np.nan, np.nan]])
    assert "label days: lost (1 scan) counts as unknown" in notes_on_labels(cohort, task.card)


def test_a_scan_without_time_or_event_has_neither(make_cohort: Make, make_task: Make) -> None:
    task = make_task(target="survival", labels=["days", "dead"])
    values = read_labels(make_cohort(days=["12.5", None, "3"], dead=["1", "1", None]), task.card)
    np.testing.assert_array_equal(values, [[12.5, np.nan, np.nan], [1, np.nan, np.nan]])


@pytest.mark.parametrize("text", ["-1", "soon"])
def test_a_time_is_a_number_of_days(make_cohort: Make, make_task: Make, text: str) -> None:
    task = make_task(target="survival", labels=["days", "dead"])
    with pytest.raises(BadTask, match=f"label days of scan s0, cohort c, is '{text}'; a time"):
        read_labels(make_cohort(days=[text], dead=["1"]), task.card)


def test_sides_have_their_usual_names_and_groups_their_own(
    make_cohort: Make, make_task: Make
) -> None:
    cohort = make_cohort(side=["Train", "VAL", "holdout", None, "spare"], x=["1"] * 5)
    usual = make_cohort(
        side=["Training set", "dev", "hold-out", "Test_Set", "dev set"], x=["1"] * 5
    )
    fixed, left_out = make_task(split={"column": "side"}), make_task(split={"group": "side"})
    assert read_sides(cohort, fixed.card) == ["train", "tune", "test", "", "spare"]
    assert read_sides(cohort, left_out.card) == ["Train", "VAL", "holdout", "", "spare"]
    assert read_sides(cohort, make_task().card) == [""] * 5
    assert read_sides(usual, fixed.card) == ["train", "tune", "test", "test", "tune"]
    assert notes_on_sides(usual, fixed.card)[0].startswith(
        "column side: Test_Set (1 scan) is test, Training set (1 scan) is train, dev set (1"
    )


def test_spellings_of_a_site_are_one_and_an_unknown_site_is_none(
    make_cohort: Make, make_task: Make
) -> None:
    sites = ["Bonn", "bonn", "Bonn", "BONN ", "Ulm", "NA", "unknown", "?", None]
    cohort, card = make_cohort(site=sites, x=["1"] * 9), make_task(split={"group": "site"}).card
    assert read_sides(cohort, card) == ["Bonn"] * 4 + ["Ulm"] + [""] * 4
    same, unknown = notes_on_sides(cohort, card)
    assert same == "column site: read as one value each: BONN  = Bonn = bonn"
    assert "? (1 scan), unknown (1 scan), blank (2 scans) counts as unknown" in unknown
    assert notes_on_sides(make_cohort(site=["A", "B"], x=["1", "0"]), card) == ()


@pytest.mark.parametrize("days", [["1", None], ["1", "2020-01-01"], ["1", "nan"], None])
def test_selecting_needs_a_day_for_every_scan(
    make_cohort: Make, make_task: Make, days: Any
) -> None:
    cohort = make_cohort(x=["1", "0"], **({"day": days} if days else {}))
    with pytest.raises(BadTask, match="needs a number in column day of cohort c"):
        read_days(cohort, make_task(select="first").card)
    assert read_days(cohort, make_task().card) == [0, 0]
