"""A patient is on one side, in every fold that is ever made."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearbench.cards import check_card
from clearbench.errors import BadTask
from clearbench.evaluation.guards.split_check import check_split
from clearbench.evaluation.task.card import TaskCard
from clearbench.evaluation.task.splits import Fold, make_folds
from clearbench.evaluation.task.units import Units

GOOD = Fold(0, 1, ("a", "b"), ("c",), ("d", "e"))


def test_sound_folds_pass() -> None:
    check_split([GOOD, Fold(0, 2, ("d", "e"), ("c",), ("a", "b"))])


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        ((("a", "b"), ("c",), ("b", "d")), "patient b in both train and test"),
        ((("a", "b"), ("b",), ("d",)), "patient b in both train and tune"),
        ((("a",), ("c", "d"), ("d", "c")), "patients c, d in both tune and test"),
        (((), ("c",), ("d",)), "no patient in train"),
        ((("a",), ("c",), ()), "no patient in test"),
    ],
)
def test_a_fold_that_leaks_is_refused_by_name(sides: Any, words: str) -> None:
    with pytest.raises(BadTask, match=f"repeat 3, fold 2: {words}"):
        check_split([GOOD, Fold(3, 2, *sides)])


def test_many_patients_are_counted() -> None:
    both = tuple("abcdefg")
    with pytest.raises(BadTask, match="patients a, b, c, d, e and 2 more in both train and test"):
        check_split([Fold(0, 0, both, ("z",), both)])


def random_units(patients: int, scans: int, share: float, seed: int, sides: list[str]) -> Units:
    """Every scan is a unit of its own, so that a patient's scans could be torn apart."""
    rng = np.random.default_rng(seed)
    owners = rng.permutation(np.repeat(np.arange(patients), scans))
    side = np.array([sides[owner % len(sides)] for owner in range(patients)])
    ids = tuple(f"s{i}" for i in range(len(owners)))
    return Units(
        ids=ids,
        patients=tuple(f"p{owner}" for owner in owners),
        scans=tuple((name,) for name in ids),
        targets=(rng.random((len(owners), 1)) < share).astype(float),
        cohorts=("c",) * len(owners),
        sides=tuple(side[owners]),
    )


def task(**split: Any) -> TaskCard:
    facts = {"title": "T", "version": 1, "cohort": "c", "target": "binary", "labels": ["x"]}
    return check_card(facts | {"unit": "scan", "split": split}, TaskCard, "task")


quickly = settings(max_examples=40, deadline=None)
some = {
    "patients": st.integers(15, 60),
    "scans": st.integers(1, 4),
    "share": st.floats(0.1, 0.9),
    "seed": st.integers(0, 10_000),
}


@quickly
@given(folds=st.integers(2, 6), **some)
def test_no_patient_of_random_folds_is_on_two_sides(
    patients: int, scans: int, share: float, seed: int, folds: int
) -> None:
    units = random_units(patients, scans, share, seed, [""])
    made = make_folds(units, task(folds=folds, repeats=2, seed=seed))
    check_split(made)
    for repeat in (0, 1):
        tested = [name for fold in made if fold.repeat == repeat for name in fold.test]
        assert sorted(tested) == sorted(set(units.patients))


@quickly
@given(**some)
def test_no_patient_of_groups_left_out_is_on_two_sides(
    patients: int, scans: int, share: float, seed: int
) -> None:
    units = random_units(patients, scans, share, seed, ["north", "south", "", "west"])
    made = make_folds(units, task(group="site"))
    check_split(made)
    assert len(made) == 3


@quickly
@given(**some)
def test_no_patient_of_a_fixed_split_is_on_two_sides(
    patients: int, scans: int, share: float, seed: int
) -> None:
    units = random_units(patients, scans, share, seed, ["train", "test", "train"])
    [fold] = make_folds(units, task(column="split"))
    check_split([fold])
    assert len(fold.train + fold.tune + fold.test) == patients
