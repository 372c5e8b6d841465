"""One head: trained on some units, and what it predicts for others. The only rule for seeds."""

from dataclasses import dataclass, replace

import numpy as np

from clearbench.arrays import Rows
from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.head_registry import trains_network
from clearbench.evaluation.heads.estimator import BagEstimator, HeadRequest, Predictions
from clearbench.evaluation.heads.make import make_head
from clearbench.evaluation.heads.parallel import Parallelism, choose_parallelism
from clearbench.evaluation.heads.presets import RETRAINED_HEADS, find_preset
from clearbench.evaluation.heads.training import LabelledBags
from clearbench.evaluation.protocol.encoder_data import EncoderData, rows_of
from clearbench.evaluation.task.splits import Fold


@dataclass(frozen=True)
class HeadConfig:
    """Which head, under which preset, with how many seeds; whether the trained heads are kept.

    `retrained` is how many heads are retrained on bootstrapped training patients where the split
    is fixed.
    """

    head: str
    preset: str = "default"
    seeds: int | None = None
    keep_heads: bool = False
    retrained: int = RETRAINED_HEADS

    def parallelism(self, jobs: int, data: EncoderData) -> Parallelism:
        """Return how many heads train at once; scikit-learn's solvers use all cores by themselves.

        `jobs` is how many heads there are to train.
        """
        return choose_parallelism(jobs if trains_network(self.head) else 1, data.instances.device)


@dataclass(frozen=True)
class HeadJob:
    """One head to train: on which units, tuned on which, tested on which, from which seed."""

    train: Rows
    tune: Rows
    test: Rows
    seed: int


@dataclass(frozen=True)
class TrainedHead:
    """A trained head, the bags of its test units, and its predictions for them."""

    head: BagEstimator
    tested: BagSet
    predictions: Predictions


def seed_of_fold(fold: Fold, number: int) -> int:
    """Return the seed of the head `number` of a fold."""
    return 100_000 * fold.repeat + 1_000 * fold.number + number


def seed_of_subset(fold: Fold, number: int) -> int:
    """Return the seed of the training subset `number` of a fold, and of its head."""
    return 1_000_000 + seed_of_fold(fold, number)


def seed_of_bootstrap(number: int) -> int:
    """Return the seed of the bootstrap sample `number` of training patients, and of its head."""
    return 10_000_000 + number


def train_head(job: HeadJob, data: EncoderData, config: HeadConfig) -> TrainedHead:
    """Train a new head, and predict its test units from whole bags.

    What a floor computes from training units, it computes from those of this job alone. With
    shuffled labels one network is trained, because a mean of guesses is not better than one.
    """
    card, preset = data.prepared.task.card, find_preset(config.preset)
    if data.shuffled:
        preset = replace(preset, networks=1)
    head = make_head(
        HeadRequest(config.head, card.target, len(card.classes) or 2, preset, job.seed)
    )
    bags = data.instances_for(np.concatenate([job.train, job.tune]))
    train, tune = (
        LabelledBags(bags.take(rows), data.training_targets(rows, job.seed))
        for rows in (job.train, job.tune)
    )
    head.fit_labelled(train, tune)
    tested = bags.take(job.test)
    return TrainedHead(head, tested, head.predictions(tested))


def job_of_fold(fold: Fold, number: int, data: EncoderData) -> HeadJob:
    """Return the job of the head `number` of a fold."""
    train, tune, test = (rows_of(side, data.units) for side in (fold.train, fold.tune, fold.test))
    return HeadJob(train, tune, test, seed_of_fold(fold, number))
