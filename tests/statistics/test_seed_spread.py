import numpy as np
import pytest

from clearbench.metrics import auroc
from clearbench.statistics import FoldScores
from clearbench.statistics.seed_spread import seed_spread

N = 40
NAMES = tuple(f"p{i}" for i in range(N))
TRUTH = np.arange(N) % 2 * 1.0
RNG = np.random.default_rng(0)


def scores(quality: float = 1.0) -> np.ndarray:
    return (quality * TRUTH + RNG.normal(size=N))[:, None]


def head(fold: int, seed: int = 0, networks: int = 3, quality: float = 1.0) -> FoldScores:
    each = tuple(scores(quality) for _ in range(networks))
    mean = np.mean(each, axis=0) if each else scores(quality)
    return FoldScores(0, fold, seed, NAMES, TRUTH[:, None], mean, None, each)


def area(found: np.ndarray) -> float:
    return float(auroc(TRUTH, found[:, 0], np.ones((1, N)))[0])


def test_it_is_the_deviation_of_the_mean_over_folds_of_single_networks() -> None:
    heads = [head(fold) for fold in range(5)]
    means = [np.mean([area(each.networks[k]) for each in heads]) for k in range(3)]
    assert seed_spread("binary", "auroc", heads) == pytest.approx(np.std(means, ddof=1))


def test_averaging_hides_no_seed() -> None:
    """Heads that average networks have the spread of the networks, not of their mean."""
    averaged = [head(fold, networks=8) for fold in range(4)]
    alone = [
        FoldScores(0, each.fold, k, NAMES, each.truth, one)
        for each in averaged
        for k, one in enumerate(each.networks)
    ]
    assert seed_spread("binary", "auroc", averaged) == pytest.approx(
        seed_spread("binary", "auroc", alone)
    )


def test_heads_of_several_seeds_count_each_network() -> None:
    heads = [head(fold, seed) for fold in range(3) for seed in range(2)]
    means = [
        np.mean([area(each.networks[k]) for each in heads if each.seed == seed])
        for seed in range(2)
        for k in range(3)
    ]
    assert seed_spread("binary", "auroc", heads) == pytest.approx(np.std(means, ddof=1))


def test_one_seed_shows_no_spread() -> None:
    assert np.isnan(seed_spread("binary", "auroc", [head(0, networks=1), head(1, networks=1)]))
    assert np.isnan(seed_spread("binary", "auroc", [head(0, networks=0)]))
    assert np.isnan(seed_spread("binary", "auroc", []))


def test_a_fold_without_networks_takes_no_seed_away() -> None:
    """The head "best" may take one that no seed changes, in some folds."""
    mixed = [head(0), head(1, networks=0), head(2)]
    assert 0 < seed_spread("binary", "auroc", mixed) < 1


def test_a_fold_without_a_value_is_left_out() -> None:
    blank = head(2)
    blank = FoldScores(0, 2, 0, NAMES, np.ones((N, 1)), blank.scores, None, blank.networks)
    two = [head(0), head(1)]
    assert seed_spread("binary", "auroc", [*two, blank]) == seed_spread("binary", "auroc", two)


def test_decisions_are_those_at_the_cut() -> None:
    one, other = (np.where(TRUTH[:, None] == 1, high, 0.1) for high in (0.3, 0.15))
    heads = [FoldScores(0, 0, 0, NAMES, TRUTH[:, None], one, np.array([0.2]), (one, other))]
    found = seed_spread("binary", "balanced_accuracy", heads)
    assert found == pytest.approx(np.std([1.0, 0.5], ddof=1))
