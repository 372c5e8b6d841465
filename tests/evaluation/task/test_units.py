from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from clearbench.errors import BadTask, UnknownName
from clearbench.evaluation.task.units import make_units, unlabelled_units

Make = Callable[..., Any]


def test_a_units_value_is_the_greatest_known(make_cohort: Make, make_task: Make) -> None:
    cohort = make_cohort(
        patient_id=["a", "a", "b", "b", "c", "c", "d"],
        x=["0", "1", None, "0", None, "yes", None],
    )
    units = make_units(cohort, make_task().card)
    assert dict(zip(units.ids, units.targets[:, 0], strict=True)) == {"a": 1, "b": 0, "c": 1}
    assert units.scans[0] == ("s0", "s1")
    assert units.excluded == ("1 of 4 patient units have no label",)


def test_each_label_of_several_is_joined_alone(make_cohort: Make, make_task: Make) -> None:
    cohort = make_cohort(patient_id=["a", "a"], x=["1", "0"], y=[None, None])
    task = make_task(target="multilabel", labels=["x", "y"])
    np.testing.assert_array_equal(make_units(cohort, task.card).targets, [[1.0, np.nan]])


def test_classes_that_contradict_are_refused_by_name(make_cohort: Make, make_task: Make) -> None:
    stages = make_task(target="multiclass", classes=["I", "II", "III"])
    cohort = make_cohort(patient_id=["a", "a"], x=["III", "I"])
    with pytest.raises(BadTask, match="patient a has contradicting values of x: I, III"):
        make_units(cohort, stages.card)
    scans = make_task(target="multiclass", classes=["I", "II", "III"], unit="scan")
    assert make_units(cohort, scans.card).targets.tolist() == [[2.0], [0.0]]


def test_no_label_at_all_is_refused(make_cohort: Make, make_task: Make) -> None:
    with pytest.raises(BadTask, match="no patient of cohort c has a value of x"):
        make_units(make_cohort(x=[None, None]), make_task().card)
    with pytest.raises(UnknownName, match=r"column of cohort c.*did you mean xx"):
        make_units(make_cohort(xx=["1"]), make_task(labels=["xxx"]).card)


def test_units_are_patients_studies_or_scans(make_cohort: Make, make_task: Make) -> None:
    cohort = make_cohort(patient_id=["a", "a", "a"], study_id=["1", "1", "2"], x=["0", "1", "0"])
    found = {
        unit: make_units(cohort, make_task(unit=unit).card).targets[:, 0].tolist()
        for unit in ("patient", "study", "scan")
    }
    assert found == {"patient": [1], "study": [1, 0], "scan": [0, 1, 0]}


def test_studies_need_ids(make_cohort: Make, make_task: Make) -> None:
    with pytest.raises(BadTask, match="needs a study_id for every scan"):
        make_units(make_cohort(x=["1"]), make_task(unit="study").card)
    with pytest.raises(BadTask, match="needs a study_id for every scan"):
        make_units(make_cohort(x=["1", "1"], study_id=["1", None]), make_task(unit="study").card)


def test_a_study_of_two_patients_is_refused(make_cohort: Make, make_task: Make) -> None:
    """It could be on both sides of a split."""
    cohort = make_cohort(study_id=["first", "first"], x=["1", "0"])
    with pytest.raises(BadTask, match=r"study first belongs to several patients \(p0, p1\)"):
        make_units(cohort, make_task(unit="study").card)


@pytest.mark.parametrize(
    ("select", "scans", "value"), [("all", 4, 1), ("first", 2, 0), ("last", 1, 1)]
)
def test_scans_are_selected_by_day(
    make_cohort: Make, make_task: Make, select: str, scans: int, value: int
) -> None:
    cohort = make_cohort(
        patient_id=["a"] * 4, day=["10", "-2", "9.5", "-2"], x=["1", "0", "0", "0"]
    )
    units = make_units(cohort, make_task(select=select).card)
    assert len(units.scans[0]) == scans
    assert units.targets[0, 0] == value


def test_units_on_no_side_are_left_out(make_cohort: Make, make_task: Make) -> None:
    cohort = make_cohort(side=["Train", "VAL", "holdout", None, "spare"], x=["1"] * 5)
    units = make_units(cohort, make_task(split={"column": "side"}).card)
    assert units.sides == ("train", "tune", "test")
    assert units.excluded == (
        "2 of 5 patient units are neither train, val nor test in column side (blank, spare)",
    )


def test_sides_that_are_none_are_refused(make_cohort: Make, make_task: Make) -> None:
    cohort = make_cohort(side=["A", "B"], x=["1", "0"])
    with pytest.raises(BadTask, match="column side must have the values train and test; it has A"):
        make_units(cohort, make_task(split={"column": "side"}).card)


def test_a_unit_on_two_sides_is_refused(make_cohort: Make, make_task: Make) -> None:
    cohort = make_cohort(patient_id=["a", "a"], side=["train", "test"], x=["1", "0"])
    with pytest.raises(BadTask, match=r"patient a is on several sides of the split \(test, train"):
        make_units(cohort, make_task(split={"column": "side"}).card)


def test_survival_is_time_and_event(make_cohort: Make, make_task: Make) -> None:
    task = make_task(target="survival", labels=["days", "dead"])
    cohort = make_cohort(days=["12.5", "3", None], dead=["1", "0", "1"])
    units = make_units(cohort, task.card)
    assert units.targets.tolist() == [[12.5, 1], [3, 0]]
    assert units.excluded == ("1 of 3 patient units have no label",)
    twice = make_cohort(patient_id=["a", "a"], days=["1", "2"], dead=["1", "1"])
    with pytest.raises(BadTask, match="contradicting values of days, dead: 1/1, 2/1"):
        make_units(twice, task.card)


def test_scans_are_selected_by_their_day(make_cohort: Make, make_task: Make) -> None:
    cohort = make_cohort(
        patient_id=["a", "a", "a", "b"], day=["-3", "0", "5", "1"], x=["1", "1", "1", "0"]
    )
    for test, scans in (("day <= 0", ("s0", "s1")), ("day>0", ("s2",)), ("day = -3", ("s0",))):
        assert make_units(cohort, make_task(select=test).card).scans[0] == scans
    before = make_units(cohort, make_task(select="day < 1").card)
    assert before.ids == ("a",)
    assert before.excluded == ("1 of 2 patient units have no scan with day < 1",)
    with pytest.raises(BadTask, match='no scan of cohort c is selected by "day > 9"'):
        make_units(cohort, make_task(select="day > 9").card)


def test_key_slices_are_whole_numbers(make_cohort: Make, make_task: Make) -> None:
    task = make_task(slices="key").card
    units = make_units(make_cohort(x=["1"], key_slices=["3 14"]), task)
    assert units.key_slices == (((3, 14),),)
    with pytest.raises(BadTask, match="column key_slices of cohort c has the cell '3-5'"):
        make_units(make_cohort(x=["1"], key_slices=["3-5"]), task)
    with pytest.raises(BadTask, match="no unit has a marked slice"):
        make_units(make_cohort(x=["1"], key_slices=[None]), task)


def test_marks_are_known_also_where_the_task_takes_every_slice(
    make_cohort: Make, make_task: Make
) -> None:
    cohort = make_cohort(
        patient_id=["b", "a", "a"], x=["1", "1", "0"], key_slices=["5", "2 1", None]
    )
    units = make_units(cohort, make_task().card)
    assert units.key_slices == ()
    assert units.marked == (((1, 2), ()), ((5,),))
    assert units.take([1]).marked == (((5,),),)
    plain = make_cohort(x=["1", "0"], key_slices=[None, None])
    assert make_units(plain, make_task().card).marked == ()


def test_of_two_cohorts_one_may_know_no_marks(make_cohort: Make, make_task: Make) -> None:
    known = make_units(make_cohort(x=["1"], key_slices=["4"]), make_task().card)
    other = make_units(make_cohort(x=["1", "0"]), make_task().card)
    assert known.joined(other).marked == (((4,),), ((),), ((),))
    assert other.joined(known).marked == (((),), ((),), ((4,),))
    assert other.joined(other).marked == ()


def test_units_to_predict_need_no_label_and_no_side(make_cohort: Make, make_task: Make) -> None:
    cohort = make_cohort(patient_id=["p1", "p0", "p1"], day=[3, 0, 1])
    task = make_task(select="last", split={"column": "side"})
    units = unlabelled_units(cohort, task.card)
    assert (units.ids, units.scans) == (("p0", "p1"), (("s1",), ("s0",)))
    assert np.isnan(units.targets).all()
    assert units.targets.shape == (2, 1)
