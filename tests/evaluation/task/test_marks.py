from collections.abc import Callable
from typing import Any

import pytest

from clearbench.errors import BadTask, UnknownName
from clearbench.evaluation.task.marks import read_marks

Make = Callable[..., Any]


def test_key_slices_are_the_marks_of_every_label(make_cohort: Make, make_task: Make) -> None:
    cohort = make_cohort(x=["1", "0"], y=["1", "0"], key_slices=["14 3 3", None])
    assert read_marks(cohort, make_task().card) == ((3, 14), ())
    assert read_marks(cohort, make_task(labels=["y"]).card) == ((3, 14), ())


def test_with_one_column_per_label_a_task_gets_the_marks_of_its_labels(
    make_cohort: Make, make_task: Make
) -> None:
    cohort = make_cohort(
        x=["1"], y=["1"], z=["1"], key_slices=["1 2"], key_slices_x=["1"], key_slices_y=["2"]
    )
    assert cohort.labels == ("x", "y", "z")
    assert read_marks(cohort, make_task().card) == ((1,),)
    both = make_task(target="multilabel", labels=["x", "y"]).card
    assert read_marks(cohort, both) == ((1, 2),)
    assert read_marks(cohort, make_task(labels=["z"]).card) == ()
    assert read_marks(cohort, make_task(labels=["z"], slices="key").card) == ((1, 2),)


def test_a_cohort_without_marks_is_fine_unless_the_task_needs_them(
    make_cohort: Make, make_task: Make
) -> None:
    assert read_marks(make_cohort(x=["1"]), make_task().card) == ()
    with pytest.raises(UnknownName, match="key_slices"):
        read_marks(make_cohort(x=["1"]), make_task(slices="key").card)


def test_marks_are_whole_numbers(make_cohort: Make, make_task: Make) -> None:
    with pytest.raises(BadTask, match="column key_slices of cohort c has the cell '3-5'"):
        read_marks(make_cohort(x=["1"], key_slices=["3-5"]), make_task().card)
