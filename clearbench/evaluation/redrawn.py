"""Heads of other training patients: how much a fixed test set's scores owe to who trained them.

Cross-validation trains every fold on other patients; a fixed split has one training side. So heads
are trained again on its patients drawn with replacement, and their spread widens the comparison of
encoders (`statistics.training`).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from clearbench.evaluation.heads.kinds import make_head
from clearbench.evaluation.material import Material, Rows, rows_of
from clearbench.evaluation.metrics import bounds_of, score_outputs
from clearbench.evaluation.presets import check_draws, find_preset
from clearbench.evaluation.protocol import Evaluation, OnFold, Redrawn, Way, request_of
from clearbench.evaluation.side_by_side import run_side_by_side
from clearbench.evaluation.splits import Fold
from clearbench.evaluation.statistics import Score
from clearbench.evaluation.statistics.bootstrap import Measure, Resampled, Resampling, bootstrap
from clearbench.evaluation.statistics.training import Sampled, Spread, widen
from clearbench.evaluation.targets import Floats
from clearbench.evaluation.training import Lot

RESAMPLES = 500  # of the test patients, for each drawn head


def with_redrawn(
    evaluation: Evaluation,
    material: Material,
    way: Way,
    on_fold: OnFold = lambda _done, _total: None,
) -> Evaluation:
    """Add the way's heads of drawn training patients to an evaluation, and widen its intervals.

    Patients that tune are drawn among themselves, so that none both trains and tunes. A task whose
    training sides differ by themselves needs no draws, and heads that no board compares get none.
    Raises BadRequest for draws that tell no spread.
    """
    check_draws(way.draws)
    if not way.draws or not _compared(material, way.head):
        return evaluation
    [fold] = material.prepared.folds
    jobs = [partial(_one, fold, draw, material, way) for draw in range(1, way.draws + 1)]
    found: dict[int, Redrawn] = {}
    for number, answer in run_side_by_side(jobs, way.crew(len(jobs), material)):
        found[number] = answer
        on_fold(len(found), len(jobs))
    redrawn = tuple(found[number] for number in range(len(jobs)))
    return replace(evaluation, redrawn=redrawn, scores=_widened(evaluation, redrawn))


def _widened(evaluation: Evaluation, redrawn: Sequence[Redrawn]) -> dict[str, Score]:
    """Return the scores, their intervals widened by how much the drawn heads differ."""
    first, card = evaluation.fold_scores[0], evaluation.prepared.task.card
    measured = partial(
        score_outputs, card.target, first.truth, unscored=evaluation.prepared.unscored
    )

    def whole(weights: Floats) -> dict[str, Floats]:
        each = [measured(head.scores, weights) for head in evaluation.fold_scores]
        return {name: np.mean([scores[name] for scores in each], axis=0) for name in each[0]}

    measures: list[Measure] = [whole, *(partial(measured, head.scores) for head in redrawn)]
    drawn = bootstrap(measures, Resampling(first.patients, draws=RESAMPLES, seed=card.split.seed))
    scores, patients = evaluation.scores, len(set(first.patients))
    return scores | {name: _widen(name, scores[name], drawn[name], patients) for name in drawn}


def _widen(metric: str, score: Score, drawn: Resampled, patients: int) -> Score:
    """Widen one metric's interval; the first row of draws is the whole training side's."""
    if np.isnan([score.value, score.low]).any():
        return score
    spread = Spread.of(drawn.values[1:], drawn.draws[1:])
    tested = Sampled(float(np.nanvar(drawn.draws[0], ddof=1)), patients)
    return widen(score, tested, spread, bounds_of(metric))


def _compared(material: Material, head: str) -> bool:
    """Tell whether a board compares this head: the declared one, and every floor."""
    card = material.prepared.task.card
    return not card.split.crossed and (head == card.head or material.record.floor)


def _one(fold: Fold, draw: int, of: Material, way: Way) -> Redrawn:
    """Train one head on drawn patients."""
    seed = 10_000_000 + draw
    chance = np.random.default_rng(seed)
    train, tune = (_drawn(side, of, chance) for side in (fold.train, fold.tune))
    bags = of.instances_for(np.concatenate([train, tune]))
    head = make_head(request_of(of, way, find_preset(way.preset), seed))
    head.fit_lots(*(Lot(bags.take(rows), of.learnt_from(rows, seed)) for rows in (train, tune)))
    test = rows_of(fold.test, of.units)
    return Redrawn(draw, tuple(test.tolist()), head.judge(bags.take(test)).scores)


def _drawn(patients: Sequence[str], of: Material, chance: np.random.Generator) -> Rows:
    """Return the units of patients drawn with replacement, a patient's as often as it is drawn."""
    chosen = chance.choice(len(patients), len(patients))
    parts = [rows_of([patients[i]], of.units) for i in chosen]
    return np.concatenate(parts) if parts else np.zeros(0, int)
