"""Heads where scikit-learn expects an estimator: cross-validation, searches, pipelines, clones."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from clearbench.errors import BadTask, UnknownName
from clearbench.evaluation.head_registry import HEADS
from clearbench.evaluation.heads import MILClassifier
from clearbench.evaluation.heads.estimator import BagEstimator, HeadRequest
from clearbench.evaluation.heads.make import make_head
from clearbench.evaluation.heads.mean_pool import MeanPoolClassifier
from clearbench.evaluation.heads.presets import PRESETS

QUICK = replace(PRESETS["default"], steps=25, batch_size=8, networks=2, passes=0)
N = 45
Y = np.arange(N) % 3
FOLDS = StratifiedKFold(3)


def bags_of(length: int = 0) -> list[np.ndarray]:
    """Forty-five bags, of one length or of several; each class shifts a feature further."""
    rng = np.random.default_rng(0)
    found = []
    for value in Y:
        bag = rng.normal(size=(length or rng.integers(3, 9), 6)).astype(np.float32)
        bag[:, 0] += 2 * value
        found.append(bag)
    return found


def new(head: str, target: str = "binary") -> BagEstimator:
    return make_head(HeadRequest(head, target, 3 if target != "binary" else 2, QUICK, 0))


@pytest.mark.parametrize("head", HEADS)
def test_scikit_learn_scores_every_head(head: str) -> None:
    y = (Y > 0).astype(int)
    names = ["roc_auc", "accuracy", "neg_log_loss", "average_precision"]
    found = cross_validate(new(head), bags_of(), y, cv=FOLDS, scoring=names)
    assert found["test_roc_auc"].mean() > 0.8
    assert all(np.isfinite(found[f"test_{name}"]).all() for name in names)


@pytest.mark.parametrize(
    ("target", "scoring"), [("multiclass", "roc_auc_ovr"), ("ordinal", "roc_auc_ovr")]
)
def test_classes_are_scored_by_their_columns(target: str, scoring: str) -> None:
    found = cross_val_score(new("mean-logreg", target), bags_of(), Y, cv=FOLDS, scoring=scoring)
    assert found.mean() > 0.8


def test_labels_are_scored_by_their_columns() -> None:
    y = np.stack([Y > 0, Y > 1], axis=1).astype(int)
    head = new("mean-logreg", "multilabel")
    assert cross_val_score(head, bags_of(), y, cv=3, scoring="roc_auc").mean() > 0.8
    assert head.fit(bags_of(), y).predict(bags_of()).shape == (N, 2)


@pytest.mark.parametrize("kind", [list, tuple, "objects", "stack"])
def test_bags_come_as_people_have_them(kind: Any) -> None:
    """A list, a tuple, an array of objects, or one array if all bags have one length."""
    bags = bags_of(5)
    if kind == "objects":
        given: Any = np.empty(N, object)
        given[:] = bags_of()
    else:
        given = np.array(bags, object) if kind == "stack" else kind(bags)
    y = (Y > 0).astype(int)
    assert cross_val_score(MeanPoolClassifier(), given, y, cv=FOLDS, scoring="roc_auc").min() > 0.8


def test_a_search_chooses_a_preset_by_name() -> None:
    search = GridSearchCV(
        MILClassifier(), {"preset": ["default", "clear"]}, cv=2, scoring="roc_auc"
    )
    search.fit(bags_of()[:24], (Y > 0)[:24].astype(int))
    assert search.best_params_["preset"] in ("default", "clear")
    assert search.predict(bags_of()[24:]).shape == (N - 24,)
    with pytest.raises(UnknownName, match="did you mean clear"):
        MILClassifier(preset="cleer").fit(bags_of(), Y > 0)


def test_a_preset_by_its_name_is_that_preset() -> None:
    bags, y = bags_of()[:20], (Y > 0)[:20]
    named, given = (
        MILClassifier(preset=preset).fit(bags, y).scores(bags)
        for preset in ("clear", PRESETS["clear"])
    )
    np.testing.assert_array_equal(named, given)


def test_a_pipeline_ends_in_a_head() -> None:
    halved = FunctionTransformer(lambda bags: [bag[::2] for bag in bags])
    piped = make_pipeline(halved, MeanPoolClassifier())
    y = (Y > 0).astype(int)
    assert cross_val_score(piped, bags_of(), y, cv=FOLDS, scoring="roc_auc").mean() > 0.8
    assert clone(piped).fit(bags_of(), y).score(bags_of(), y) > 0.8


@pytest.mark.parametrize("shape", [(N,), (N, 1)])
def test_a_binary_target_has_one_or_two_dimensions(shape: tuple[int, ...]) -> None:
    y = (Y > 0).astype(int)
    head = MeanPoolClassifier().fit(bags_of(), y.reshape(shape))
    assert is_classifier(head)
    assert list(head.classes_) == [0, 1]
    assert (head.predict(bags_of()) == y).mean() > 0.8


@pytest.mark.parametrize("as_objects", [True, False])
@pytest.mark.parametrize("words", [("well", "ill"), ("0", "1")])
def test_words_come_back_as_words(words: tuple[str, str], *, as_objects: bool) -> None:
    y = np.array(words)[(Y > 0).astype(int)]
    head = MeanPoolClassifier().fit(bags_of(), y.astype(object) if as_objects else y)
    assert list(head.classes_) == sorted(words)
    assert (head.predict(bags_of()) == y).mean() > 0.8
    named = head.predict_proba(bags_of())[:, list(head.classes_).index(words[1])]
    plain = MeanPoolClassifier().fit(bags_of(), Y > 0).predict_proba(bags_of())[:, 1]
    np.testing.assert_allclose(named, plain, atol=1e-6)
    assert cross_val_score(head, bags_of(), y, cv=FOLDS, scoring="roc_auc").min() > 0.8


def test_three_words_are_three_classes() -> None:
    y = np.array(["I", "II", "III"])[Y]
    head = new("knn", "multiclass").fit(bags_of(), y)
    assert list(head.classes_) == ["I", "II", "III"]
    assert (head.predict(bags_of()) == y).mean() > 0.6


def test_words_that_have_no_meaning_here_are_refused() -> None:
    y = np.array(["I", "II", "III"])[Y]
    with pytest.raises(BadTask, match=r"y has 3 \(I, II, III\), and the head has classes=2"):
        MeanPoolClassifier().fit(bags_of(), y)
    with pytest.raises(BadTask, match=r"target=ordinal takes numbers, and y has words"):
        new("knn", "ordinal").fit(bags_of(), y)
    two = np.where(Y > 0, "ill", "well")
    with pytest.raises(BadTask, match="y has sick; the head was fitted to ill, well"):
        MeanPoolClassifier().fit(bags_of(), two, tune=(bags_of(), ["sick"] * N))


def test_a_survival_target_is_predicted_as_a_risk() -> None:
    times = np.stack([10.0 - 3 * Y, np.arange(N) % 5 > 0], axis=1)
    head = new("mean-logreg", "survival").fit(bags_of(), times)
    np.testing.assert_array_equal(head.predict(bags_of()), head.scores(bags_of())[:, 0])


@pytest.mark.parametrize("head", HEADS)
def test_a_head_says_what_it_can_not_predict(head: str) -> None:
    bags, y = bags_of(), (Y > 0).astype(int)
    fresh = new(head)
    with pytest.raises(NotFittedError):
        fresh.predict(bags)
    fresh.fit(bags, y)
    with pytest.raises(BadTask, match="the bags have 5 features, the head was fitted to 6"):
        fresh.predict_proba([bag[:, :5] for bag in bags])


@pytest.mark.parametrize("head", ["mean-logreg", "abmil", "knn"])
@pytest.mark.parametrize(
    ("target", "y", "says"),
    [
        ("binary", np.eye(2)[(Y > 0).astype(int)], "one column, not 2"),
        ("multiclass", np.where(Y > 1, np.nan, Y), "no unknown class"),
        ("multiclass", np.array(["a", "b", None] * 15, object), "15 values that are none"),
        ("binary", np.array([0, 1, ...] * 15, object), "no numbers"),
    ],
)
def test_labels_that_say_nothing_certain_are_refused(
    head: str, target: str, y: np.ndarray, says: str
) -> None:
    with pytest.raises(BadTask, match=says):
        new(head, target).fit(bags_of(), y)
