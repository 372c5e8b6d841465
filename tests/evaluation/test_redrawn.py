from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clearbench.errors import BadRequest
from clearbench.evaluation.bags import Bag
from clearbench.evaluation.material import Material, make_material
from clearbench.evaluation.prepared import prepare_task
from clearbench.evaluation.presets import DRAWS
from clearbench.evaluation.protocol import Evaluation, Way, evaluate_head
from clearbench.evaluation.redrawn import with_redrawn
from clearbench.store.records import EncoderRecord

Make = Callable[..., Any]
N = 60
X = [str(i % 2) for i in range(N)]
SIDES = ["train" if i % 3 else "test" for i in range(N)]
RECORD = EncoderRecord("e", "f" * 64, 4, ("lung",), "float32", "float32", "w")


@pytest.fixture
def material(make_cohort: Make, make_task: Make) -> Callable[..., Material]:
    def make(split: dict[str, Any], record: EncoderRecord = RECORD) -> Material:
        task = make_task(head="mean-logreg", split=split)
        prepared = prepare_task(task, make_cohort(x=X, split=SIDES))
        chance, bags = np.random.default_rng(0), []
        for row in range(N):
            features = chance.normal(size=(3, 4)).astype(np.float32)
            features[:, 0] += row % 2
            bags.append(Bag(features, ("s",) * 3, np.arange(3, dtype=np.int32), ("lung",) * 3))
        order = [int(name[1:]) for name in prepared.units.ids]
        return make_material(prepared, record, prepared.units, tuple(bags[i] for i in order))

    return make


def evaluated(material: Material, head: str = "mean-logreg", draws: int = DRAWS) -> Evaluation:
    way = Way(head, draws=draws)
    return with_redrawn(evaluate_head(material, way), material, way)


def test_a_fixed_split_is_learnt_from_other_draws_of_its_patients(
    material: Callable[..., Material],
) -> None:
    found = evaluated(material({"column": "split"}))
    assert [each.draw for each in found.redrawn] == list(range(1, DRAWS + 1))
    [first, second, *_] = found.redrawn
    assert first.units == second.units == found.answers[0].units
    assert not np.allclose(first.scores, second.scores)
    assert not np.allclose(first.scores, found.answers[0].judged.scores)
    again = evaluated(material({"column": "split"}))
    np.testing.assert_array_equal(again.redrawn[3].scores, found.redrawn[3].scores)


def test_drawn_heads_learn_from_training_patients_alone(
    material: Callable[..., Material],
) -> None:
    """Test patients of another law change what is said of them, not of the others."""
    of = material({"column": "split"})
    tested = set(of.prepared.folds[0].test)
    last = max(row for row, patient in enumerate(of.units.patients) if patient in tested)
    bags = list(of.bags)
    bags[last] = replace(bags[last], features=bags[last].features + 100)
    other = make_material(of.prepared, RECORD, of.units, tuple(bags))
    before, after = (evaluated(each).redrawn[0] for each in (of, other))
    changed = np.flatnonzero(np.abs(before.scores - after.scores).max(axis=1) > 1e-4)
    assert [before.units[row] for row in changed] == [last]


def test_where_folds_train_on_other_patients_none_are_drawn(
    material: Callable[..., Material],
) -> None:
    assert evaluated(material({"folds": 3, "repeats": 1})).redrawn == ()


def test_a_head_that_no_board_compares_is_trained_once_but_a_floors_is(
    material: Callable[..., Material],
) -> None:
    assert evaluated(material({"column": "split"}), "knn").redrawn == ()
    floor = replace(RECORD, card={"source": "random-weights"})
    assert len(evaluated(material({"column": "split"}, floor), "knn").redrawn) == DRAWS


def test_draws_can_be_left_out_but_one_tells_no_spread(
    material: Callable[..., Material],
) -> None:
    fixed = material({"column": "split"})
    assert evaluated(fixed, draws=0).redrawn == ()
    with pytest.raises(BadRequest, match="--draws must be 0, or at least 2"):
        evaluated(fixed, draws=1)


def test_intervals_hold_the_chance_of_training_too(material: Callable[..., Material]) -> None:
    fixed = material({"column": "split"})
    alone, wider = (evaluated(fixed, draws=draws).scores for draws in (0, DRAWS))
    assert alone.keys() == wider.keys()
    for name, score in wider.items():
        if np.isnan(score.low):
            continue  # a calibration line has no interval
        assert score.value == alone[name].value
        assert 0 <= score.low <= alone[name].low <= alone[name].high <= score.high <= 1
    assert wider["brier"].high > alone["brier"].high
