"""Every head, as its user meets it: fit(bags, y), predict_proba(bags)."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from clearbench.errors import BadTask, UnknownName
from clearbench.evaluation.head_registry import HEADS, find_head
from clearbench.evaluation.heads.estimator import BagEstimator, HeadRequest
from clearbench.evaluation.heads.make import make_head
from clearbench.evaluation.heads.presets import PRESETS
from clearbench.metrics import auroc

QUICK = replace(
    PRESETS["default"],
    steps=25,
    batch_size=8,
    learning_rate=3e-3,
    weight_decay=1e-2,
    networks=2,
    passes=0,
)
N, CUT = 60, 40
Y = np.arange(N) % 3


@pytest.fixture(scope="module")
def bags() -> list[np.ndarray]:
    """Sixty bags, a third of each class; each class shifts a feature further."""
    rng = np.random.default_rng(0)
    found = []
    for value in Y:
        bag = rng.normal(size=(rng.integers(3, 9), 8)).astype(np.float32) + 20
        bag[:, 0] += 2 * value
        found.append(bag)
    return found


def truth_of(target: str) -> Any:
    """Return targets of the sixty bags; the greater class lives shorter."""
    times = np.stack([10.0 - 3 * Y + np.arange(N) % 2, np.arange(N) % 5 > 0], axis=1)
    return {
        "binary": Y > 0,
        "multiclass": Y,
        "ordinal": Y,
        "multilabel": np.stack([Y > 0, Y > 1], axis=1),
        "survival": times,
    }[target]


def new(head: str, target: str, seed: int = 0) -> BagEstimator:
    return make_head(HeadRequest(head, target, 3, QUICK, seed))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("target", ["binary", "multiclass", "ordinal", "multilabel", "survival"])
def test_it_learns_every_kind_of_target(head: str, target: str, bags: list[np.ndarray]) -> None:
    truth = truth_of(target)
    found = new(head, target).fit(bags[:CUT], truth[:CUT])
    scores = found.scores(bags[CUT:])
    outputs = {"multiclass": 3, "ordinal": 2, "multilabel": 2}.get(target, 1)
    assert scores.shape == (N - CUT, outputs)
    positive = (Y[CUT:] > (0 if outputs == 1 else 1)).astype(float)
    assert auroc(positive, scores[:, -1], np.ones((1, N - CUT)))[0] > 0.8


@pytest.mark.parametrize("head", HEADS)
def test_probabilities_are_those_of_classes(head: str, bags: list[np.ndarray]) -> None:
    for target, columns in (("binary", 2), ("multiclass", 3), ("ordinal", 3), ("multilabel", 2)):
        found = new(head, target).fit(bags, truth_of(target)).predict_proba(bags[:7])
        assert found.shape == (7, columns)
        assert (found >= 0).all()
        if target != "multilabel":
            np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    with pytest.raises(BadTask, match="not probabilities"):
        new(head, "survival").fit(bags, truth_of("survival")).predict_proba(bags)


@pytest.mark.parametrize("head", HEADS)
def test_predicting_does_not_change_a_head(head: str, bags: list[np.ndarray]) -> None:
    """Scores of a bag are the same alone and next to extreme ones."""
    model = new(head, "binary").fit(bags[:CUT], truth_of("binary")[:CUT])
    wild = [bag * 50 for bag in bags[:5]]
    np.testing.assert_allclose(
        model.scores(bags[CUT:]), model.scores([*bags[CUT:], *wild])[:-5], atol=1e-3
    )


@pytest.mark.parametrize("head", HEADS)
def test_the_seed_decides_and_nothing_else(head: str, bags: list[np.ndarray]) -> None:
    first, second = (new(head, "binary", 3).fit(bags, truth_of("binary")) for _ in range(2))
    np.testing.assert_array_equal(first.scores(bags), second.scores(bags))


@pytest.mark.parametrize("head", HEADS)
def test_unknown_labels_are_left_out(head: str, bags: list[np.ndarray]) -> None:
    values = truth_of("multilabel").astype(float)
    values[:20, 1] = np.nan
    assert np.isfinite(new(head, "multilabel").fit(bags, values).scores(bags)).all()
    values[:, 1] = np.nan
    assert np.isfinite(new(head, "multilabel").fit(bags, values).scores(bags)).all()


@pytest.mark.parametrize("head", HEADS)
def test_importances_belong_to_instances(head: str, bags: list[np.ndarray]) -> None:
    model = new(head, "binary").fit(bags, truth_of("binary"))
    found = model.attention(bags[:4])
    assert [len(part) for part in found] == ([len(bag) for bag in bags[:4]] if found else [])
    trained = str(model.settings.get("kind", head))  # "best" tells which head it trained
    assert bool(found) == bool(find_head(trained).network)


@pytest.mark.parametrize("head", HEADS)
def test_it_is_a_scikit_learn_estimator(head: str) -> None:
    made = new(head, "binary", 5)
    assert clone(made).get_params() == made.get_params()


def test_bags_to_tune_on_may_be_given(bags: list[np.ndarray]) -> None:
    """Hyperparameters then come from them: labels turned round there choose the weakest model."""
    truth = truth_of("binary")
    model = new("mean-logreg", "binary")
    right = model.fit(bags[:CUT], truth[:CUT], tune=(bags[CUT:], truth[CUT:])).settings
    wrong = model.fit(bags[:CUT], truth[:CUT], tune=(bags[CUT:], ~truth[CUT:])).settings
    assert float(str(right["strength"])) > float(str(wrong["strength"])) == 0.001


def test_what_cannot_be_fitted_is_refused(bags: list[np.ndarray]) -> None:
    with pytest.raises(BadTask, match="3 bags and 2 targets"):
        new("abmil", "binary").fit(bags[:3], [0, 1])
    with pytest.raises(BadTask, match="target=binary takes 0, 1 or NaN"):
        new("knn", "binary").fit(bags, Y)
    with pytest.raises(UnknownName, match=r"did you mean abmil"):
        new("abmill", "binary")
