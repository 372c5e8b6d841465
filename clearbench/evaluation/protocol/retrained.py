"""Heads retrained on bootstrapped training patients: how much a score varies with training.

Cross-validation trains every fold on other patients; a fixed split has one training set. So heads
are retrained on patients drawn from it with replacement, and their spread widens the intervals and
the comparisons of encoders (`statistics.training_variance`).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from clearbench.arrays import Floats, Rows
from clearbench.evaluation.heads.parallel import run_all
from clearbench.evaluation.heads.presets import check_retrained
from clearbench.evaluation.protocol.encoder_data import EncoderData, rows_of
from clearbench.evaluation.protocol.evaluate import (
    Evaluation,
    OnFold,
    RetrainedHead,
    ignore_progress,
)
from clearbench.evaluation.protocol.one_head import (
    HeadConfig,
    HeadJob,
    seed_of_bootstrap,
    train_head,
)
from clearbench.evaluation.task.splits import Fold
from clearbench.metrics import bounds_of, score_outputs
from clearbench.statistics import Score
from clearbench.statistics.bootstrap import Measure, Resampled, Resampling, bootstrap
from clearbench.statistics.training_variance import Sampled, Spread, widen

TEST_RESAMPLES = 500  # bootstrap samples of the test patients, for each retrained head


def with_retrained(
    evaluation: Evaluation,
    data: EncoderData,
    config: HeadConfig,
    on_fold: OnFold = ignore_progress,
) -> Evaluation:
    """Retrain heads on bootstrapped training patients, and widen the evaluation's intervals.

    Patients of the tuning part are drawn among themselves, so that nobody both trains and tunes.
    Folds differ in their training patients already and need none of this; neither does a head
    that no board compares. Raises BadArgument for a number of heads that shows no spread.
    """
    check_retrained(config.retrained)
    if not config.retrained or not _compared(data, config.head):
        return evaluation
    [fold] = data.prepared.folds
    # From 1, because draw 0 is the head of all training patients.
    draws = range(1, config.retrained + 1)
    jobs = [partial(_retrain, fold, draw, data, config) for draw in draws]
    retrained = run_all(jobs, config.parallelism(len(jobs), data), on_fold)
    return replace(evaluation, retrained=retrained, scores=_widened(evaluation, retrained))


def _widened(evaluation: Evaluation, retrained: Sequence[RetrainedHead]) -> dict[str, Score]:
    """Return the scores, their intervals widened by how much the retrained heads differ."""
    first, card = evaluation.fold_scores[0], evaluation.prepared.task.card
    measured = partial(
        score_outputs, card.target, first.truth, unscored=evaluation.prepared.unscored
    )

    def original(weights: Floats) -> dict[str, Floats]:
        heads = evaluation.fold_scores
        each = [measured(head.scores, weights, cuts=head.cuts) for head in heads]
        return {name: np.mean([scores[name] for scores in each], axis=0) for name in each[0]}

    measures: list[Measure] = [
        original,
        *(partial(measured, head.scores, cuts=head.cuts) for head in retrained),
    ]
    resampling = Resampling(first.patients, resamples=TEST_RESAMPLES, seed=card.split.seed)
    found = bootstrap(measures, resampling)
    scores, patients = evaluation.scores, len(set(first.patients))
    return scores | {name: _widen(name, scores[name], found[name], patients) for name in found}


def _widen(metric: str, score: Score, found: Resampled, patients: int) -> Score:
    """Widen one metric's interval; row 0 is the original heads, the others are retrained ones."""
    if np.isnan([score.value, score.low]).any():
        return score
    spread = Spread.of(found.values[1:], found.resampled[1:])
    tested = Sampled(float(np.nanvar(found.resampled[0], ddof=1)), patients)
    return widen(score, tested, spread, bounds_of(metric))


def _compared(data: EncoderData, head: str) -> bool:
    """Tell whether a board compares this head: the declared one, and every floor."""
    card = data.prepared.task.card
    return not card.split.crossed and (head == card.head or data.record.floor)


def _retrain(fold: Fold, draw: int, data: EncoderData, config: HeadConfig) -> RetrainedHead:
    """Train one head on bootstrapped patients, and score the fold's test units."""
    # No encoder in the seed: a draw has the same patients for all, so differences are paired.
    seed = seed_of_bootstrap(draw)
    rng = np.random.default_rng(seed)
    train, tune = (_bootstrap_rows(side, data, rng) for side in (fold.train, fold.tune))
    job = HeadJob(train, tune, rows_of(fold.test, data.units), seed)
    found = train_head(job, data, config).predictions
    return RetrainedHead(draw, tuple(job.test.tolist()), found.scores, found.cuts)


def _bootstrap_rows(patients: Sequence[str], data: EncoderData, rng: np.random.Generator) -> Rows:
    """Return the units of patients drawn with replacement; a patient may come several times."""
    chosen = rng.choice(len(patients), len(patients))
    parts = [rows_of([patients[i]], data.units) for i in chosen]
    return np.concatenate(parts) if parts else np.zeros(0, int)
