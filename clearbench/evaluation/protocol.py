"""One head on one encoder's features for one task: split, train, score; the honest middle of it all."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from clearbench.errors import BadRequest, BadTask, UnknownName
from clearbench.evaluation.bags import Bag, load_bags
from clearbench.evaluation.heads.mean_pool import fit_mean_pool
from clearbench.evaluation.prepared import Prepared
from clearbench.evaluation.presets import Preset, find_preset
from clearbench.evaluation.splits import Fold, split_sha256
from clearbench.evaluation.statistics import FoldScores, Score, score_protocol
from clearbench.evaluation.tasks import TaskCard
from clearbench.evaluation.training import Rows, Scored, Targets, fit_attention
from clearbench.evaluation.units import Units
from clearbench.store.folder import StoreFolder
from clearbench.store.records import EncoderRecord

SEEDS_FIXED_SPLIT = 3  # heads per fixed split; repeated folds train one per fold and repeat
HEADS = MappingProxyType(
    {
        "abmil": "attention-MIL, as in CLEAR",
        "mean-logreg": "mean of the bag and logistic regression",
    }
)

OnFold = Callable[[int, int], None]


@dataclass(frozen=True)
class FoldAnswer:
    """What one head of one fold said of its test units."""

    fold: Fold
    seed: int
    units: tuple[int, ...]
    scored: Scored


@dataclass(frozen=True)
class Evaluation:
    """All that one evaluation found out; `bags` tell where each attention weight belongs."""

    prepared: Prepared
    record: EncoderRecord
    head: str
    preset: str
    seeds: int
    scores: dict[str, Score]
    answers: tuple[FoldAnswer, ...]
    bags: tuple[Bag, ...]
    seconds: float
    fold_scores: tuple[FoldScores, ...] = field(default=())

    @property
    def units(self) -> Units:
        """Return the units evaluated."""
        return self.prepared.units


def evaluate_one(
    prepared: Prepared,
    record: EncoderRecord,
    store: StoreFolder,
    head: str,
    preset: str,
    *,
    seeds: int | None = None,
    device: str = "cpu",
    on_fold: OnFold = lambda done, total: None,
) -> Evaluation:
    """Train and score one kind of head on one encoder's features, fold by fold, each head anew.

    Raises UnknownName for a head or preset, BadTask if features are missing.
    """
    if head not in HEADS:
        raise UnknownName.among("head", head, HEADS, f" ({', '.join(HEADS)})")
    start = time.perf_counter()
    settings = find_preset(preset)
    card = prepared.task.card
    units, bags = load_bags(prepared.units, record, store, card.cohort)
    folds = _with_features(prepared, units)
    each = _seeds(card, seeds)
    targets = Targets(units.targets, card.target == "multiclass", len(card.outputs))
    answers = []
    for number, (fold, seed) in enumerate((fold, seed) for fold in folds for seed in range(each)):
        answers.append(
            _run_fold(fold, seed, units, bags, targets, head, settings, torch.device(device))
        )
        on_fold(number + 1, len(folds) * each)
    fold_scores = tuple(_fold_scores(answer, units, prepared) for answer in answers)
    return Evaluation(
        prepared=Prepared(prepared.task, units, tuple(folds), prepared.skipped),
        record=record,
        head=head,
        preset=preset,
        seeds=each,
        scores=score_protocol(card.target, fold_scores, seed=card.split.seed),
        answers=tuple(answers),
        bags=bags,
        seconds=time.perf_counter() - start,
        fold_scores=fold_scores,
    )


def _seeds(card: TaskCard, seeds: int | None) -> int:
    """Return how many heads are trained per fold."""
    if seeds is not None and seeds < 1:
        raise BadRequest("--seeds must be at least 1")
    return seeds or (SEEDS_FIXED_SPLIT if card.split.column else 1)


def _with_features(prepared: Prepared, units: Units) -> list[Fold]:
    """Keep the folds as they are, less the patients without features."""
    there = set(units.patients)
    if there == set(prepared.units.patients):
        return list(prepared.folds)
    parts = [
        tuple(tuple(p for p in side if p in there) for side in (f.train, f.tune, f.test))
        for f in prepared.folds
    ]
    if any(not side for sides in parts for side in sides):
        raise BadTask(f"{prepared.task.name}: too few patients have features; {units.excluded[-1]}")
    return [
        Fold(fold.repeat, fold.number, *sides)
        for fold, sides in zip(prepared.folds, parts, strict=True)
    ]


def _run_fold(
    fold: Fold, seed: int, units: Units, bags: Sequence[Bag], targets: Targets, head: str, preset: Preset, device: torch.device
) -> FoldAnswer:  # fmt: skip
    """Train one head and score its test units."""
    rows = Rows(*(_rows_of(side, units) for side in (fold.train, fold.tune, fold.test)))
    own = 100_000 * fold.repeat + 1_000 * fold.number + seed
    if head == "abmil":
        scored = fit_attention(bags, targets, rows, preset, own, device)
    else:
        scored = fit_mean_pool(bags, targets, rows, own)
    return FoldAnswer(fold, seed, rows.test, scored)


def _rows_of(patients: Sequence[str], units: Units) -> tuple[int, ...]:
    """Return the units of some patients."""
    wanted = set(patients)
    return tuple(row for row, patient in enumerate(units.patients) if patient in wanted)


def _fold_scores(answer: FoldAnswer, units: Units, prepared: Prepared) -> FoldScores:
    """Gather truth and scores of one fold; labels too rare to be scored become unknown."""
    rows = list(answer.units)
    return FoldScores(
        repeat=answer.fold.repeat,
        fold=answer.fold.number,
        seed=answer.seed,
        patients=tuple(units.patients[row] for row in rows),
        truth=_scored_truth(units.targets[rows], prepared),
        scores=answer.scored.scores,
    )


def _scored_truth(truth: NDArray[np.float64], prepared: Prepared) -> NDArray[np.float64]:
    """Blank the labels that are not scored; classes of a multiclass label stay."""
    if prepared.task.card.target == "multiclass":
        return truth
    rare = {note.partition(":")[0] for note in prepared.skipped}
    keep = np.array([name not in rare for name in prepared.task.card.labels])
    return np.where(keep, truth, np.nan)


def split_of(evaluation: Evaluation) -> str:
    """Return the digest of the folds that were used."""
    return split_sha256(evaluation.prepared.folds)
