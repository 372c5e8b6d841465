from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clearbench.errors import BadRequest
from clearbench.evaluation.bags.load import Bag
from clearbench.evaluation.heads.presets import RETRAINED_HEADS
from clearbench.evaluation.protocol.encoder_data import EncoderData, make_encoder_data
from clearbench.evaluation.protocol.evaluate import Evaluation, evaluate_head
from clearbench.evaluation.protocol.one_head import HeadConfig
from clearbench.evaluation.protocol.retrained import with_retrained
from clearbench.evaluation.task.prepared import prepare_task
from clearbench.store.records import EncoderRecord

Make = Callable[..., Any]
N = 60
X = [str(i % 2) for i in range(N)]
SIDES = ["train" if i % 3 else "test" for i in range(N)]
RECORD = EncoderRecord("e", "f" * 64, 4, ("lung",), "float32", "float32", "w")


@pytest.fixture
def data(make_cohort: Make, make_task: Make) -> Callable[..., EncoderData]:
    def make(split: dict[str, Any], record: EncoderRecord = RECORD) -> EncoderData:
        task = make_task(head="mean-logreg", split=split)
        prepared = prepare_task(task, make_cohort(x=X, split=SIDES))
        rng, bags = np.random.default_rng(0), []
        for row in range(N):
            features = rng.normal(size=(3, 4)).astype(np.float32)
            features[:, 0] += row % 2
            bags.append(Bag(features, ("s",) * 3, np.arange(3, dtype=np.int32), ("lung",) * 3))
        order = [int(name[1:]) for name in prepared.units.ids]
        return make_encoder_data(prepared, record, prepared.units, tuple(bags[i] for i in order))

    return make


def evaluated(
    data: EncoderData, head: str = "mean-logreg", draws: int = RETRAINED_HEADS
) -> Evaluation:
    config = HeadConfig(head, retrained=draws)
    return with_retrained(evaluate_head(data, config), data, config)


def test_heads_of_a_fixed_split_are_retrained_on_resampled_patients(
    data: Callable[..., EncoderData],
) -> None:
    found = evaluated(data({"column": "split"}))
    assert [each.draw for each in found.retrained] == list(range(1, RETRAINED_HEADS + 1))
    [first, second, *_] = found.retrained
    assert first.units == second.units == found.fold_results[0].units
    assert not np.allclose(first.scores, second.scores)
    assert not np.allclose(first.scores, found.fold_results[0].predictions.scores)
    again = evaluated(data({"column": "split"}))
    np.testing.assert_array_equal(again.retrained[3].scores, found.retrained[3].scores)


def test_retrained_heads_train_on_training_patients_alone(
    data: Callable[..., EncoderData],
) -> None:
    """Other features of test patients change their scores, not those of other patients."""
    of = data({"column": "split"})
    tested = set(of.prepared.folds[0].test)
    last = max(row for row, patient in enumerate(of.units.patients) if patient in tested)
    bags = list(of.bags)
    bags[last] = replace(bags[last], features=bags[last].features + 100)
    other = make_encoder_data(of.prepared, RECORD, of.units, tuple(bags))
    before, after = (evaluated(each).retrained[0] for each in (of, other))
    changed = np.flatnonzero(np.abs(before.scores - after.scores).max(axis=1) > 1e-4)
    assert [before.units[row] for row in changed] == [last]


def test_cross_validation_needs_no_retrained_heads(
    data: Callable[..., EncoderData],
) -> None:
    assert evaluated(data({"folds": 3, "repeats": 1})).retrained == ()


def test_a_head_that_no_board_compares_is_trained_once_but_a_floors_is(
    data: Callable[..., EncoderData],
) -> None:
    assert evaluated(data({"column": "split"}), "knn").retrained == ()
    floor = replace(RECORD, card={"source": "random-weights"})
    assert len(evaluated(data({"column": "split"}, floor), "knn").retrained) == RETRAINED_HEADS


def test_draws_can_be_left_out_but_one_tells_no_spread(
    data: Callable[..., EncoderData],
) -> None:
    fixed = data({"column": "split"})
    assert evaluated(fixed, draws=0).retrained == ()
    with pytest.raises(BadRequest, match="draws=1: must be 0, or at least 2"):
        evaluated(fixed, draws=1)


def test_intervals_include_the_variance_over_training_sets(
    data: Callable[..., EncoderData],
) -> None:
    fixed = data({"column": "split"})
    alone, wider = (evaluated(fixed, draws=draws).scores for draws in (0, RETRAINED_HEADS))
    assert alone.keys() == wider.keys()
    for name, score in wider.items():
        if np.isnan(score.low):
            continue  # a calibration line has no interval
        assert score.value == alone[name].value
        assert 0 <= score.low <= alone[name].low <= alone[name].high <= score.high <= 1
    assert wider["brier"].high > alone["brier"].high
