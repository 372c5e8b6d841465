"""A new metric is one row of the registry, and everything else takes it."""

import numpy as np
import pytest

from clearbench.cards import check_card
from clearbench.errors import UnknownName
from clearbench.evaluation.task.card import TaskCard
from clearbench.metrics import registry, score_outputs
from clearbench.metrics.registry import METRICS, Metric, bounds_of, find_metric, ranking_metrics
from clearbench.metrics.weighted import Floats

CARD = {"title": "T", "version": 1, "cohort": "c", "target": "binary", "labels": ["x"]}
TRUTH = np.array([[0.0], [1.0], [1.0], [0.0]])
SCORES = np.array([[0.2], [0.7], [0.9], [0.6]])


def gap(truth: Floats, score: Floats, weights: Floats) -> Floats:
    """Return how far the mean scores of positives and negatives are apart [b]."""
    means = [(weights * score * (truth == k)).sum(axis=1) / 2 for k in (0, 1)]
    found: Floats = means[1] - means[0]
    return found


@pytest.fixture
def new_metric(monkeypatch: pytest.MonkeyPatch) -> str:
    """A metric in one row."""
    row = Metric("mean_gap", gap, ("binary", "multilabel"), low=-1.0)
    monkeypatch.setattr(registry, "METRICS", (*METRICS, row))
    return "mean_gap"


def test_a_row_is_all_that_a_new_metric_needs(new_metric: str) -> None:
    card = check_card(CARD | {"metric": new_metric}, TaskCard, "card")
    assert card.primary == new_metric
    found = score_outputs("binary", TRUTH, SCORES, np.ones((1, 4)))
    assert found[new_metric][0] == pytest.approx(0.4)
    assert bounds_of(new_metric) == (-1.0, 1.0)
    both = score_outputs(
        "multilabel", np.hstack([TRUTH] * 2), np.hstack([SCORES] * 2), np.ones((1, 4))
    )
    assert both["mean_gap_macro"] == both["mean_gap/1"]


def test_less_is_better_and_pooled_are_facts_of_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Metric("error", gap, ("binary",), ranks=(), less_is_better=True, pooled=True)
    monkeypatch.setattr(registry, "METRICS", (*METRICS, row))
    assert registry.less_is_better("error")
    assert not registry.less_is_better("seconds")
    assert registry.is_pooled("error")
    assert "error" not in ranking_metrics("binary")


def test_every_row_has_its_own_name_per_target_and_ranks_only_what_it_scores() -> None:
    for target in ("binary", "multilabel", "multiclass", "ordinal", "survival"):
        names = [metric.name for metric in METRICS if target in metric.targets]
        assert len(names) == len(set(names))
        assert ranking_metrics(target)[0] in {"auroc", "auroc_macro", "uno_c"}
    for metric in METRICS:
        assert set(metric.ranks or ()) <= set(metric.targets)


@pytest.mark.parametrize(
    ("score", "name"),
    [("auroc", "auroc"), ("auroc_macro", "auroc"), ("auroc/liver", "auroc"), ("f1_macro", "f1")],
)
def test_a_scores_name_leads_to_its_metric(score: str, name: str) -> None:
    assert find_metric(score).name == name


def test_an_unknown_metric_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean auroc"):
        find_metric("auroq")
