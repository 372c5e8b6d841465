import numpy as np
import pytest

from clearbench.statistics import FoldScores, score_with_bootstrap


def fold_of(
    truth: np.ndarray, scores: np.ndarray, patients: list[str] | None = None, fold: int = 0
) -> FoldScores:
    names = patients or [f"p{i}" for i in range(len(truth))]
    rows = len(truth)
    return FoldScores(0, fold, 0, tuple(names), truth.reshape(rows, -1), scores.reshape(rows, -1))


def case(n: int, rng: np.random.Generator, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    truth = (np.arange(n) % 2).astype(float)
    return truth, 1 / (1 + np.exp(-(rng.normal(size=n) + shift * truth)))


def test_a_protocols_value_is_the_mean_over_folds() -> None:
    rng = np.random.default_rng(0)
    folds = [fold_of(*case(30, rng), fold=k) for k in range(3)]
    each = [score_with_bootstrap("binary", [fold], resamples=10)["auroc"].value for fold in folds]
    assert score_with_bootstrap("binary", folds, resamples=10)["auroc"].value == pytest.approx(
        np.mean(each)
    )


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Scores of two normal distributions one apart: the true AUROC is 0.760."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(100):
        score = score_with_bootstrap("binary", [fold_of(*case(80, rng))], resamples=200)["auroc"]
        assert score.low <= score.value <= score.high
        hits += score.low <= 0.7602 <= score.high
    assert 86 <= hits <= 100


def test_patients_are_resampled_not_units() -> None:
    """Every row ten times adds no information: the interval must not shrink."""
    rng = np.random.default_rng(2)
    truth, scores = case(60, rng)
    names = [f"p{i}" for i in range(60)]
    once = score_with_bootstrap("binary", [fold_of(truth, scores, names)], resamples=500)["auroc"]
    tenfold = fold_of(np.tile(truth, 10), np.tile(scores, 10), names * 10)
    often = score_with_bootstrap("binary", [tenfold], resamples=500)["auroc"]
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


def test_a_patient_is_resampled_in_all_repeats_at_once() -> None:
    rng = np.random.default_rng(3)
    truth, scores = case(60, rng)
    once = score_with_bootstrap("binary", [fold_of(truth, scores)], resamples=300)["auroc"]
    repeats = [fold_of(truth, scores, fold=k) for k in range(5)]
    again = score_with_bootstrap("binary", repeats, resamples=300)["auroc"]
    assert (again.low, again.high) == pytest.approx((once.low, once.high))


def test_the_same_seed_draws_the_same() -> None:
    fold = fold_of(*case(40, np.random.default_rng(4)))
    first, again, other = (
        score_with_bootstrap("binary", [fold], resamples=50, seed=seed)["auroc"]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first.low != other.low


def test_a_missing_score_stays_missing() -> None:
    scores = np.random.default_rng(5).random(10)
    score = score_with_bootstrap("binary", [fold_of(np.ones(10), scores)], resamples=20)["auroc"]
    assert np.isnan([score.value, score.low, score.high]).all()


def test_unscored_labels_have_no_value() -> None:
    rng = np.random.default_rng(6)
    truth = np.stack([np.arange(20) % 2, np.full(20, np.nan)], axis=1)
    fold = FoldScores(0, 0, 0, tuple(map(str, range(20))), truth, rng.random((20, 2)))
    found = score_with_bootstrap("multilabel", [fold], unscored=(1,), resamples=20)
    assert np.isnan(found["auroc/1"].value)
    assert found["auroc_macro"].value == found["auroc/0"].value
