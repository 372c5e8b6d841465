from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from clearbench.evaluation.heads import mean_pool
from clearbench.evaluation.heads.mean_pool import fit_mean_pool
from clearbench.evaluation.metrics import auroc
from clearbench.evaluation.training import Rows, Targets

Make = Callable[..., Any]
TRUTH = [float(i % 2) for i in range(60)]
ROWS = Rows(tuple(range(30)), tuple(range(30, 40)), tuple(range(40, 60)))


def targets(values: Any, *, multiclass: bool = False, outputs: int = 1) -> Targets:
    return Targets(np.array(values, float).reshape(len(values), -1), multiclass, outputs)


def test_it_learns_what_bags_mean(make_bags: Make) -> None:
    scored = fit_mean_pool(make_bags(TRUTH), targets(TRUTH), ROWS, 0)
    truth = np.array(TRUTH)[list(ROWS.test)]
    assert scored.scores.shape == (20, 1)
    assert auroc(truth, scored.scores[:, 0], np.ones((1, 20)))[0] > 0.8
    assert scored.attention == ()
    assert float(scored.settings["strength"]) in mean_pool.STRENGTHS


def test_test_units_are_not_looked_at(make_bags: Make) -> None:
    """Other test bags and labels leave the model, and so the scores of the rest, as they are."""
    bags = make_bags(TRUTH)
    changed = [*bags[:50], *make_bags([5.0] * 10, seed=9)]
    flipped = [*TRUTH[:40], *(1 - v for v in TRUTH[40:])]
    first = fit_mean_pool(bags, targets(TRUTH), ROWS, 0)
    second = fit_mean_pool(changed, targets(flipped), ROWS, 0)
    np.testing.assert_array_equal(first.scores[:10], second.scores[:10])


def test_each_label_is_fitted_on_the_units_that_know_it(make_bags: Make, monkeypatch: Any) -> None:
    fitted: list[int] = []

    class Spy(LogisticRegression):  # type: ignore[misc]
        def fit(self, x: Any, y: Any, sample_weight: Any = None) -> Any:
            fitted.append(len(x))
            return super().fit(x, y, sample_weight)

    monkeypatch.setattr(mean_pool, "LogisticRegression", Spy)
    values = np.array([TRUTH, TRUTH]).T
    values[:20, 1] = np.nan
    scored = fit_mean_pool(make_bags(TRUTH), targets(values, outputs=2), ROWS, 0)
    assert scored.scores.shape == (20, 2)
    assert np.isfinite(scored.scores).all()
    grid = len(mean_pool.STRENGTHS)
    assert fitted == [30] * grid + [40] + [10] * grid + [20]


def test_a_label_with_one_value_says_nothing(make_bags: Make) -> None:
    for value in (0.0, 1.0, np.nan):
        values = np.stack([TRUTH, np.full(60, value)], axis=1)
        scored = fit_mean_pool(make_bags(TRUTH), targets(values, outputs=2), ROWS, 0)
        assert (scored.scores[:, 1] == 0.5).all()


def test_classes_have_probabilities(make_bags: Make) -> None:
    classes = [float(i % 3) for i in range(60)]
    scored = fit_mean_pool(
        make_bags(classes), targets(classes, multiclass=True, outputs=4), ROWS, 0
    )
    assert scored.scores.shape == (20, 4)
    np.testing.assert_allclose(scored.scores.sum(axis=1), 1)
    assert (scored.scores[:, 3] == 0).all(), "training never saw it"
    assert (scored.scores.argmax(axis=1) == np.array(classes)[40:]).mean() > 0.6
