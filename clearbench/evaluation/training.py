"""Train one attention-MIL head: a new one per call, tuned inside the training fold only."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from clearbench.evaluation.bags import Bag, Padded, pad
from clearbench.evaluation.heads.attention import AttentionMIL
from clearbench.evaluation.presets import Preset


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
    """Bags and targets of one fold, and the statistics of its training slices."""

    bags: Sequence[Bag]
    targets: Targets
    mean: Tensor
    scale: Tensor
    device: torch.device

    def batch(
        self, rows: Sequence[int], most: int = 0, generator: np.random.Generator | None = None
    ) -> Padded:
        """Pad some bags, standardise them and put them on the device."""
        padded = pad([self.bags[i] for i in rows], most=most, generator=generator)
        features = (padded.features.to(self.device) - self.mean) / self.scale
        return Padded(features, padded.mask.to(self.device))

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
    tried = []
    for rate, decay in product(preset.learning_rates, preset.weight_decays):
        head = _train(data, rows.train, rows.tune if stopping else (), preset, (rate, decay), seed)
        tried.append(
            (
                _loss_on(head, data, rows.tune, _class_weights(targets, rows.train, device)),
                rate,
                decay,
                head,
            )
        )
    _, rate, decay, head = min(tried, key=lambda trial: trial[0])
    if not stopping:
        everyone = (*rows.train, *rows.tune)
        data = _standardised(bags, targets, everyone, preset, device)
        head = _train(data, everyone, (), preset, (rate, decay), seed)
    return _score(head, data, rows.test, {"learning_rate": rate, "weight_decay": decay})


def _standardised(
    bags: Sequence[Bag],
    targets: Targets,
    train: Sequence[int],
    preset: Preset,
    device: torch.device,
) -> _Data:
    """Take mean and spread of the training slices, one pass over the bags."""
    dim = bags[0].features.shape[1]
    mean, scale = np.zeros(dim), np.ones(dim)
    if preset.standardise:
        count = sum(len(bags[i].features) for i in train)
        mean = (
            sum((bags[i].features.sum(axis=0, dtype=np.float64) for i in train), np.zeros(dim))
            / count
        )
        square = (
            sum((((bags[i].features - mean) ** 2).sum(axis=0) for i in train), np.zeros(dim))
            / count
        )
        scale = np.sqrt(square) + 1e-6
    as_tensor = [
        torch.tensor(values, dtype=torch.float32, device=device) for values in (mean, scale)
    ]
    return _Data(bags, targets, as_tensor[0], as_tensor[1], device)


def _train(
    data: _Data,
    train: Sequence[int],
    watch: Sequence[int],
    preset: Preset,
    settings: tuple[float, float],
    seed: int,
) -> AttentionMIL:
    """Train a new head for a fixed number of steps, or (with units to watch) to its best epoch."""
    with torch.random.fork_rng(devices=[data.device] if data.device.type == "cuda" else []):
        torch.manual_seed(seed)
        head = AttentionMIL(data.mean.shape[0], data.targets.outputs).to(data.device)
        optimiser = torch.optim.AdamW(head.parameters(), lr=settings[0], weight_decay=settings[1])
        weights = _class_weights(data.targets, train, data.device)
        generator = np.random.default_rng(seed)
        if not watch:
            for batch in _batches(train, preset, generator, preset.steps):
                _step(head, optimiser, data, batch, preset, generator, weights)
            return head.eval()
        return _train_watched(head, optimiser, data, train, watch, preset, generator, weights)


def _train_watched(
    head: AttentionMIL, optimiser: torch.optim.Optimizer, data: _Data, train: Sequence[int], watch: Sequence[int],
    preset: Preset, generator: np.random.Generator, weights: Tensor,
) -> AttentionMIL:  # fmt: skip
    """Train epoch by epoch; keep a copy of the weights with the least loss on the watched units."""
    best, best_loss, since = copy.deepcopy(head.state_dict()), float("inf"), 0
    for _ in range(preset.epochs):
        for batch in _batches(train, preset, generator, -(-len(train) // preset.batch_size)):
            _step(head, optimiser, data, batch, preset, generator, weights)
        loss = _loss_on(head, data, watch, weights)
        since += 1
        if loss < best_loss:
            best, best_loss, since = copy.deepcopy(head.state_dict()), loss, 0
        if since >= preset.patience:
            break
    head.load_state_dict(best)
    return head.eval()


def _batches(
    train: Sequence[int], preset: Preset, generator: np.random.Generator, steps: int
) -> Iterator[list[int]]:
    """Yield batches of shuffled units, pass after pass, `steps` in all."""
    waiting: list[int] = []
    for _ in range(steps):
        if len(waiting) < min(preset.batch_size, len(train)):
            waiting += [train[i] for i in generator.permutation(len(train))]
        yield waiting[: preset.batch_size]
        waiting = waiting[preset.batch_size :]


def _step(
    head: AttentionMIL, optimiser: torch.optim.Optimizer, data: _Data, batch: Sequence[int],
    preset: Preset, generator: np.random.Generator, weights: Tensor,
) -> None:  # fmt: skip
    """Make one update."""
    head.train()
    padded = data.batch(batch, preset.most_instances, generator)
    logits = head(padded.features, padded.mask).logits
    optimiser.zero_grad(set_to_none=True)
    loss = head_loss(logits, data.truth(batch), data.targets.multiclass, weights)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


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
    """Return weights from the training units: rare classes count more, never less."""
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
        for start in range(0, len(rows), 16):
            part = rows[start : start + 16]
            padded = data.batch(part)
            output = head(padded.features, padded.mask)
            lengths = padded.mask.sum(dim=1).tolist()
            yield HeadAnswer(
                output.logits,
                [row[:n].cpu().numpy() for row, n in zip(output.attention, lengths, strict=True)],
            )


def _score(
    head: AttentionMIL, data: _Data, rows: Sequence[int], settings: dict[str, float]
) -> Scored:
    """Turn logits into probabilities, and keep the attention."""
    answers = list(_outputs(head, data, rows))
    logits = torch.cat([answer.logits for answer in answers])
    scores = logits.softmax(dim=1) if data.targets.multiclass else logits.sigmoid()
    attention = tuple(weights for answer in answers for weights in answer.attention)
    return Scored(scores.cpu().double().numpy(), attention, dict(settings))
