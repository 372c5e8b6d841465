from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearbench.errors import BadTask
from clearbench.evaluation.task.card import Split, TaskCard
from clearbench.evaluation.task.splits import (
    Fold,
    known_labels,
    make_folds,
    patient_labels,
    split_sha256,
    stratify,
)
from clearbench.evaluation.task.units import Units, make_units

Make = Callable[..., Any]


def card(**facts: Any) -> TaskCard:
    plain = {"title": "T", "version": 1, "cohort": "c", "target": "binary", "labels": ("x",)}
    return TaskCard.model_validate(plain | facts)


def units_of(patients: list[int], truth: list[float], order: list[int] | None = None) -> Units:
    rows = order or list(range(len(patients)))
    return Units(
        ids=tuple(f"u{i}" for i in rows),
        patients=tuple(f"p{patients[i]}" for i in rows),
        scans=tuple((f"s{i}",) for i in rows),
        targets=np.array([[truth[i]] for i in rows]),
        cohorts=("c",) * len(rows),
        sides=("",) * len(rows),
    )


cohorts = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from([0.0, 1.0])), min_size=30, max_size=80
).filter(lambda rows: len({patient for patient, _ in rows}) >= 10)
quickly = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quickly
@given(cohorts, st.integers(2, 5), st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_folds_are_honest(rows: Any, folds: int, seed: int, random: Any) -> None:
    """No patient on two sides, each tested once a repeat, and row order doesn't matter."""
    patients, truth = [row[0] for row in rows], [row[1] for row in rows]
    split = Split(folds=folds, repeats=2, seed=seed)
    found = make_folds(units_of(patients, truth), card(split=split))
    everyone = {f"p{patient}" for patient in patients}
    assert len(found) == 2 * folds
    for fold in found:
        sides = [set(fold.train), set(fold.tune), set(fold.test)]
        assert all(sides)
        assert sum(map(len, sides)) == len(everyone)
        assert set.union(*sides) == everyone
    for repeat in range(2):
        tested = [p for fold in found if fold.repeat == repeat for p in fold.test]
        assert sorted(tested) == sorted(everyone)
    order = list(range(len(rows)))
    random.shuffle(order)
    again = make_folds(units_of(patients, truth, order), card(split=split))
    assert again == found
    assert split_sha256(again) == split_sha256(found)


@quickly
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(20, 90), st.integers(1, 4))
def test_strata_are_equal(seed: int, folds: int, rows: int, labels: int) -> None:
    """Sizes differ by two at most, and the rarest label by one."""
    truth = np.random.default_rng(seed).random((rows, labels)) < np.linspace(0.2, 0.6, labels)
    fold = stratify(truth, folds, seed)
    sizes = np.bincount(fold, minlength=folds)
    assert np.ptp(sizes) <= labels + 1
    rarest = truth[:, truth.sum(axis=0).argmin()]
    assert np.ptp(np.bincount(fold[rarest], minlength=folds)) <= 1


def test_one_label_is_shared_to_the_patient() -> None:
    truth = np.array([[i % 4 == 0] for i in range(103)])
    fold = stratify(truth, 5, 0)
    assert np.ptp(np.bincount(fold[truth[:, 0]], minlength=5)) <= 1
    assert np.ptp(np.bincount(fold, minlength=5)) <= 1


def test_repeats_and_seeds_differ() -> None:
    units = units_of(list(range(40)), [float(i % 2) for i in range(40)])
    first = make_folds(units, card(split=Split(folds=2, repeats=2, seed=1)))
    other = make_folds(units, card(split=Split(folds=2, repeats=2, seed=2)))
    assert first[0].test != first[2].test
    assert split_sha256(first) != split_sha256(other)


def test_a_published_split_stays_as_it_is() -> None:
    """Results of other machines and years are compared by this digest."""
    units = units_of([i // 2 for i in range(80)], [float(i % 3 == 0) for i in range(80)])
    folds = make_folds(units, card(split=Split(folds=5, repeats=2, seed=1337)))
    digest = "1648ddecf232b1443623505958c8829cfa3eaea5fcdec03b2fda9c9ed693eea3"
    assert split_sha256(folds) == digest


def test_fewer_patients_than_folds_are_refused() -> None:
    with pytest.raises(BadTask, match="3 patients can't make 5 folds"):
        make_folds(units_of([0, 0, 1, 1, 2, 2], [0.0, 1.0] * 3), card())


def test_classes_and_labels_are_joined_by_patient() -> None:
    units = units_of([0, 0, 1], [np.nan, 2.0, 0.0])
    stages = card(target="multiclass", classes=("I", "II", "III"))
    units = units.take([1, 2])
    patients, labels = patient_labels(units, stages)
    assert patients == ("p0", "p1")
    assert labels.tolist() == [[False, False, True], [True, False, False]]
    assert known_labels(units, stages).all()


def test_unknown_labels_are_no_negatives() -> None:
    units = Units(
        ("a", "b", "c"), ("p1", "p1", "p0"), ((), (), ()),
        np.array([[np.nan, 1.0], [0.0, np.nan], [np.nan, 0.0]]), ("c",) * 3, ("",) * 3,
    )  # fmt: skip
    both = card(target="multilabel", labels=("x", "y"))
    assert patient_labels(units, both)[1].tolist() == [[False, False], [False, True]]
    assert known_labels(units, both).tolist() == [[False, True], [True, True]]


def fixed(make_cohort: Make, sides: list[str | None], **columns: Any) -> tuple[Fold, ...]:
    x = [str(i % 2) for i in range(len(sides))]
    cohort = make_cohort(side=sides, x=x, **columns)
    task = card(split={"column": "side"}, **({"unit": "scan"} if columns else {}))
    return make_folds(make_units(cohort, task), task)


def test_a_fixed_split_is_the_columns(make_cohort: Make) -> None:
    [fold] = fixed(make_cohort, ["train", "train", "val", "test", None])
    assert (fold.train, fold.tune, fold.test) == (("p0", "p1"), ("p2",), ("p3",))


def test_a_fixed_split_without_tuning_part_takes_a_fifth(make_cohort: Make) -> None:
    [fold] = fixed(make_cohort, ["train"] * 20 + ["test"] * 5)
    assert (len(fold.train), len(fold.tune), len(fold.test)) == (16, 4, 5)
    assert not set(fold.train) & set(fold.tune)


@pytest.mark.parametrize("sides", [["train"] * 4, ["test"] * 4, ["train", "test"], ["val", "test"]])
def test_an_empty_side_is_refused(make_cohort: Make, sides: list[str | None]) -> None:
    with pytest.raises(BadTask, match="a fixed split needs train and test patients"):
        fixed(make_cohort, sides)


def test_a_patient_on_two_sides_is_refused(make_cohort: Make) -> None:
    sides: list[str | None] = ["train", "test", "train", "test"]
    with pytest.raises(BadTask, match="patient a is on several sides"):
        fixed(make_cohort, sides, patient_id=["a", "a", "b", "c"])


def test_one_group_is_left_out_in_turn(make_cohort: Make) -> None:
    sites = ["A", "B", "C", "A", "B", "C", "A", "B", None, None]
    x = [str(i % 2) for i in range(10)]
    task = card(split={"group": "site"})
    found = make_folds(make_units(make_cohort(site=sites, x=x), task), task)
    assert [fold.test for fold in found] == [("p0", "p3", "p6"), ("p1", "p4", "p7"), ("p2", "p5")]
    for fold in found:
        sides = [set(fold.train), set(fold.tune), set(fold.test)]
        assert all(sides)
        assert sum(map(len, sides)) == len(set.union(*sides)) == 10
    with pytest.raises(BadTask, match="needs two or more; the cohort has A"):
        make_folds(make_units(make_cohort(site=["A"] * 10, x=x), task), task)
    two = make_cohort(patient_id=["a", "a"], site=["A", "B"], x=["0", "1"])
    scans = card(split={"group": "site"}, unit="scan")
    with pytest.raises(BadTask, match=r"patient a is in several groups of site \(A, B\)"):
        make_folds(make_units(two, scans), scans)


def test_another_cohort_is_tested_whole_and_never_trains(make_cohort: Make) -> None:
    """Patients of one name in two cohorts are two patients."""
    task = card(split={"test": ["d"]})
    here = make_units(make_cohort(x=[str(i % 2) for i in range(10)]), task)
    there = replace(here.take([0, 1]), cohorts=("d",) * 2)
    [fold] = make_folds(here.joined(there), task)
    assert fold.test == ("d/p0", "d/p1")
    assert {*fold.train, *fold.tune} == {f"c/p{i}" for i in range(10)}
    assert fold.tune


def test_ordinal_and_survival_targets_are_stratified() -> None:
    stages = card(target="ordinal", classes=("I", "II", "III"))
    units = units_of(list(range(30)), [float(i % 3) for i in range(30)])
    for fold in make_folds(units, stages):
        rows = [int(name[1:]) % 3 for name in fold.test]
        assert [rows.count(k) for k in range(3)] == [2, 2, 2]
    lives = replace(units, targets=np.array([[float(i), float(i % 5 == 0)] for i in range(30)]))
    for fold in make_folds(lives, card(target="survival", labels=("time", "event"))):
        assert sum(int(name[1:]) % 5 == 0 for name in fold.test) in (1, 2)
