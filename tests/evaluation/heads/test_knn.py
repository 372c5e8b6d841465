import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.heads.knn import NEIGHBOURS, NearestClassifier, _residuals


def line(count: int) -> list[np.ndarray]:
    """Bags of one instance, each nearest to its neighbours on a quarter of a circle."""
    angles = np.linspace(0, 6, count)
    return [np.array([[np.cos(a), np.sin(a)]], np.float32) for a in angles]


def test_a_bag_is_what_its_neighbours_are() -> None:
    bags = line(60)
    truth = (np.arange(60) // 10) % 2
    head = NearestClassifier().fit(bags, truth)
    assert head.settings["neighbours"] in NEIGHBOURS
    scores = head.scores(bags)[:, 0]
    inside = np.arange(60) % 10
    middle = (inside > 2) & (inside < 7)
    assert ((scores > 0.5) == truth)[middle].all()


def test_few_bags_are_enough() -> None:
    scores = NearestClassifier().fit(line(2), [0, 1]).scores(line(2))
    assert np.isfinite(scores).all()


@given(times=st.lists(st.integers(0, 5), min_size=1, max_size=12), seed=st.integers(0, 99))
@settings(deadline=None)
def test_residuals_are_events_minus_nelson_aalens_hazard(times: list[int], seed: int) -> None:
    event = np.random.default_rng(seed).integers(0, 2, len(times))
    found = _residuals(np.stack([times, event], axis=1).astype(float))
    for i, time in enumerate(times):
        hazard = sum(
            sum(e for t, e in zip(times, event, strict=True) if t == moment)
            / sum(t >= moment for t in times)
            for moment in sorted(set(times))
            if moment <= time
        )
        assert found[i] == pytest.approx(event[i] - hazard)
    assert found.sum() == pytest.approx(0, abs=1e-9)


def test_sets_and_lists_give_the_same() -> None:
    bags, truth = line(30), np.arange(30) % 2
    head = NearestClassifier().fit(BagSet.of(bags), truth)
    np.testing.assert_allclose(head.scores(bags), NearestClassifier().fit(bags, truth).scores(bags))
