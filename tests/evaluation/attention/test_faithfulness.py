from collections.abc import Sequence
from typing import Self

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clearbench.evaluation.attention.faithfulness import (
    MOST_UNITS,
    STEPS,
    Curves,
    areas,
    measure_faithfulness,
    parts_of,
    trace_curves,
)
from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.heads.estimator import BagEstimator, Bags, Predictions, as_set
from clearbench.evaluation.heads.mil import MILClassifier
from clearbench.evaluation.heads.training import LabelledBags


class Brightest(BagEstimator):
    """Score a bag by its largest value; call that instance important, or the smallest."""

    def __init__(self, honest: bool = True, target: str = "binary", classes: int = 2) -> None:
        self.honest = honest
        self.target = target
        self.classes = classes

    def fit_labelled(self, train: LabelledBags, tune: LabelledBags) -> Self:
        """Fit nothing."""
        del train, tune
        return self

    def predictions(self, bags: Bags) -> Predictions:
        """Return the largest value, and each value (or its opposite) as importance."""
        found = [bag[:, 0] for bag in as_set(bags)._given()]
        sign = 1 if self.honest else -1
        scores = np.array([[bag.max(), 0.0] for bag in found], np.float64)
        return Predictions(scores, np.zeros(2), tuple(sign * bag for bag in found))


def bags_of(*values: Sequence[float]) -> BagSet:
    return BagSet.of([np.array(bag, np.float32)[:, None] for bag in values])


HAS_FIRST = np.array([True, False])


def test_the_only_informative_instance_takes_the_score_with_it() -> None:
    bag = bags_of([0.0] * 4 + [1.0] + [0.0] * 5)
    found = trace_curves(Brightest(), bag, np.array([4, 0, 1, 2, 3, 5, 6, 7, 8, 9]), HAS_FIRST)
    np.testing.assert_allclose(found.deletion, [1] + [0] * 9, atol=1e-6)
    np.testing.assert_allclose(found.insertion, [1] * 10, atol=1e-6)
    last = trace_curves(Brightest(), bag, np.array([0, 1, 2, 3, 5, 6, 7, 8, 9, 4]), HAS_FIRST)
    np.testing.assert_allclose(last.deletion, [1] * 10, atol=1e-6)
    np.testing.assert_allclose(last.insertion, [0] * 9 + [1], atol=1e-6)


def test_areas_by_hand() -> None:
    curves = Curves(np.array([1.0] + [0.0] * 9), np.arange(10) / 9)
    np.testing.assert_allclose(areas(curves), [0.5 / 9, 0.5])
    np.testing.assert_allclose(areas(Curves(np.full(10, 0.3), np.full(10, 0.3))), 0.3)


@given(order=st.integers(1, 40).flatmap(lambda n: st.permutations(range(n))))
def test_instances_leave_and_come_in_their_order_and_no_part_is_empty(order: list[int]) -> None:
    there = parts_of(np.array(order))
    assert there.shape == (2 * STEPS, len(order))
    assert there.any(axis=1).all()
    assert there[0].all()
    assert there[-1].all()
    for part, kept in enumerate(there[:, order]):
        left = kept[::-1] if part < STEPS else kept  # those there are the last, or the first
        assert not np.diff(left.astype(int)).max(initial=-1) > 0
    counts = there.sum(axis=1)
    assert (np.diff(counts[:STEPS]) <= 0).all()
    assert (np.diff(counts[STEPS:]) >= 0).all()
    if len(order) % 10 == 0:
        assert counts.tolist() == [len(order) * k // 10 for k in (*range(10, 0, -1), *range(1, 11))]


def test_honest_importances_gain_and_perverse_ones_lose() -> None:
    bags = bags_of(*np.random.default_rng(0).normal(size=(6, 20)))
    positive = np.repeat(HAS_FIRST[None], 6, axis=0)
    for honest, sign in ((True, 1), (False, -1)):
        head = Brightest(honest)
        found = measure_faithfulness(head, bags, head.predictions(bags), positive, seed=0)
        assert (sign * found.deletion > 0).all()
        assert (sign * found.insertion > 0).all()


def test_only_units_with_an_output_and_more_than_one_instance_are_asked() -> None:
    bags = bags_of([1.0, 0.0], [1.0], [2.0, 3.0, 1.0], [0.0, 1.0])
    positive = np.array([[True, False], [True, False], [False, False], [False, True]])
    head = Brightest()
    found = measure_faithfulness(head, bags, head.predictions(bags), positive, seed=0)
    assert found.places.tolist() == [0, 3]
    assert found.deletion[1] == found.insertion[1] == 0  # the other output is always 0
    silent = measure_faithfulness(
        head, bags, Predictions(np.zeros((4, 2)), np.zeros(2)), positive, seed=0
    )
    assert len(silent.places) == len(silent.deletion) == len(silent.insertion) == 0


def test_of_many_units_the_same_random_ones_are_taken_each_time() -> None:
    bags = bags_of(*np.random.default_rng(1).normal(size=(MOST_UNITS + 50, 3)))
    positive = np.repeat(HAS_FIRST[None], len(bags), axis=0)
    head = Brightest()
    one, again = (
        measure_faithfulness(head, bags, head.predictions(bags), positive, seed=3) for _ in range(2)
    )
    assert len(set(one.places)) == MOST_UNITS
    np.testing.assert_array_equal(one.places, again.places)
    np.testing.assert_array_equal(one.deletion, again.deletion)


def test_a_trained_head_drops_at_once_when_its_evidence_leaves() -> None:
    truth = np.arange(60) % 2
    rng = np.random.default_rng(2)
    raw = []
    for value in truth:
        bag = rng.normal(size=(20, 8)).astype(np.float32)
        bag[:2, 0] += 8 * value
        raw.append(bag)
    bags = BagSet.of(raw)
    head = MILClassifier("abmil").fit(bags.take(np.arange(40)), truth[:40])
    tested = bags.take(np.arange(40, 60))
    predictions = head.predictions(tested)
    row = int(np.flatnonzero(truth[40:])[0])
    found = trace_curves(
        head, tested.take([row]), np.argsort(-predictions.attention[row]), np.array([True])
    )
    np.testing.assert_allclose(found.deletion[0], predictions.scores[row, 0], rtol=1e-4)
    assert found.deletion[1] < 0.5 < found.deletion[0]
    positive = truth[40:, None] == 1
    gains = measure_faithfulness(head, tested, predictions, positive, seed=0)
    assert gains.places.tolist() == np.flatnonzero(truth[40:]).tolist()
    assert gains.deletion.mean() > 0.2
    assert gains.insertion.mean() > 0.05
