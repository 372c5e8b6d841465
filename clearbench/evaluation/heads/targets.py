"""Training targets of heads: a unit's labels as numbers, and the loss for each output type."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from clearbench.arrays import Floats
from clearbench.errors import BadTask, suggestion

OutputType = Literal["classes", "labels", "risk"]  # softmax, a sigmoid per output, or a log risk

TARGETS = ("binary", "multiclass", "multilabel", "ordinal", "survival")
LEAST_WEIGHT = 1e-3  # a label without negatives would have weight 0 and no gradient


@dataclass(frozen=True)
class Targets:
    """Targets of some units, as heads are trained on them.

    values [units, labels]: 0 or 1 (NaN unknown) for labels, one class number for classes, time and
    event for a risk; `outputs` is the number of outputs of a head
    """

    values: Floats
    output_type: OutputType
    outputs: int

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Return which outputs each unit truly has [units, outputs]; none for a risk."""
        if self.output_type == "risk":
            return np.zeros((len(self), self.outputs), bool)
        wanted = np.arange(self.outputs) if self.output_type == "classes" else 1
        return np.equal(self.values, wanted)

    def take(self, places: NDArray[np.int64]) -> "Targets":
        """Return the targets of some units."""
        return Targets(self.values[places], self.output_type, self.outputs)

    def __len__(self) -> int:
        return len(self.values)


def make_targets(target: str, values: Floats, classes: int = 0) -> Targets:
    """Turn a task's values [units, labels] into targets.

    An ordinal label of k classes becomes k - 1 labels "at least class 1, 2, …" (Frank and Hall,
    "A Simple Approach to Ordinal Classification", ECML 2001). Raises BadTask for values that the
    target doesn't allow.
    """
    values = np.asarray(values, np.float64)
    values = values[:, None] if values.ndim == 1 else values
    known = values[~np.isnan(values)]
    _check_shape(target, values)
    if target == "survival":
        _check_survival(values)
        return Targets(values, "risk", 1)
    if target in ("multiclass", "ordinal") and not np.isin(known, range(classes)).all():
        raise BadTask(
            f"target={target} with classes={classes} takes class numbers from 0 to {classes - 1}"
        )
    if target == "multiclass":
        if len(known) < len(values):
            raise BadTask("a multiclass target has no unknown class (NaN); leave these units out")
        return Targets(values, "classes", classes)
    if target == "ordinal":
        # NaN >= 1 is False, so an unknown class would become the lowest.
        cuts = np.where(np.isnan(values), np.nan, values >= np.arange(1, classes))
        return Targets(cuts, "labels", classes - 1)
    if not np.isin(known, (0, 1)).all():
        raise BadTask(
            f"target={target} takes 0, 1 or NaN (unknown); for classes use target='multiclass' or "
            f"'ordinal', with classes=3 or as many as there are"
        )
    return Targets(values, "labels", values.shape[1])


def _check_shape(target: str, values: Floats) -> None:
    """Raise BadTask for an unknown target, and for several columns of a target that has one."""
    if target not in TARGETS:
        raise BadTask(f"no target is called {target!r}{suggestion(target, TARGETS)}")
    if target in ("binary", "multiclass", "ordinal") and values.shape[1] != 1:
        raise BadTask(
            f"target={target} takes one column, not {values.shape[1]}; give class numbers "
            '(y.argmax(axis=1) of one column per class), or use target="multilabel"'
        )


def _check_survival(values: Floats) -> None:
    """Raise BadTask unless every unit has a time of 0 or more, and an event of 0 or 1."""
    if values.shape[1] != 2 or not (values[:, 0] >= 0).all() or np.isinf(values).any():
        raise BadTask(
            "a survival target is [units, 2]: a known time (0 or more) and an event (0 or 1)"
        )
    events = np.unique(values[:, 1])
    if not np.isin(events, (0, 1)).all():
        found = ", ".join(f"{event:g}" for event in events[:5])
        raise BadTask(
            f"the events of a survival target are 0 (censored) or 1, not {found}; the columns are "
            "time, then event; leave out units whose event is unknown"
        )


def output_type(target: str) -> OutputType:
    """Return the output type of a head for a task's target."""
    types: dict[str, OutputType] = {"multiclass": "classes", "survival": "risk"}
    return types.get(target, "labels")


def class_weights(targets: Targets) -> NDArray[np.float64]:
    """Return the weights [outputs] under which every class counts the same.

    For classes one weight each; for labels the weight of positives, n_negative / n_positive.
    """
    values = targets.values
    if targets.output_type == "risk":
        return np.ones(1)
    if targets.output_type == "classes":
        counts = np.bincount(values[:, 0].astype(int), minlength=targets.outputs)
        weights: Floats = len(values) / (targets.outputs * np.maximum(counts, 1))
        return weights
    positive, negative = (values == 1).sum(axis=0), (values == 0).sum(axis=0)
    ratio = np.where(positive > 0, negative / np.maximum(positive, 1), 1.0)
    return ratio.clip(min=LEAST_WEIGHT)


def head_loss(logits: Tensor, truth: Tensor, outputs: OutputType, weights: Tensor) -> Tensor:
    """Return the class-weighted loss; unknown labels (NaN) don't count.

    logits [b, outputs], truth [b, labels], weights as `class_weights` returns them
    """
    if outputs == "risk":
        return cox_loss(logits[:, 0], truth[:, 0], truth[:, 1])
    if outputs == "classes":
        # With weights, torch divides by the sum of the units' weights, not by their number.
        return functional.cross_entropy(logits, truth[:, 0].long(), weight=weights)
    known = ~torch.isnan(truth)
    # NaN times 0 is NaN, so unknown labels become numbers before their losses are masked.
    losses = functional.binary_cross_entropy_with_logits(
        logits, torch.nan_to_num(truth), pos_weight=weights, reduction="none"
    )
    # A batch may have no known label.
    return (losses * known).sum() / known.sum().clamp(min=1)


def cox_loss(risk: Tensor, time: Tensor, event: Tensor) -> Tensor:
    """Return the negative log partial likelihood per event, with Breslow's ties; 0 without events.

    risk, time, event [b]. Cox, "Regression Models and Life-Tables", JRSS B 1972; Breslow, 1974.
    """
    # Late units first: a running sum is then over all units still at risk.
    order = torch.argsort(time, descending=True)
    risk, falling, event = risk[order], -time[order], event[order]
    at_risk = torch.logcumsumexp(risk, dim=0)
    # The last unit of equal time, as Breslow's ties need. searchsorted needs rising values.
    last = torch.searchsorted(falling.contiguous(), falling.contiguous(), right=True) - 1
    return ((at_risk[last] - risk) * event).sum() / event.sum().clamp(min=1)
