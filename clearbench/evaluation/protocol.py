"""One head on one encoder's features for one task: split, train, score; the honest middle."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from clearbench.errors import BadRequest
from clearbench.evaluation.attention_scores import Look, Looked, score_attention
from clearbench.evaluation.bags import Bag
from clearbench.evaluation.faithfulness import Faithfulness, measure_faithfulness
from clearbench.evaluation.heads.estimator import BagEstimator, Judged
from clearbench.evaluation.heads.kinds import BEST, check_head, make_head
from clearbench.evaluation.heads.mil import NETS
from clearbench.evaluation.heads.single import WITHOUT_CHANCE, HeadRequest
from clearbench.evaluation.material import Material, rows_of
from clearbench.evaluation.prepared import Prepared
from clearbench.evaluation.presets import DRAWS, Preset, find_preset
from clearbench.evaluation.side_by_side import Crew, choose_crew, run_side_by_side
from clearbench.evaluation.splits import Fold
from clearbench.evaluation.statistics import FoldScores, Score, score_protocol
from clearbench.evaluation.statistics.calibrated import calibration_scores
from clearbench.evaluation.statistics.crossed import score_crossed
from clearbench.evaluation.targets import Floats
from clearbench.evaluation.training import Lot
from clearbench.evaluation.units import Units
from clearbench.store.records import EncoderRecord

SEEDS_FIXED_SPLIT = 3  # heads per fixed split; repeated folds train one per fold and repeat

OnFold = Callable[[int, int], None]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class FoldAnswer:
    """What one head of one fold said of its test units; the head itself, if it is to be kept."""

    fold: Fold
    seed: int
    units: tuple[int, ...]
    judged: Judged
    faithfulness: Faithfulness
    settings: dict[str, float | int | str]
    head: BagEstimator | None = None


@dataclass(frozen=True)
class Redrawn:
    """What a head said of a fixed split's test units that learnt from drawn patients."""

    draw: int
    units: tuple[int, ...]
    scores: Floats


@dataclass(frozen=True)
class Evaluation:
    """All that one evaluation found out; `bags` tell where each attention weight belongs.

    `redrawn` is what heads of other training patients say, where the split is fixed.
    """

    prepared: Prepared
    record: EncoderRecord
    head: str
    preset: str
    seeds: int
    precision: str
    scores: dict[str, Score]
    answers: tuple[FoldAnswer, ...]
    bags: tuple[Bag, ...]
    seconds: float
    fold_scores: tuple[FoldScores, ...] = field(default=())
    attention_scores: dict[str, Score] = field(default_factory=dict)
    attention_notes: tuple[str, ...] = ()
    redrawn: tuple[Redrawn, ...] = ()

    @property
    def units(self) -> Units:
        """Return the units evaluated."""
        return self.prepared.units

    @property
    def test_cohort(self) -> str:
        """Return the cohort that was tested, if it is another than the task's own."""
        return self.prepared.test_cohort


@dataclass(frozen=True)
class Way:
    """Which head, trained how, how often; whether the trained heads are kept.

    `draws` are the heads of drawn training patients that a fixed split gets besides.
    """

    head: str
    preset: str = "default"
    seeds: int | None = None
    keep_heads: bool = False
    draws: int = DRAWS

    def crew(self, jobs: int, material: Material) -> Crew:
        """Let networks train side by side; scikit-learn's solvers take the cores themselves."""
        return choose_crew(jobs if self.head in (*NETS, BEST) else 1, material.instances.device)


def evaluate_head(
    material: Material, way: Way, on_fold: OnFold = lambda _done, _total: None
) -> Evaluation:
    """Train and score one kind of head, fold by fold, each head anew; many heads side by side.

    A head without chance is trained once per fold, whatever the seeds. Raises UnknownName for a
    head or preset, BadRequest for seeds that can't be.
    """
    check_head(way.head)
    start = time.perf_counter()
    settings = find_preset(way.preset)
    card, units = material.prepared.task.card, material.units
    each = _seeds(material, way)
    runs = list(product(material.prepared.folds, range(each)))
    jobs = [partial(_run_fold, fold, seed, material, way, settings) for fold, seed in runs]
    answers: dict[int, FoldAnswer] = {}
    for number, answer in run_side_by_side(jobs, way.crew(len(jobs), material)):
        answers[number] = answer
        on_fold(len(answers), len(jobs))
    ordered = tuple(answers[number] for number in range(len(jobs)))
    fold_scores = tuple(_fold_scores(answer, units) for answer in ordered)
    attention = score_attention(_looked(material, ordered), card.split.seed)
    return Evaluation(
        prepared=material.prepared,
        record=material.record,
        head=way.head,
        preset=way.preset,
        seeds=each,
        precision=str(material.instances.shared.dtype).removeprefix("torch."),
        scores=_scores(fold_scores, material.prepared),
        answers=ordered,
        bags=material.bags,
        seconds=time.perf_counter() - start,
        fold_scores=fold_scores,
        attention_scores=attention.scores,
        attention_notes=attention.notes,
    )


def _scores(heads: Sequence[FoldScores], prepared: Prepared) -> dict[str, Score]:
    """Return every metric; a fixed test set's intervals are those of its patients."""
    card, folds = prepared.task.card, prepared.folds
    lines = calibration_scores(heads) if card.target == "binary" else {}
    if not card.split.crossed:
        seed = card.split.seed
        found = score_protocol(card.target, heads, unscored=prepared.unscored, seed=seed)
        return found | lines
    shares = [len(fold.test) / (len(fold.train) + len(fold.tune)) for fold in folds]
    share = float(np.mean(shares))
    return score_crossed(card.target, heads, share, unscored=prepared.unscored) | lines


def _looked(material: Material, answers: Sequence[FoldAnswer]) -> Looked:
    """Gather what heads said of instances; of classes none is the finding that readers mark."""
    looks = [Look(each.units, each.judged.attention, each.faithfulness) for each in answers]
    positive: NDArray[np.bool_] = np.any(material.positive, axis=1)
    found = positive if material.targets.kind == "labels" else np.zeros_like(positive)
    return Looked(material.units, material.bags, found, looks)


def _seeds(material: Material, way: Way) -> int:
    """Return how many heads are trained per fold; one, where they would all be the same."""
    if way.seeds is not None and way.seeds < 1:
        raise BadRequest("--seeds must be at least 1")
    if way.head in WITHOUT_CHANCE and not material.shuffled:
        return 1
    split = material.prepared.task.card.split
    repeated = split.crossed and not split.group
    return way.seeds or (1 if repeated else SEEDS_FIXED_SPLIT)


def _run_fold(fold: Fold, seed: int, of: Material, way: Way, preset: Preset) -> FoldAnswer:
    """Train one head and score its test units, whole bags."""
    train, tune, test = (rows_of(side, of.units) for side in (fold.train, fold.tune, fold.test))
    own = 100_000 * fold.repeat + 1_000 * fold.number + seed
    head = make_head(request_of(of, way, preset, own))
    bags = of.instances_for(np.concatenate([train, tune]))
    head.fit_lots(*(Lot(bags.take(rows), of.learnt_from(rows, own)) for rows in (train, tune)))
    tested = bags.take(test)
    judged = head.judge(tested)
    return FoldAnswer(
        fold,
        seed,
        tuple(test.tolist()),
        judged,
        measure_faithfulness(head, tested, judged, of.positive[test], own),
        head.settings,
        head if way.keep_heads else None,
    )


def request_of(of: Material, way: Way, preset: Preset, seed: int) -> HeadRequest:
    """Say which head a task's units need."""
    card = of.prepared.task.card
    return HeadRequest(way.head, card.target, len(card.classes) or 2, preset, seed)


def _fold_scores(answer: FoldAnswer, units: Units) -> FoldScores:
    """Gather truth and scores of one fold."""
    rows = list(answer.units)
    return FoldScores(
        repeat=answer.fold.repeat,
        fold=answer.fold.number,
        seed=answer.seed,
        patients=tuple(units.patients[row] for row in rows),
        truth=units.targets[rows],
        scores=answer.judged.scores,
    )
