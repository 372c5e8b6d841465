from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.head_registry import plain_heads, trains_network
from clearbench.evaluation.heads.best import BestClassifier, TuningScore, tuning_score
from clearbench.evaluation.heads.estimator import BagEstimator, HeadRequest
from clearbench.evaluation.heads.make import make_head
from clearbench.evaluation.heads.presets import PRESETS
from clearbench.evaluation.heads.targets import make_targets
from clearbench.evaluation.heads.training import LabelledBags
from clearbench.metrics import auroc

QUICK = replace(
    PRESETS["default"], steps=60, learning_rate=3e-3, weight_decay=1e-2, networks=2, passes=0
)
HASTY = replace(QUICK, steps=2)
N, CUT = 160, 100
TRUTH = np.arange(N) % 2
NETS = {name for name in plain_heads() if trains_network(name)}


def opposed() -> list[np.ndarray]:
    """Positive bags have two opposite instances that cancel out, so their mean predicts nothing."""
    rng, found = np.random.default_rng(0), []
    for ill in TRUTH:
        bag = rng.normal(size=(8, 4)).astype(np.float32)
        bag[0, 0], bag[1, 0] = bag[0, 0] + 6 * ill, bag[1, 0] - 6 * ill
        found.append(bag)
    return found


def stripes() -> list[np.ndarray]:
    """Bags of one instance on a circle, ill and well by turns in stripes: neighbours are alike."""
    rng = np.random.default_rng(1)
    angles = (2 * rng.permutation(N // 2).repeat(2) + TRUTH) * np.pi / 8 + 0.2
    angles += rng.uniform(-0.1, 0.1, N)
    return [np.array([[np.cos(a), np.sin(a)]], np.float32) for a in angles]


def area(head: BagEstimator, bags: list[np.ndarray]) -> float:
    scores = head.scores(bags[CUT:])[:, 0]
    return float(auroc(TRUTH[CUT:].astype(float), scores, np.ones((1, N - CUT)))[0])


@pytest.mark.parametrize(
    ("bags", "preset", "able"), [(opposed(), QUICK, NETS), (stripes(), HASTY, {"knn"})]
)
def test_the_kind_that_can_answer_is_taken(
    bags: list[np.ndarray], preset: Any, able: set[str]
) -> None:
    areas = {}
    for name in plain_heads():
        single = make_head(HeadRequest(name, "binary", 2, preset, 0))
        areas[name] = area(single.fit(bags[:CUT], TRUTH[:CUT]), bags)
    assert all(areas[name] < 0.7 for name in set(plain_heads()) - able), areas
    head = BestClassifier(preset=preset).fit(bags[:CUT], TRUTH[:CUT])
    assert head.settings["kind"] in able
    assert area(head, bags) > 0.9


def test_it_answers_as_the_head_that_was_taken_would_alone() -> None:
    bags = stripes()
    head = BestClassifier(preset=HASTY).fit(bags[:CUT], TRUTH[:CUT])
    alone = make_head(HeadRequest("knn", "binary", 2, HASTY, 0)).fit(bags[:CUT], TRUTH[:CUT])
    np.testing.assert_array_equal(head.scores(bags), alone.scores(bags))
    np.testing.assert_array_equal(head.tuning_, alone.tuning_)
    assert head.settings == {"kind": "knn", **alone.settings}


def test_only_the_tuning_bags_choose() -> None:
    """The same training bags with tuning bags of the other question: another head is chosen."""
    cancel, round_ = opposed(), [np.tile(bag, (2, 2)) for bag in stripes()]
    train = (cancel[:60] + round_[:60], np.r_[TRUTH[:60], TRUTH[:60]])
    chosen = []
    for bags in (cancel, round_):
        head = BestClassifier(heads=("max-pool", "knn"), preset=QUICK)
        head.fit(*train, tune=(bags[60:], TRUTH[60:]))
        chosen.append(head.settings["kind"])
    assert chosen == ["max-pool", "knn"]


def labelled(target: str, values: Any, classes: int = 0) -> LabelledBags:
    targets = make_targets(target, np.array(values, float), classes)
    return LabelledBags(BagSet.of([np.ones((1, 1), np.float32)] * len(targets)), targets)


def test_order_counts_first_and_then_how_near_scores_are() -> None:
    tune = labelled("binary", [0, 0, 1, 1])
    unsure, sure, wrong = (
        tuning_score(np.array(scores)[:, None], tune)
        for scores in ([0.4, 0.4, 0.6, 0.6], [0.1, 0.2, 0.8, 0.9], [0.0, 0.5, 0.4, 1.0])
    )
    assert sure > unsure > wrong
    assert (unsure.metric, sure.metric, wrong.metric) == (1.0, 1.0, 0.75)
    assert unsure.nearness == pytest.approx(-0.16)


def test_the_nearest_constant_is_the_frequency() -> None:
    rare = labelled("binary", [1, 0, 0, 0])
    scores = [tuning_score(np.full((4, 1), value), rare) for value in (0.25, 0.5)]
    assert scores[0].nearness > scores[1].nearness


def test_without_both_classes_or_events_the_metric_is_zero() -> None:
    assert tuning_score(np.full((3, 1), 0.2), labelled("binary", [0, 0, 0])).metric == 0
    unknown = labelled("binary", [np.nan] * 3)
    assert tuning_score(np.full((3, 1), 0.2), unknown) == TuningScore(0.0, 0.0)
    censored = labelled("survival", [[3, 0], [2, 0], [1, 0]])
    assert tuning_score(np.ones((3, 1)), censored) == TuningScore(0.0, 0.0)


def test_a_risk_is_scored_by_order_alone() -> None:
    tune = labelled("survival", [[3, 1], [2, 1], [1, 1]])
    assert tuning_score(np.array([[1.0], [2.0], [9.0]]), tune) == TuningScore(1.0, 0.0)


def test_classes_are_scored_by_their_mean_area() -> None:
    tune = labelled("multiclass", [0, 1, 2, 2], 3)
    assert tuning_score(np.eye(3)[[0, 1, 2, 2]], tune) == TuningScore(1.0, 0.0)
