"""What heads learn: a unit's labels as numbers, and the loss that fits their kind."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from clearbench.errors import BadTask

Kind = Literal["classes", "labels", "risk"]
Floats = NDArray[np.float64]

LEAST_WEIGHT = 1e-3


@dataclass(frozen=True)
class Targets:
    """Targets of some units, as heads learn them.

    values [units, labels]: 0 or 1 (NaN unknown) for labels, one class number for classes, time and
    event for a risk; `outputs` is how many numbers a head answers.
    """

    values: Floats
    kind: Kind
    outputs: int

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Tell which outputs each unit truly has [units, outputs]; a risk is not had."""
        if self.kind == "risk":
            return np.zeros((len(self), self.outputs), bool)
        had = np.arange(self.outputs) if self.kind == "classes" else 1
        return np.equal(self.values, had)

    def take(self, places: NDArray[np.int64]) -> "Targets":
        """Return the targets of some units."""
        return Targets(self.values[places], self.kind, self.outputs)

    def __len__(self) -> int:
        return len(self.values)


def make_targets(target: str, values: Floats, classes: int = 0) -> Targets:
    """Turn a task's values [units, labels] into targets.

    An ordinal label of k classes becomes k - 1 labels "at least class 1, 2, …" (Frank and Hall,
    "A Simple Approach to Ordinal Classification", ECML 2001). Raises BadTask for values that do
    not belong to the target.
    """
    values = np.asarray(values, np.float64).reshape(len(values), -1)
    known = values[~np.isnan(values)]
    if target == "survival":
        if values.shape[1] != 2 or (values[:, 0] < 0).any():
            raise BadTask("a survival target is [units, 2]: time (not negative), event (0 or 1)")
        return Targets(values, "risk", 1)
    if target in ("multiclass", "ordinal") and not np.isin(known, range(classes)).all():
        raise BadTask(f"a {target} target holds class numbers from 0 to {classes - 1}")
    if target == "multiclass":
        return Targets(values, "classes", classes)
    if target == "ordinal":
        cuts = np.where(np.isnan(values), np.nan, values >= np.arange(1, classes))
        return Targets(cuts, "labels", classes - 1)
    if not np.isin(known, (0, 1)).all():
        raise BadTask(f"a {target} target holds 0, 1 or NaN (unknown)")
    return Targets(values, "labels", values.shape[1])


def kind_of(target: str) -> Kind:
    """Return how a task's target is learnt."""
    kinds: dict[str, Kind] = {"multiclass": "classes", "survival": "risk"}
    return kinds.get(target, "labels")


def class_weights(targets: Targets) -> NDArray[np.float64]:
    """Return weights under which every class counts the same [outputs].

    For classes a weight each; for labels that of the positives, n_negative / n_positive.
    """
    values = targets.values
    if targets.kind == "risk":
        return np.ones(1)
    if targets.kind == "classes":
        counts = np.bincount(values[:, 0].astype(int), minlength=targets.outputs)
        weights: Floats = len(values) / (targets.outputs * np.maximum(counts, 1))
        return weights
    positive, negative = (values == 1).sum(axis=0), (values == 0).sum(axis=0)
    ratio = np.where(positive > 0, negative / np.maximum(positive, 1), 1.0)
    return ratio.clip(min=LEAST_WEIGHT)


def head_loss(logits: Tensor, truth: Tensor, kind: Kind, weights: Tensor) -> Tensor:
    """Return the class-weighted loss; unknown labels (NaN) count for nothing.

    logits [b, outputs], truth [b, labels], weights as `class_weights` gives them
    """
    if kind == "risk":
        return cox_loss(logits[:, 0], truth[:, 0], truth[:, 1])
    if kind == "classes":
        return functional.cross_entropy(logits, truth[:, 0].long(), weight=weights)
    known = ~torch.isnan(truth)
    losses = functional.binary_cross_entropy_with_logits(
        logits, torch.nan_to_num(truth), pos_weight=weights, reduction="none"
    )
    return (losses * known).sum() / known.sum().clamp(min=1)


def cox_loss(risk: Tensor, time: Tensor, event: Tensor) -> Tensor:
    """Return the negative log partial likelihood per event, ties after Breslow; 0 without events.

    risk, time, event [b]. Cox, "Regression Models and Life-Tables", JRSS B 1972; Breslow, 1974.
    """
    order = torch.argsort(time, descending=True)
    risk, falling, event = risk[order], -time[order], event[order]
    at_risk = torch.logcumsumexp(risk, dim=0)
    last = torch.searchsorted(falling.contiguous(), falling.contiguous(), right=True) - 1
    return ((at_risk[last] - risk) * event).sum() / event.sum().clamp(min=1)


def probabilities(logits: Tensor, kind: Kind) -> Floats:
    """Return what is scored: probabilities of classes or labels, or the risk itself."""
    answers = {"classes": logits.softmax(dim=1), "labels": logits.sigmoid(), "risk": logits}
    found: Floats = answers[kind].cpu().double().numpy()
    return found
