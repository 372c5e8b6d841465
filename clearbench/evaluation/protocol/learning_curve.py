"""Label efficiency: how a score grows with the number of training patients.

The training patients of a fold are put into one stratified order, and each size takes the first of
it, so a smaller training set is part of a larger one, and small sets have every label about as
often as the whole.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np

from clearbench.arrays import Rows
from clearbench.errors import BadArgument
from clearbench.evaluation.heads.parallel import run_all
from clearbench.evaluation.protocol.encoder_data import EncoderData, rows_of
from clearbench.evaluation.protocol.evaluate import OnFold, ignore_progress
from clearbench.evaluation.protocol.one_head import (
    HeadConfig,
    HeadJob,
    seed_of_subset,
    train_head,
)
from clearbench.evaluation.task.splits import Fold, patient_labels, stratify
from clearbench.statistics import FoldScores, Score, score_with_bootstrap

SUBSETS = 10  # training subsets per size, over folds and repeats; at least
TUNE_PARTS = 5  # one fifth of a subset tunes
FEWEST = 8  # training patients
WHOLE = re.compile(r"\d{1,9}")


@dataclass(frozen=True)
class CurvePoint:
    """The task's metric at one number of training patients; `whole` means all of them.

    The interval is over test patients, `spread` is the standard deviation over training subsets.
    """

    patients: int
    whole: bool
    score: Score
    spread: float
    draws: int


@dataclass(frozen=True)
class _Subset:
    """One training subset of a fold: its number, and how many patients it has (0: all)."""

    fold: Fold
    number: int
    size: int


def read_training_sizes(text: str) -> tuple[int, ...]:
    """Read "16,32,all" as numbers of patients in rising order, 0 for all.

    Raises BadArgument for anything else, or fewer than FEWEST patients.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    wrong = [w for w in words if w != "all" and not (WHOLE.fullmatch(w) and int(w) >= FEWEST)]
    if wrong or not words:
        reason = f"numbers of training patients from {FEWEST} on, or all; example: 16,32,64,all"
        raise BadArgument("fractions", text, reason)
    sizes = sorted({0 if word == "all" else int(word) for word in words})
    return (*(size for size in sizes if size), *(size for size in sizes if not size))


def check_training_sizes(sizes: Sequence[int], folds: Sequence[Fold], task: str) -> None:
    """Refuse a number of patients that no fold has; raises BadArgument."""
    most = max(len(fold.train) + len(fold.tune) for fold in folds)
    if max(sizes) >= most:
        where = " in its largest fold" if len(folds) > 1 else ""
        reason = f"{task} has {most} training patients{where}; ask for fewer, or for all"
        raise BadArgument("fractions", max(sizes), reason)


def learning_curve(
    data: EncoderData,
    config: HeadConfig,
    sizes: Sequence[int],
    on_fold: OnFold = ignore_progress,
) -> tuple[CurvePoint, ...]:
    """Train a head on more and more patients and score the same test units; one point per size.

    A size that no fold has is left out. Test patients, preset and head are those of the evaluation.
    """
    folds = data.prepared.folds
    each = -(-SUBSETS // len(folds))
    runs = [
        _Subset(fold, number, size)
        for size, fold, number in product(sizes, folds, range(each))
        if size < len(fold.train) + len(fold.tune)
    ]
    jobs = [partial(_score_subset, subset, data, config) for subset in runs]
    scores = run_all(jobs, config.parallelism(len(jobs), data), on_fold)
    points = []
    for size in sizes:
        chosen = [score for score, subset in zip(scores, runs, strict=True) if subset.size == size]
        if chosen:
            points.append(_point(size, chosen, data))
    return tuple(points)


def _score_subset(subset: _Subset, data: EncoderData, config: HeadConfig) -> FoldScores:
    """Train on one subset, and score its fold's test units."""
    seed = seed_of_subset(subset.fold, subset.number)
    rows = _training_rows(subset, data, seed)
    tuning = stratify(data.strata[rows], min(TUNE_PARTS, len(rows)), seed) == 0
    job = HeadJob(rows[~tuning], rows[tuning], rows_of(subset.fold.test, data.units), seed)
    predictions = train_head(job, data, config).predictions
    return FoldScores(
        repeat=subset.fold.repeat,
        fold=subset.fold.number,
        seed=subset.number,
        patients=tuple(data.units.patients[row] for row in job.test),
        truth=data.units.targets[job.test],
        scores=predictions.scores,
        cuts=predictions.cuts,
    )


def _training_rows(subset: _Subset, data: EncoderData, seed: int) -> Rows:
    """Return the units of the first patients of a stratified order."""
    everyone = (*subset.fold.train, *subset.fold.tune)
    if not subset.size:
        return rows_of(everyone, data.units)
    patients, labels = patient_labels(data.units, data.prepared.task.card)
    place = {patient: row for row, patient in enumerate(patients)}
    rows = np.array([place[patient] for patient in everyone])
    # Each part of about FEWEST patients has every label about as often, so the first few have too.
    parts = stratify(labels[rows], max(2, len(rows) // FEWEST), seed)
    # lexsort sorts by its last key first: by part, and at random within a part.
    order = np.lexsort((np.random.default_rng(seed).permutation(len(rows)), parts))
    return rows_of([everyone[i] for i in order[: subset.size]], data.units)


def _point(size: int, scores: Sequence[FoldScores], data: EncoderData) -> CurvePoint:
    """Score all subsets of one size."""
    card = data.prepared.task.card
    scored = partial(
        score_with_bootstrap, card.target, unscored=data.prepared.unscored, seed=card.split.seed
    )
    # Only the value is needed here, so one resample is enough.
    alone = [scored([one], resamples=1)[card.primary].value for one in scores]
    first = data.prepared.folds[0]
    return CurvePoint(
        patients=size or len(first.train) + len(first.tune),
        whole=not size,
        score=scored(scores)[card.primary],
        spread=float(np.nanstd(alone)),
        draws=len(scores),
    )
