"""One head on one encoder's features for one task: split, train, score; the honest middle."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from types import MappingProxyType

import torch

from clearbench.encoders.device import choose_device
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
class _Material:
    """What every head of one evaluation is trained from, and how."""

    units: Units
    bags: tuple[Bag, ...]
    targets: Targets
    head: str
    preset: Preset
    device: torch.device


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


def evaluate_one(  # noqa: PLR0913  each is an option of its own
    prepared: Prepared,
    record: EncoderRecord,
    store: StoreFolder,
    head: str,
    preset: str,
    *,
    seeds: int | None = None,
    device: str = "cpu",
    on_fold: OnFold = lambda _done, _total: None,
) -> Evaluation:
    """Train and score one kind of head on one encoder's features, fold by fold, each head anew.

    Raises UnknownName for a head or preset, BadRequest for a device that isn't there, BadTask if
    features are missing.
    """
    if head not in HEADS:
        raise UnknownName.among("head", head, HEADS, f" ({', '.join(HEADS)})")
    start = time.perf_counter()
    settings, place = find_preset(preset), choose_device(device)
    card = prepared.task.card
    units, bags = load_bags(prepared.units, record, store, card.cohort)
    folds = _with_features(prepared, units)
    each = _seeds(card, seeds)
    targets = Targets(units.targets, card.target == "multiclass", len(card.outputs))
    material = _Material(units, bags, targets, head, settings, place)
    answers = []
    for fold, seed in product(folds, range(each)):
        answers.append(_run_fold(fold, seed, material))
        on_fold(len(answers), len(folds) * each)
    fold_scores = tuple(_fold_scores(answer, units) for answer in answers)
    return Evaluation(
        prepared=Prepared(prepared.task, units, tuple(folds), prepared.skipped),
        record=record,
        head=head,
        preset=preset,
        seeds=each,
        scores=score_protocol(
            card.target, fold_scores, unscored=prepared.unscored, seed=card.split.seed
        ),
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


def _run_fold(fold: Fold, seed: int, of: _Material) -> FoldAnswer:
    """Train one head and score its test units."""
    rows = Rows(*(_rows_of(side, of.units) for side in (fold.train, fold.tune, fold.test)))
    own = 100_000 * fold.repeat + 1_000 * fold.number + seed
    if of.head == "abmil":
        scored = fit_attention(of.bags, of.targets, rows, of.preset, own, of.device)
    else:
        scored = fit_mean_pool(of.bags, of.targets, rows, own)
    return FoldAnswer(fold, seed, rows.test, scored)


def _rows_of(patients: Sequence[str], units: Units) -> tuple[int, ...]:
    """Return the units of some patients."""
    wanted = set(patients)
    return tuple(row for row, patient in enumerate(units.patients) if patient in wanted)


def _fold_scores(answer: FoldAnswer, units: Units) -> FoldScores:
    """Gather truth and scores of one fold."""
    rows = list(answer.units)
    return FoldScores(
        repeat=answer.fold.repeat,
        fold=answer.fold.number,
        seed=answer.seed,
        patients=tuple(units.patients[row] for row in rows),
        truth=units.targets[rows],
        scores=answer.scored.scores,
    )


def split_of(evaluation: Evaluation) -> str:
    """Return the digest of the folds that were used."""
    return split_sha256(evaluation.prepared.folds)
