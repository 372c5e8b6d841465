"""Label efficiency: how a score grows with the number of training patients.

Each draw puts a fold's training patients into one order, and every size takes the first of it: a
smaller training set lies within a larger one. Orders are stratified, so that small sets hold every
label about as often as the whole does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np

from clearbench.errors import BadRequest
from clearbench.evaluation.heads.kinds import make_head
from clearbench.evaluation.material import Material, Rows, rows_of
from clearbench.evaluation.presets import find_preset
from clearbench.evaluation.protocol import OnFold, Way, request_of
from clearbench.evaluation.side_by_side import run_side_by_side
from clearbench.evaluation.splits import Fold, patient_labels, stratify
from clearbench.evaluation.statistics import FoldScores, Score, score_protocol
from clearbench.evaluation.training import Lot

DRAWS = 10  # at the least, over folds and repeats
TUNE_PARTS = 5
FEWEST = 8


@dataclass(frozen=True)
class CurvePoint:
    """The task's metric with so many training patients; `whole` is the training side as it is.

    The interval is that of test patients, over all draws at once; `spread` is the standard
    deviation over draws.
    """

    patients: int
    whole: bool
    score: Score
    spread: float
    draws: int


@dataclass(frozen=True)
class _Draw:
    """One training set: a fold, which draw of it, and how many patients (0 means all)."""

    fold: Fold
    number: int
    size: int


def read_sizes(text: str) -> tuple[int, ...]:
    """Read "16,32,all" as numbers of patients, 0 for all, in rising order.

    Raises BadRequest for anything else, or fewer than FEWEST patients.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    wrong = [w for w in words if w != "all" and not (w.isdecimal() and int(w) >= FEWEST)]
    if wrong or not words:
        raise BadRequest(
            f"--fractions {text}: numbers of training patients from {FEWEST} on, or all, "
            "e.g. 16,32,64,all"
        )
    sizes = sorted({0 if word == "all" else int(word) for word in words})
    return (*(size for size in sizes if size), *(size for size in sizes if not size))


def check_sizes(sizes: Sequence[int], folds: Sequence[Fold], task: str) -> None:
    """Refuse numbers of patients of which no fold has more to train on; raises BadRequest."""
    most = max(len(fold.train) + len(fold.tune) for fold in folds)
    if max(sizes) >= most:
        raise BadRequest(
            f"--fractions {max(sizes)}: {task} has {most} training patients"
            f"{' in its largest fold' if len(folds) > 1 else ''}; ask for fewer, or for all"
        )


def learning_curve(
    material: Material,
    way: Way,
    sizes: Sequence[int],
    on_fold: OnFold = lambda _done, _total: None,
) -> tuple[CurvePoint, ...]:
    """Train a head on ever more patients and score the same test units; one point per size.

    A size that no fold has is left out. Test sides, presets and heads are the protocol's.
    """
    folds = material.prepared.folds
    each = -(-DRAWS // len(folds))
    runs = [
        _Draw(fold, number, size)
        for size, fold, number in product(sizes, folds, range(each))
        if size < len(fold.train) + len(fold.tune)
    ]
    jobs = [partial(_one, draw, material, way) for draw in runs]
    answers: dict[int, FoldScores] = {}
    for number, answer in run_side_by_side(jobs, way.crew(len(jobs), material)):
        answers[number] = answer
        on_fold(len(answers), len(jobs))
    points = []
    for size in sizes:
        chosen = [number for number, draw in enumerate(runs) if draw.size == size]
        if chosen:
            points.append(_point(size, [answers[n] for n in chosen], material))
    return tuple(points)


def _one(draw: _Draw, of: Material, way: Way) -> FoldScores:
    """Train on one draw, and score its fold's test units."""
    seed = 1_000_000 + 100_000 * draw.fold.repeat + 1_000 * draw.fold.number + draw.number
    rows = _training_rows(draw, of, seed)
    tuning = stratify(of.strata[rows], min(TUNE_PARTS, len(rows)), seed) == 0
    bags = of.instances_for(rows)
    head = make_head(request_of(of, way, find_preset(way.preset), seed))
    head.fit_lots(
        *(Lot(bags.take(rows[side]), of.targets.take(rows[side])) for side in (~tuning, tuning))
    )
    test = rows_of(draw.fold.test, of.units)
    return FoldScores(
        repeat=draw.fold.repeat,
        fold=draw.fold.number,
        seed=draw.number,
        patients=tuple(of.units.patients[row] for row in test),
        truth=of.units.targets[test],
        scores=head.judge(bags.take(test)).scores,
    )


def _training_rows(draw: _Draw, of: Material, seed: int) -> Rows:
    """Return the units of the first patients of a stratified order."""
    everyone = (*draw.fold.train, *draw.fold.tune)
    if not draw.size:
        return rows_of(everyone, of.units)
    patients, labels = patient_labels(of.units, of.prepared.task.card)
    place = {patient: row for row, patient in enumerate(patients)}
    mine = np.array([place[patient] for patient in everyone])
    parts = stratify(labels[mine], max(2, len(mine) // FEWEST), seed)
    order = np.lexsort((np.random.default_rng(seed).permutation(len(mine)), parts))
    return rows_of([everyone[i] for i in order[: draw.size]], of.units)


def _point(size: int, answers: Sequence[FoldScores], of: Material) -> CurvePoint:
    """Score all draws of one size."""
    card = of.prepared.task.card
    scored = partial(
        score_protocol, card.target, unscored=of.prepared.unscored, seed=card.split.seed
    )
    alone = [scored([answer], draws=1)[card.primary].value for answer in answers]
    first = of.prepared.folds[0]
    return CurvePoint(
        patients=size or len(first.train) + len(first.tune),
        whole=not size,
        score=scored(answers)[card.primary],
        spread=float(np.nanstd(alone)),
        draws=len(answers),
    )
