"""Train one attention-MIL head: a new one per call, tuned inside the training fold only."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from clearbench.evaluation.bags import Bag, Padded, draw, pad
from clearbench.evaluation.heads.attention import AttentionMIL
from clearbench.evaluation.presets import Preset

KEPT_BYTES = 2 << 30  # standardised bags are kept in memory (or on the device) up to this much
AT_ONCE = 16  # whole bags in one forward, when scoring


@dataclass(frozen=True)
class Targets:
    """Targets [units, labels] (NaN unknown), and whether the one label is a class number."""

    values: NDArray[np.float64]
    multiclass: bool
    outputs: int


@dataclass(frozen=True)
class Scored:
    """A head's answer for some units: scores [units, outputs], attention per bag, its settings."""

    scores: NDArray[np.float64]
    attention: tuple[NDArray[np.float32], ...] = ()
    settings: dict[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Data:
    """Bags and targets of one fold, standardised by its training slices.

    `kept` holds every bag ready for use, or nothing if they are too many.
    """

    bags: Sequence[Bag]
    targets: Targets
    mean: Tensor
    scale: Tensor
    kept: tuple[Tensor, ...] = ()

    @property
    def device(self) -> torch.device:
        """Return where the head runs."""
        return self.mean.device

    def instances(self, row: int) -> Tensor:
        """Return one bag, standardised, on the device [instances, dim]."""
        if self.kept:
            return self.kept[row]
        return (torch.tensor(self.bags[row].features, device=self.device) - self.mean) / self.scale

    def batch(self, rows: Sequence[int]) -> Padded:
        """Pad some whole bags."""
        return pad([self.instances(row) for row in rows])

    def truth(self, rows: Sequence[int]) -> Tensor:
        """Return the targets of some units."""
        return torch.tensor(
            self.targets.values[list(rows)], dtype=torch.float32, device=self.device
        )


@dataclass(frozen=True)
class HeadAnswer:
    """A batch of answers: logits [b, outputs], and each bag's attention without padding."""

    logits: Tensor
    attention: list[NDArray[np.float32]]


@dataclass(frozen=True)
class Rows:
    """Which units train, tune and are tested."""

    train: tuple[int, ...]
    tune: tuple[int, ...]
    test: tuple[int, ...]


@dataclass(frozen=True)
class _Settings:
    """One pair of the grid."""

    learning_rate: float
    weight_decay: float


@dataclass(frozen=True)
class _Trial:
    """A trained head, its settings, and its loss on the tuning units."""

    head: AttentionMIL
    settings: _Settings
    loss: float


def fit_attention(
    bags: Sequence[Bag],
    targets: Targets,
    rows: Rows,
    preset: Preset,
    seed: int,
    device: torch.device,
) -> Scored:
    """Train a new head on the training units and score the test units, whole bags.

    The learning rate and weight decay with the least loss on the tuning units are taken. Without
    early stopping the head is then trained anew on training and tuning units together.
    """
    stopping = len(rows.train) + len(rows.tune) >= preset.early_stop_from
    data = _standardised(bags, targets, rows.train, preset, device)
    watch = rows.tune if stopping else ()
    weights = _class_weights(targets, rows.train, device)
    trials = []
    for pair in product(preset.learning_rates, preset.weight_decays):
        settings = _Settings(*pair)
        head = _train(data, rows.train, watch, preset, settings, seed)
        trials.append(_Trial(head, settings, _loss_on(head, data, rows.tune, weights)))
    best = min(trials, key=lambda trial: trial.loss)
    head = best.head
    if not stopping:
        everyone = (*rows.train, *rows.tune)
        data = _standardised(bags, targets, everyone, preset, device)
        head = _train(data, everyone, (), preset, best.settings, seed)
    return _score(head, data, rows.test, best.settings)


def _standardised(
    bags: Sequence[Bag],
    targets: Targets,
    train: Sequence[int],
    preset: Preset,
    device: torch.device,
) -> _Data:
    """Standardise bags by the mean and spread of the training slices."""
    dim = bags[0].features.shape[1]
    mean, scale = _moments([bags[i] for i in train]) if preset.standardise else (0.0, 1.0)
    as_tensor = partial(torch.tensor, dtype=torch.float32, device=device)
    data = _Data(bags, targets, as_tensor(np.full(dim, mean)), as_tensor(np.full(dim, scale)))
    if sum(bag.features.nbytes for bag in bags) > KEPT_BYTES:
        return data
    return replace(data, kept=tuple(data.instances(row) for row in range(len(bags))))


def _moments(bags: Sequence[Bag]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and spread of all slices of some bags [dim]."""
    count = sum(len(bag.features) for bag in bags)
    mean = np.sum([bag.features.sum(axis=0, dtype=np.float64) for bag in bags], axis=0) / count
    square = np.sum([((bag.features - mean) ** 2).sum(axis=0) for bag in bags], axis=0) / count
    return mean, np.sqrt(square) + 1e-6


def _train(
    data: _Data,
    train: Sequence[int],
    watch: Sequence[int],
    preset: Preset,
    settings: _Settings,
    seed: int,
) -> AttentionMIL:
    """Train a new head for a fixed number of steps, or (with units to watch) to its best epoch."""
    with torch.random.fork_rng(devices=[data.device] if data.device.type == "cuda" else []):
        torch.manual_seed(seed)
        head = AttentionMIL(data.mean.shape[0], data.targets.outputs).to(data.device)
        lesson = _Lesson(
            head,
            torch.optim.AdamW(
                head.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
            ),
            data,
            tuple(train),
            _class_weights(data.targets, train, data.device),
            preset,
            np.random.default_rng(seed),
        )
        if watch:
            _train_watched(lesson, watch)
        else:
            lesson.take(preset.steps)
    return head.eval()


@dataclass(frozen=True)
class _Lesson:
    """A head in training: the units it learns from, their class weights, and its own chance."""

    head: AttentionMIL
    optimiser: torch.optim.Optimizer
    data: _Data
    units: tuple[int, ...]
    weights: Tensor
    preset: Preset
    generator: np.random.Generator

    def take(self, steps: int) -> None:
        """Make some updates."""
        self.head.train()
        for batch in self._batches(steps):
            bags = [
                draw(self.data.instances(i), self.preset.most_instances, self.generator)
                for i in batch
            ]
            padded = pad(bags)
            logits = self.head(padded.features, padded.mask).logits
            self.optimiser.zero_grad(set_to_none=True)
            truth = self.data.truth(batch)
            loss = head_loss(logits, truth, self.data.targets.multiclass, self.weights)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()

    def _batches(self, steps: int) -> Iterator[list[int]]:
        """Yield batches of shuffled units, pass after pass, `steps` in all."""
        size = min(self.preset.batch_size, len(self.units))
        waiting: list[int] = []
        for _ in range(steps):
            if len(waiting) < size:
                waiting += [self.units[i] for i in self.generator.permutation(len(self.units))]
            yield waiting[:size]
            waiting = waiting[size:]


def _train_watched(lesson: _Lesson, watch: Sequence[int]) -> None:
    """Train epoch by epoch; keep a copy of the weights with the least loss on the watched units."""
    head, preset = lesson.head, lesson.preset
    best, best_loss, since = copy.deepcopy(head.state_dict()), float("inf"), 0
    for _ in range(preset.epochs):
        lesson.take(-(-len(lesson.units) // preset.batch_size))
        loss = _loss_on(head, lesson.data, watch, lesson.weights)
        since += 1
        if loss < best_loss:
            best, best_loss, since = copy.deepcopy(head.state_dict()), loss, 0
        if since >= preset.patience:
            break
    head.load_state_dict(best)


def head_loss(logits: Tensor, truth: Tensor, multiclass: bool, weights: Tensor) -> Tensor:
    """Return the class-weighted loss; unknown labels (NaN) count for nothing.

    Multiclass: `weights` per class. Otherwise `weights` is pos_weight, n_negative / n_positive.
    """
    if multiclass:
        return functional.cross_entropy(logits, truth[:, 0].long(), weight=weights)
    known = ~torch.isnan(truth)
    losses = functional.binary_cross_entropy_with_logits(
        logits, torch.nan_to_num(truth), pos_weight=weights, reduction="none"
    )
    return (losses * known).sum() / known.sum().clamp(min=1)


def _class_weights(targets: Targets, train: Sequence[int], device: torch.device) -> Tensor:
    """Return weights from the training units, under which every class counts the same."""
    values = targets.values[list(train)]
    if targets.multiclass:
        counts = np.bincount(values[:, 0].astype(int), minlength=targets.outputs)
        weights = len(values) / (targets.outputs * np.maximum(counts, 1))
    else:
        positive, negative = (values == 1).sum(axis=0), (values == 0).sum(axis=0)
        weights = np.where(positive > 0, negative / np.maximum(positive, 1), 1.0).clip(min=1e-3)
    return torch.tensor(weights, dtype=torch.float32, device=device)


def _loss_on(head: AttentionMIL, data: _Data, rows: Sequence[int], weights: Tensor) -> float:
    """Return the loss on some units, head in eval mode."""
    logits = [output.logits for output in _outputs(head, data, rows)]
    return float(head_loss(torch.cat(logits), data.truth(rows), data.targets.multiclass, weights))


def _outputs(head: AttentionMIL, data: _Data, rows: Sequence[int]) -> Iterator[HeadAnswer]:
    """Run whole bags through the head, a few at a time."""
    head.eval()
    with torch.inference_mode():
        for start in range(0, len(rows), AT_ONCE):
            padded = data.batch(rows[start : start + AT_ONCE])
            output = head(padded.features, padded.mask)
            lengths = padded.mask.sum(dim=1).tolist()
            yield HeadAnswer(
                output.logits,
                [row[:n].cpu().numpy() for row, n in zip(output.attention, lengths, strict=True)],
            )


def _score(head: AttentionMIL, data: _Data, rows: Sequence[int], settings: _Settings) -> Scored:
    """Turn logits into probabilities, and keep the attention."""
    answers = list(_outputs(head, data, rows))
    logits = torch.cat([answer.logits for answer in answers])
    scores = logits.softmax(dim=1) if data.targets.multiclass else logits.sigmoid()
    attention = tuple(weights for answer in answers for weights in answer.attention)
    return Scored(scores.cpu().double().numpy(), attention, asdict(settings))
