from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from clearbench.cohort.table import check_cohort
from clearbench.datasets.public.ct_ich import build
from clearbench.evaluation.attention.localisation import (
    UnitSlices,
    expected_average_precision,
    localisation,
    slices_of,
)
from clearbench.evaluation.bags.load import Bag

marks = st.lists(st.booleans(), min_size=2, max_size=12).filter(lambda m: any(m) and not all(m))


def bag_of(scans: Sequence[str], indices: Sequence[int], views: Sequence[str]) -> Bag:
    return Bag(np.zeros((len(scans), 2), np.float32), tuple(scans), np.array(indices), tuple(views))


def unit(attention: Sequence[float], marked: Sequence[int], name: str = "u") -> UnitSlices:
    flags = np.array(marked, bool)
    return UnitSlices(name, f"p-{name}", np.array(attention), flags, np.zeros(len(flags)))


def test_average_precision_by_hand() -> None:
    marked = np.array([True, False, True, False])
    assert expected_average_precision(np.array([0.4, 0.3, 0.2, 0.1]), marked) == pytest.approx(
        (1 + 2 / 3) / 2
    )
    assert expected_average_precision(np.array([0.1, 0.2, 0.3, 0.4]), marked) == pytest.approx(0.5)
    assert np.isnan(expected_average_precision(np.zeros(2), np.zeros(2, bool)))


def test_of_two_equal_slices_either_may_come_first() -> None:
    assert expected_average_precision(
        np.array([1.0, 1.0]), np.array([True, False])
    ) == pytest.approx(0.75)
    found = expected_average_precision(np.array([2.0, 1.0, 1.0]), np.array([False, True, False]))
    assert found == pytest.approx((1 / 2 + 1 / 3) / 2)


@given(marked=marks, seed=st.integers(0, 999))
def test_without_ties_it_is_that_of_scikit_learn(marked: list[bool], seed: int) -> None:
    scores = np.random.default_rng(seed).permutation(len(marked)).astype(float)
    found = expected_average_precision(scores, np.array(marked))
    assert found == pytest.approx(average_precision_score(marked, scores))


@given(marked=marks, seed=st.integers(0, 999))
def test_attention_on_marked_slices_alone_gives_1(marked: list[bool], seed: int) -> None:
    rng = np.random.default_rng(seed).uniform(size=len(marked))
    scores = np.where(marked, 1 + rng, rng)
    assert expected_average_precision(scores, np.array(marked)) == pytest.approx(1)
    assert expected_average_precision(scores, np.array(marked)) >= expected_average_precision(
        -scores, np.array(marked)
    )


@given(marked=marks)
def test_equal_slices_give_the_known_formula(marked: list[bool]) -> None:
    n, hits = len(marked), sum(marked)
    harmonic = (1 / np.arange(1, n + 1)).sum()
    wanted = (harmonic + (hits - 1) / (n - 1) * (n - harmonic)) / n
    assert expected_average_precision(np.ones(n), np.array(marked)) == pytest.approx(wanted)


@pytest.mark.parametrize("levels", [1, 3])
def test_ties_give_the_mean_over_many_random_orders(levels: int) -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, levels, size=15).astype(float)
    marked = rng.permutation(15) < 4
    found = [
        average_precision_score(marked, scores + 1e-6 * rng.permutation(15)) for _ in range(4000)
    ]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(expected_average_precision(scores, marked) - np.mean(found)) < 4 * error


def test_a_slice_has_the_attention_of_its_views_and_the_middle_is_that_of_its_own_scan() -> None:
    bag = bag_of(
        ["b", "b", "b", "b", "a", "a", "a"], [5, 5, 7, 7, 2, 3, 4], [*"xyxy", "x", "x", "x"]
    )
    weights = np.array([0.1, 0.2, 0.3, 0.1, 0.05, 0.1, 0.15], np.float32)
    found = slices_of(bag, weights, {"a": (3, 9), "b": (7,)}, "u", "p")
    np.testing.assert_allclose(found.attention, [0.05, 0.1, 0.15, 0.3, 0.4], rtol=1e-6)
    assert found.marked.tolist() == [False, True, False, False, True]
    assert found.central.tolist() == [-0.5, 0, -0.5, -0.5, -0.5]
    assert found.can_be_ranked


def test_the_index_of_one_scan_marks_no_slice_of_another() -> None:
    bag = bag_of(["a", "b"], [3, 3], ["x", "x"])
    found = slices_of(bag, np.ones(2, np.float32), {"a": (3,)}, "u", "p")
    assert found.marked.tolist() == [True, False]


def test_units_that_cannot_be_ranked_are_left_out_and_counted_once() -> None:
    good = unit([0.7, 0.2, 0.1], [1, 0, 0], "good")
    bad = unit([0.1, 0.2, 0.7], [1, 0, 0], "bad")
    lost = [unit([0.5, 0.5], [1, 1], "all"), unit([0.5, 0.5], [0, 0], "none")]
    found = localisation([good, bad, *lost, good, bad, *lost])
    assert (found.units, found.left_out) == (2, 2)
    assert found.attention.value == pytest.approx((1 + 1 / 3) / 2)
    assert found.uniform.value == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert (found.attention.low, found.attention.high) == pytest.approx((1 / 3, 1))
    none = localisation(lost)
    assert none.units == 0
    assert np.isnan(none.attention.value)


def test_ct_ich_marks_can_be_ranked_in_every_patient_with_haemorrhage(shared_data: Path) -> None:
    root = shared_data / "ct-ich"
    cohort = check_cohort(build(root).table, "", root / "cohort.csv")
    slices = []
    for patient, cell in zip(cohort.column("patient_id"), cohort.column("key_slices"), strict=True):
        keys = tuple(map(int, (cell or "").split()))
        indices = [int(path.stem) for path in sorted((root / str(patient) / "brain").glob("*.jpg"))]
        assert set(keys) <= set(indices)
        if keys:
            bag = bag_of(["s"] * len(indices), indices, ["brain"] * len(indices))
            oracle = np.isin(indices, keys).astype(np.float32)
            slices.append(slices_of(bag, oracle, {"s": keys}, str(patient), str(patient)))
    found = localisation(slices)
    assert (found.units, found.left_out) == (36, 0)
    assert found.attention.value == pytest.approx(1)
    assert 0.2 < found.uniform.value < found.uniform.high < found.central.value < 0.8
