"""A patient under two ids is named before a score is believed."""

import numpy as np
import pytest

from clearbench.evaluation.guards.same_patient import same_patients, same_patients_alarm
from clearbench.evaluation.task.splits import Fold
from clearbench.evaluation.task.units import Units


def units(*patients: str, cohorts: tuple[str, ...] = ()) -> Units:
    """One unit per patient."""
    count = len(patients)
    return Units(
        ids=patients,
        patients=patients,
        scans=tuple((f"s{n}",) for n in range(count)),
        targets=np.zeros((count, 1)),
        cohorts=cohorts or ("c",) * count,
        sides=("",) * count,
    )


@pytest.mark.parametrize(
    "pair",
    [
        ("0012", "12"),
        ("12", "12.0"),
        ("P7", "p7"),
        ("A 1", "a1"),
        ("P01", "P1"),
        ("sub-001", "sub-1"),
        ("P-001", "P001"),
    ],
)
def test_spellings_of_one_id_are_found(pair: tuple[str, str]) -> None:
    assert same_patients(units("x", *pair, "y")) == (pair,)


def test_the_alarm_says_whether_they_are_on_two_sides_and_what_to_do() -> None:
    some = units("0012", "12", "7", "8")
    apart = Fold(0, 0, ("0012", "7"), (), ("12", "8"))
    alarm = same_patients_alarm(some, [apart])
    assert "0012 = 12" in alarm
    assert "1 of them on two sides of a fold" in alarm
    assert "in the cohort table" in alarm
    together = Fold(0, 0, ("0012", "12"), (), ("7", "8"))
    assert "two sides" not in same_patients_alarm(some, [together])


def test_one_id_in_the_cohort_of_training_and_in_the_test_cohort() -> None:
    """But data sets may both count from 1."""
    two = units("a/P7", "a/1", "b/p7", "b/1", cohorts=("a", "a", "b", "b"))
    assert same_patients(two) == (("a/P7", "b/p7"),)
    assert "take them out of one of the two" in same_patients_alarm(two, [])


def test_other_ids_are_no_alarm() -> None:
    assert same_patients_alarm(units("P1", "P10", "P11", "Q1"), []) == ""
    assert same_patients_alarm(units(*(f"P{n}" for n in range(300))), []) == ""
    assert same_patients_alarm(units("1-11", "11-1", "111", "1-1-1"), []) == ""
