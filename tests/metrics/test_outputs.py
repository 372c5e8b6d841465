import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from clearbench.metrics import (
    auroc,
    average_precision,
    balanced_accuracy,
    f1,
    score_outputs,
)
from clearbench.metrics.registry import plain_name

quickly = settings(max_examples=60, deadline=None)


@st.composite
def predictions(draw: Any) -> tuple[Any, Any, Any]:
    """Truth with both classes, scores with many ties, and integer weights that have both."""
    n = draw(st.integers(4, 40))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    truth = rng.integers(0, 2, n).astype(float)
    truth[:2] = 0, 1
    score = rng.integers(0, draw(st.sampled_from([2, 5, 1000])), n) / 7
    weights = rng.integers(0, 4, (3, n)).astype(float)
    weights[:, :2] += 1
    weights[0] = 1
    return truth, score, weights


def best_sensitivity(truth: Any, score: Any, weight: Any) -> float:
    alarms, found, _ = sklearn.roc_curve(
        truth, score, sample_weight=weight, drop_intermediate=False
    )
    return float(found[alarms <= 0.05 + 1e-9].max())


def calibration_error(truth: Any, score: Any, weight: Any, bins: int = 15) -> float:
    """Walk through the tied scores in order, each to the bin where the middle of its mass is."""
    sums, passed = [0.0] * bins, 0.0
    for value in sorted(set(score)):
        tied = score == value
        mass = weight[tied].sum()
        place = Fraction(int(2 * passed + mass) * bins, int(2 * weight.sum()))
        sums[min(int(place), bins - 1)] += (weight[tied] * (value - truth[tied])).sum()
        passed += mass
    return sum(abs(part) for part in sums) / float(weight.sum())


def reference(name: str, truth: Any, score: Any, weight: Any) -> float:
    guess = (score >= 0.5).astype(float)
    functions = {
        "auroc": lambda: sklearn.roc_auc_score(truth, score, sample_weight=weight),
        "average_precision": lambda: sklearn.average_precision_score(
            truth, score, sample_weight=weight
        ),
        "balanced_accuracy": lambda: sklearn.balanced_accuracy_score(
            truth, guess, sample_weight=weight
        ),
        "f1": lambda: sklearn.f1_score(truth, guess, sample_weight=weight, zero_division=0),
        "sensitivity_at_95_specificity": lambda: best_sensitivity(truth, score, weight),
        "brier": lambda: ((score - truth) ** 2 * weight).sum() / weight.sum(),
        "expected_calibration_error": lambda: calibration_error(truth, score, weight),
    }
    return float(functions[name]())


@quickly
@given(predictions())
def test_binary_metrics_are_scikit_learns(case: Any) -> None:
    truth, score, weights = case
    found = score_outputs("binary", truth[:, None], score[:, None], weights)
    for name, values in found.items():
        expected = [reference(name, truth, score, weight) for weight in weights]
        np.testing.assert_allclose(values, expected, atol=1e-12, err_msg=name)


@quickly
@given(predictions())
def test_a_weight_is_a_repeated_row(case: Any) -> None:
    truth, score, weights = case
    found = score_outputs("binary", truth[:, None], score[:, None], weights)
    for row, weight in enumerate(weights.astype(int)):
        rows = np.repeat(np.arange(len(truth)), weight)
        repeated = score_outputs(
            "binary", truth[rows][:, None], score[rows][:, None], np.ones((1, len(rows)))
        )
        for name, values in found.items():
            np.testing.assert_allclose(values[row], repeated[name][0], err_msg=name)


@quickly
@given(st.integers(0, 10**6), st.integers(3, 5))
def test_multiclass_metrics_are_scikit_learns(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.r_[np.arange(classes), rng.integers(0, classes, 30)].astype(float)
    scores = rng.dirichlet(np.ones(classes), len(truth)).round(2) + 1e-3
    scores /= scores.sum(axis=1, keepdims=True)
    found = score_outputs("multiclass", truth[:, None], scores, np.ones((1, len(truth))))
    guess = scores.argmax(axis=1)
    rest = truth[:, None] == np.arange(classes)
    expected = {
        "auroc_macro": sklearn.roc_auc_score(truth, scores, multi_class="ovr"),
        "average_precision_macro": sklearn.average_precision_score(rest, scores),
        "balanced_accuracy": sklearn.balanced_accuracy_score(truth, guess),
        "f1_macro": sklearn.f1_score(truth, guess, average="macro"),
        "auroc/1": sklearn.roc_auc_score(rest[:, 1], scores[:, 1]),
    }
    for name, value in expected.items():
        assert found[name][0] == pytest.approx(value), name


@quickly
@given(st.integers(0, 10**6), st.integers(3, 5))
def test_ordinal_metrics_are_scikit_learns(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.r_[np.arange(classes), rng.integers(0, classes, 30)].astype(float)
    scores = -np.sort(-rng.random((len(truth), classes - 1)).round(1), axis=1)
    weights = rng.integers(1, 4, (2, len(truth))).astype(float)
    found = score_outputs("ordinal", truth[:, None], scores, weights)
    guess = (scores >= 0.5).sum(axis=1)
    for row, weight in enumerate(weights):
        cuts = [(truth > k, scores[:, k]) for k in range(classes - 1)]
        areas = [sklearn.roc_auc_score(*cut, sample_weight=weight) for cut in cuts]
        precisions = [sklearn.average_precision_score(*cut, sample_weight=weight) for cut in cuts]
        kappa = sklearn.cohen_kappa_score(truth, guess, weights="quadratic", sample_weight=weight)
        expected = {
            "auroc/0": areas[0],
            "auroc_macro": np.mean(areas),
            "average_precision_macro": np.mean(precisions),
            "quadratic_kappa": kappa,
        }
        for name, value in expected.items():
            assert found[name][row] == pytest.approx(value), name


def test_an_unscored_cut_is_missing_and_kappa_stays() -> None:
    rng = np.random.default_rng(0)
    truth = (np.arange(30) % 3)[:, None].astype(float)
    scores = -np.sort(-rng.random((30, 2)), axis=1)
    every = score_outputs("ordinal", truth, scores, np.ones((1, 30)))
    some = score_outputs("ordinal", truth, scores, np.ones((1, 30)), (1,))
    assert np.isnan(some["auroc/1"]).all()
    assert some["auroc_macro"] == every["auroc/0"]
    assert some["quadratic_kappa"] == every["quadratic_kappa"]


def test_unknown_classes_and_times_count_for_nothing() -> None:
    rng = np.random.default_rng(1)
    scores = -np.sort(-rng.random((21, 2)), axis=1)
    stages = np.r_[np.arange(20) % 3, np.nan][:, None]
    failures = np.c_[rng.exponential(size=21), np.r_[np.arange(20) % 2, np.nan]]
    for target, truth, given_ in (
        ("ordinal", stages, scores),
        ("survival", failures, scores[:, :1]),
    ):
        found = score_outputs(target, truth, given_, np.ones((1, 21)))
        without = score_outputs(target, truth[:20], given_[:20], np.ones((1, 20)))
        assert found.keys() == without.keys()
        for name, values in found.items():
            assert values == without[name], name


@pytest.mark.parametrize(
    ("target", "metric"),
    [("binary", "brier"), ("multilabel", "f1_macro"), ("multilabel", "auroc/1")],
)
def test_one_metric_alone_is_the_same(target: str, metric: str) -> None:
    rng = np.random.default_rng(3)
    outputs = 1 if target == "binary" else 2
    truth, scores = rng.integers(0, 2, (30, outputs)) * 1.0, rng.random((30, outputs))
    weights = rng.integers(0, 3, (5, 30)).astype(float)
    every = score_outputs(target, truth, scores, weights)
    one = score_outputs(target, truth, scores, weights, only=metric)
    np.testing.assert_array_equal(one[metric], every[metric])
    assert set(one) == {name for name in every if plain_name(name) == plain_name(metric)}


def test_unknown_labels_count_for_nothing() -> None:
    truth = np.array([[0.0, np.nan], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    scores = np.array([[0.2, 0.9], [0.7, 0.8], [0.1, 0.3], [0.4, 0.1]])
    found = score_outputs("multilabel", truth, scores, np.ones((1, 4)))
    assert found["auroc/0"][0] == pytest.approx(0.5)
    assert found["auroc/1"][0] == pytest.approx(0.5)
    assert found["auroc_macro"][0] == pytest.approx(0.5)
    alone = score_outputs("binary", truth[1:, 1:], scores[1:, 1:], np.ones((1, 3)))
    assert found["f1/1"][0] == alone["f1"][0]


def test_a_label_that_is_all_blank_has_no_score() -> None:
    truth = np.array([[0.0, np.nan], [1.0, np.nan]])
    found = score_outputs("multilabel", truth, np.array([[0.1, 0.2], [0.9, 0.3]]), np.ones((4, 2)))
    names = {name.partition("/")[0] for name in found}
    for name in ("auroc", "average_precision", "balanced_accuracy", "f1"):
        assert name in names
        assert np.isnan(found[f"{name}/1"]).all()
        assert found[f"{name}/1"].shape == (4,)
        np.testing.assert_array_equal(found[f"{name}_macro"], found[f"{name}/0"])


@pytest.mark.parametrize("target", ["multilabel", "multiclass"])
def test_unscored_outputs_are_missing_and_not_in_the_macro(target: str) -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((30, 3))
    classes = np.arange(30)[:, None] % 3
    truth = classes.astype(float) if target == "multiclass" else rng.integers(0, 2, (30, 3)) * 1.0
    every = score_outputs(target, truth, scores, np.ones((2, 30)))
    some = score_outputs(target, truth, scores, np.ones((2, 30)), (1,))
    assert every.keys() == some.keys()
    assert np.isnan(some["auroc/1"]).all()
    assert np.isnan(some["f1/1"]).all()
    mean = (every["auroc/0"] + every["auroc/2"]) / 2
    np.testing.assert_allclose(some["auroc_macro"], mean)
    assert not np.isnan(some["balanced_accuracy" + "_macro" * (target == "multilabel")]).any()


@pytest.mark.parametrize("truth", [[1.0, 1.0], [0.0, 0.0]])
def test_one_kind_only_has_no_score(truth: list[float]) -> None:
    both, score = np.array(truth), np.array([0.2, 0.7])
    weights = np.ones((1, 2))
    assert np.isnan(auroc(both, score, weights)).all()
    assert np.isnan(average_precision(both, score, weights)).all()
    found = score_outputs("binary", both[:, None], score[:, None], weights)
    assert np.isnan(found["balanced_accuracy"]).all()


def test_a_draw_without_positives_is_missing_the_others_are_not() -> None:
    truth, score = np.array([0.0, 1.0, 0.0]), np.array([0.1, 0.9, 0.4])
    weights = np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 1.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = score_outputs("binary", truth[:, None], score[:, None], weights)
    for name, values in found.items():
        assert not np.isnan(values[0]), name
        needs_both = name not in ("brier", "expected_calibration_error")
        assert np.isnan(values[1]) == needs_both, name


def test_a_class_that_is_never_guessed_counts_as_missed() -> None:
    truth, guess = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0])
    assert balanced_accuracy(truth, guess, np.ones((1, 3)))[0] == pytest.approx(2 / 3)
    assert f1((truth == 2) * 1.0, (guess == 2) * 1.0, np.ones((1, 3)))[0] == 0.0
