"""One head on one encoder's features for one task: train and score every fold."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from clearbench.arrays import Floats
from clearbench.evaluation.attention.faithfulness import Faithfulness, measure_faithfulness
from clearbench.evaluation.attention.scores import AttentionData, HeadAttention, score_attention
from clearbench.evaluation.bags.load import Bag
from clearbench.evaluation.head_registry import find_head
from clearbench.evaluation.heads.estimator import BagEstimator, Predictions
from clearbench.evaluation.heads.parallel import run_all
from clearbench.evaluation.heads.presets import check_seeds, find_preset
from clearbench.evaluation.protocol.encoder_data import EncoderData
from clearbench.evaluation.protocol.one_head import HeadConfig, job_of_fold, train_head
from clearbench.evaluation.task.prepared import PreparedTask
from clearbench.evaluation.task.splits import Fold
from clearbench.evaluation.task.units import Units
from clearbench.statistics import FoldScores, Score, score_with_bootstrap
from clearbench.statistics.calibration import calibration_scores
from clearbench.statistics.cross_validation import score_cross_validation
from clearbench.statistics.perfect import with_perfect_scores
from clearbench.statistics.seed_spread import seed_spread
from clearbench.store.records import EncoderRecord

SEEDS_FIXED_SPLIT = 3  # heads of one network per fixed split; repeats are seeds enough

OnFold = Callable[[int, int], None]


@dataclass(frozen=True)
class FoldResult:
    """One head of one fold: its predictions for the test units, and the head if it is kept."""

    fold: Fold
    seed: int
    units: tuple[int, ...]
    predictions: Predictions
    faithfulness: Faithfulness
    settings: dict[str, float | int | str]
    head: BagEstimator | None = None


@dataclass(frozen=True)
class RetrainedHead:
    """The scores that a head trained on bootstrapped patients gives a fixed split's test units.

    `cuts` are where its scores become decisions, see `Predictions`.
    """

    draw: int
    units: tuple[int, ...]
    scores: Floats
    cuts: Floats


@dataclass(frozen=True)
class Evaluation:
    """All results of one head on one encoder's features.

    `bags` say which slice and view each attention weight belongs to. `seed_spread` is the standard
    deviation of the task's metric over single networks of other seeds, NaN if every seed gives the
    same. `retrained` are heads trained on bootstrapped patients, where the split is fixed.
    """

    prepared: PreparedTask
    record: EncoderRecord
    head: str
    preset: str
    seeds: int
    precision: str
    scores: dict[str, Score]
    fold_results: tuple[FoldResult, ...]
    bags: tuple[Bag, ...]
    seconds: float
    fold_scores: tuple[FoldScores, ...]
    attention_scores: dict[str, Score]
    seed_spread: float
    attention_notes: tuple[str, ...] = ()
    retrained: tuple[RetrainedHead, ...] = ()

    @property
    def units(self) -> Units:
        """Return the units evaluated."""
        return self.prepared.units

    @property
    def test_cohort(self) -> str:
        """Return the test cohort, if it isn't the task's own."""
        return self.prepared.test_cohort


def ignore_progress(_done: int, _total: int) -> None:
    """Do nothing with progress."""


def evaluate_head(
    data: EncoderData, config: HeadConfig, on_fold: OnFold = ignore_progress
) -> Evaluation:
    """Train and score one head on every fold, a new one each, many at once.

    A deterministic head is trained once per fold, whatever the number of seeds. Raises UnknownName
    for a head or preset, BadArgument for a number of seeds below 1.
    """
    # Called for their errors only: a wrong name is refused before anything is trained.
    find_head(config.head)
    find_preset(config.preset)
    start = time.perf_counter()
    card, units = data.prepared.task.card, data.units
    seeds = _seeds(data, config)
    runs = list(product(data.prepared.folds, range(seeds)))
    jobs = [partial(_run_fold, fold, seed, data, config) for fold, seed in runs]
    results = run_all(jobs, config.parallelism(len(jobs), data), on_fold)
    fold_scores = tuple(_fold_scores(result, units) for result in results)
    attention = score_attention(_attention_data(data, results), card.split.seed)
    return Evaluation(
        prepared=data.prepared,
        record=data.record,
        head=config.head,
        preset=config.preset,
        seeds=seeds,
        precision=str(data.instances.shared.dtype).removeprefix("torch."),
        scores=_scores(fold_scores, data.prepared),
        fold_results=results,
        bags=data.bags,
        seconds=time.perf_counter() - start,
        fold_scores=fold_scores,
        attention_scores=attention.scores,
        seed_spread=seed_spread(
            card.target, card.primary, fold_scores, unscored=data.prepared.unscored
        ),
        attention_notes=attention.notes,
    )


def _scores(heads: Sequence[FoldScores], prepared: PreparedTask) -> dict[str, Score]:
    """Return every metric; the intervals of a fixed test set come from its patients."""
    card, folds = prepared.task.card, prepared.folds
    lines = calibration_scores(heads) if card.target == "binary" else {}
    if not card.split.crossed:
        seed = card.split.seed
        found = score_with_bootstrap(card.target, heads, unscored=prepared.unscored, seed=seed)
        return with_perfect_scores(found, card.target, heads) | lines
    # Tuning patients count as training patients, because heads learn from them too.
    shares = [len(fold.test) / (len(fold.train) + len(fold.tune)) for fold in folds]
    share = float(np.mean(shares))
    found = score_cross_validation(card.target, heads, share, unscored=prepared.unscored)
    return with_perfect_scores(found, card.target, heads) | lines


def _attention_data(data: EncoderData, results: Sequence[FoldResult]) -> AttentionData:
    """Gather the attention of every head; a target of classes has no finding that readers mark."""
    heads = [
        HeadAttention(each.units, each.predictions.attention, each.faithfulness) for each in results
    ]
    positive: NDArray[np.bool_] = np.any(data.positive, axis=1)
    found = positive if data.targets.output_type == "labels" else np.zeros_like(positive)
    return AttentionData(data.units, data.bags, found, heads)


def _seeds(data: EncoderData, config: HeadConfig) -> int:
    """Return how many heads are trained per fold; one, if all would be the same or are averages."""
    check_seeds(config.seeds)
    # Labels are shuffled by the seed, so then even a deterministic head differs.
    if find_head(config.head).deterministic and not data.shuffled:
        return 1
    split = data.prepared.task.card.split
    repeated = split.crossed and not split.group
    # A preset may average networks of several seeds within each head.
    averaged = find_preset(config.preset).networks > 1
    return config.seeds or (1 if repeated or averaged else SEEDS_FIXED_SPLIT)


def _run_fold(fold: Fold, seed: int, data: EncoderData, config: HeadConfig) -> FoldResult:
    """Train one head of a fold, predict its test units, and try whether scores follow attention."""
    job = job_of_fold(fold, seed, data)
    trained = train_head(job, data, config)
    # Nobody looks at the attention of a floor, and following it takes as long as training.
    followed = data.positive[job.test] & bool(data.bags)
    return FoldResult(
        fold,
        seed,
        tuple(job.test.tolist()),
        trained.predictions,
        measure_faithfulness(trained.head, trained.tested, trained.predictions, followed, job.seed),
        trained.head.settings,
        trained.head if config.keep_heads else None,
    )


def _fold_scores(result: FoldResult, units: Units) -> FoldScores:
    """Gather truth and scores of one fold."""
    rows = list(result.units)
    return FoldScores(
        repeat=result.fold.repeat,
        fold=result.fold.number,
        seed=result.seed,
        patients=tuple(units.patients[row] for row in rows),
        truth=units.targets[rows],
        scores=result.predictions.scores,
        cuts=result.predictions.cuts,
        networks=result.predictions.networks,
    )
