"""The kind of head that does best on the tuning part: chosen inside training, anew in every fold.

Every kind is trained, and judged by what it said of the tuning bags before it learnt from them.
"""

from collections.abc import Sequence
from types import MappingProxyType
from typing import NamedTuple, Self

import numpy as np

from clearbench.evaluation.head_registry import plain_heads
from clearbench.evaluation.heads.estimator import (
    Arrays,
    BagEstimator,
    Bags,
    HeadRequest,
    Predictions,
)
from clearbench.evaluation.heads.make import make_head
from clearbench.evaluation.heads.presets import PRESETS, Preset
from clearbench.evaluation.heads.targets import Floats, class_weights
from clearbench.evaluation.heads.training import LabelledBags
from clearbench.metrics import score_outputs

TINY = 1e-9
KIND, OWN = "kind", "own."  # the name of the kind taken, and what stands before its own arrays


class BestClassifier(BagEstimator):
    """The head, of several kinds, that puts the tuning bags into the best order.

    By the target's first metric: AUROC, its mean over outputs, or Uno's C. A loss would judge how
    sure a head is as well, which differs from kind to kind more than what it knows. Among a dozen
    bags a metric takes few values, so equals are told apart by a proper score, the class-weighted
    Brier score; it is bounded, so that no single bag settles the choice. Where neither tells kinds
    apart the first is taken. Settings were chosen on the same bags, so all do a little too well
    there; bags that test are in none of it.
    """

    def __init__(
        self,
        target: str = "binary",
        classes: int = 2,
        *,
        kinds: Sequence[str] = plain_heads(),
        preset: Preset = PRESETS["default"],
        seed: int = 0,
    ) -> None:
        self.target = target
        self.classes = classes
        self.kinds = kinds
        self.preset = preset
        self.seed = seed

    @classmethod
    def from_request(cls, request: HeadRequest) -> Self:
        """Return a new head that chooses among all plain ones."""
        _, target, classes, preset, seed = request
        return cls(target, classes, preset=preset, seed=seed)

    def fit_labelled(self, train: LabelledBags, tune: LabelledBags) -> Self:
        """Learn from `train` by every kind, choose among them on `tune`; see the class."""
        best: TuningScore | None = None
        for kind in self.kinds:
            head = self._new(kind).fit_labelled(train, tune)
            score_here = tuning_score(head.tuning_, train, tune)
            if best is None or score_here > best:
                best, self.kind_, self.head_ = score_here, kind, head
        self.tuning_ = self.head_.tuning_
        return self

    def _new(self, kind: str) -> BagEstimator:
        """Return a head of one kind that has learnt nothing."""
        return make_head(HeadRequest(kind, self.target, self.classes, self.preset, self.seed))

    def state_dict(self) -> Arrays:
        """Return what the head that was taken had learnt, and of which kind it is."""
        own = {f"{OWN}{name}": part for name, part in self.head_.state_dict().items()}
        return own | {KIND: np.frombuffer(self.kind_.encode(), np.uint8)}

    def load_state_dict(self, arrays: Arrays) -> Self:
        """Make a head of that kind, and give it its arrays."""
        self.kind_ = arrays[KIND].tobytes().decode()
        own = {k.removeprefix(OWN): part for k, part in arrays.items() if k.startswith(OWN)}
        self.head_ = self._new(self.kind_).load_state_dict(own)
        return self

    def predict(self, bags: Bags) -> Predictions:
        """Return what the head that was taken says; whether it has importances is the kind's."""
        return self.head_.predict(bags)

    @property
    def settings(self) -> dict[str, float | int | str]:
        """Return the kind that was taken, and its own settings."""
        return {"kind": self.kind_, **self.head_.settings}


class TuningScore(NamedTuple):
    """How well a kind did on the tuning bags, the greater the better: metric first, then nearness.

    metric: AUROC, its mean over outputs, or Uno's C; 0 where it can't be taken. nearness: minus the
    class-weighted Brier score; 0 for a risk.
    """

    metric: float
    nearness: float


METRIC = MappingProxyType(  # by kind of target: as which target it is scored, by what
    {
        "labels": ("multilabel", "auroc_macro"),
        "classes": ("multiclass", "auroc_macro"),
        "risk": ("survival", "uno_c"),
    }
)


def tuning_score(scores: Floats, train: LabelledBags, tune: LabelledBags) -> TuningScore:
    """Return the merit of scores [bags, outputs] of the tuning bags, classes weighed by `train`."""
    targets, values = tune.targets, tune.targets.values
    target, metric = METRIC[targets.kind]
    found = score_outputs(target, values, scores, np.ones((1, len(scores))), only=metric)[metric]
    if targets.kind == "risk":
        return TuningScore(float(np.nan_to_num(found)[0]), 0.0)
    truth, weights = targets.positive, class_weights(train.targets)
    if targets.kind == "classes":
        each = weights[values[:, :1].astype(int)]
    else:
        each = np.where(np.isnan(values), 0.0, np.where(truth, weights, 1.0))
    distance = (each * (scores - truth) ** 2).sum() / max(each.sum(), TINY)
    return TuningScore(float(np.nan_to_num(found)[0]), -float(distance))
