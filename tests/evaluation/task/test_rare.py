"""What can't be scored is named; a site without a class costs only its own score."""

from collections.abc import Callable
from typing import Any

import pytest

from clearbench.errors import BadTask
from clearbench.evaluation.task.prepared import prepare_task

Make = Callable[..., Any]


def sites(make_cohort: Make, *positive: int, of: int = 12) -> Any:
    """A cohort of sites A, B, … with so many positive patients each."""
    x = [str(int(i < count)) for count in positive for i in range(of)]
    names = [name for name, _ in zip("ABCDE", positive, strict=False) for _ in range(of)]
    return make_cohort(x=x, site=names)


def test_a_site_without_a_class_is_named_and_the_others_are_scored(
    make_cohort: Make, make_task: Make
) -> None:
    task = make_task(split={"group": "site"})
    prepared = prepare_task(task, sites(make_cohort, 6, 0, 5))
    assert prepared.skipped == (
        "site B has no score of its own for x: 0 of its 12 patients are positive",
    )
    assert prepared.unscored == ()
    with pytest.raises(BadTask, match="2 values of site with both classes are needed"):
        prepare_task(task, sites(make_cohort, 12, 0, 6))


def test_only_patients_of_the_test_cohort_make_a_test_set(
    make_cohort: Make, make_task: Make
) -> None:
    """20 positive patients of training don't help 4 positive ones of the test cohort."""
    task = make_task(split={"test": ["d"]})
    train = make_cohort(x=["1", "0"] * 20)
    small = make_cohort(x=["1"] * 4 + ["0"] * 36, name="d")
    with pytest.raises(BadTask, match="x: 4 of 40 tested patients are positive"):
        prepare_task(task, train, small)
    assert prepare_task(task, train, make_cohort(x=["1", "0"] * 20, name="d")).skipped == ()


def test_training_needs_both_classes(make_cohort: Make, make_task: Make) -> None:
    task = make_task(split={"test": ["d"]})
    one = make_cohort(x=["1"] + ["0"] * 39)
    with pytest.raises(BadTask, match="x: training has 1 patient of the rarer class"):
        prepare_task(task, one, make_cohort(x=["1", "0"] * 20, name="d"))
