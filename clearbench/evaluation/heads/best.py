"""The head with the best score on the tuning bags, chosen within training, in every fold.

Every head is trained, and compared by its predictions for the tuning bags from before it is fitted
to them.
"""

from collections.abc import Sequence
from types import MappingProxyType
from typing import NamedTuple, Self

import numpy as np

from clearbench.arrays import Floats
from clearbench.evaluation.head_registry import plain_heads
from clearbench.evaluation.heads.estimator import (
    Arrays,
    BagEstimator,
    Bags,
    HeadRequest,
    Predictions,
)
from clearbench.evaluation.heads.make import make_head
from clearbench.evaluation.heads.presets import Preset, find_preset
from clearbench.evaluation.heads.training import LabelledBags
from clearbench.metrics import score_outputs

HEAD_KEY, OWN = "kind", "own."  # on disk: the chosen head's name, and the prefix of its arrays


class BestClassifier(BagEstimator):
    """The head, of several, that ranks the tuning bags best.

    The score is the target's first metric: AUROC, its mean over outputs, or Uno's C. A loss is not
    used, because heads differ more in confidence than in ranking. On a dozen bags a metric takes
    few values, so ties are broken by a proper score, the Brier score; it is bounded, so that no
    single bag decides. If both are equal, the first head is taken. Each head's settings
    were chosen on the same bags, so all scores there are a little too high; test bags are not used.
    `preset` is a preset or its name.
    """

    def __init__(
        self,
        target: str = "binary",
        classes: int = 2,
        *,
        heads: Sequence[str] = plain_heads(),
        preset: Preset | str = "default",
        seed: int = 0,
    ) -> None:
        self.target = target
        self.classes = classes
        self.heads = heads
        self.preset = preset
        self.seed = seed

    @classmethod
    def from_request(cls, request: HeadRequest) -> Self:
        """Return a new head that chooses among all others."""
        _, target, classes, preset, seed = request
        return cls(target, classes, preset=preset, seed=seed)

    def fit_labelled(self, train: LabelledBags, tune: LabelledBags) -> Self:
        """Train every head on `train`, choose one on `tune`; see the class."""
        best: TuningScore | None = None
        for name in self.heads:
            head = self._new(name).fit_labelled(train, tune)
            score = tuning_score(head.tuning_, tune)
            # Tuples compare part by part: nearness decides only between equal metrics.
            if best is None or score > best:
                best, self.name_, self.head_ = score, name, head
        self.tuning_ = self.head_.tuning_
        return self

    def _new(self, name: str) -> BagEstimator:
        """Return a new, untrained head."""
        preset = find_preset(self.preset)
        return make_head(HeadRequest(name, self.target, self.classes, preset, self.seed))

    def state_dict(self) -> Arrays:
        """Return the arrays of the chosen head, and its name."""
        own = {f"{OWN}{name}": part for name, part in self.head_.state_dict().items()}
        # As bytes, because safetensors holds numbers only.
        return own | {HEAD_KEY: np.frombuffer(self.name_.encode(), np.uint8)}

    def load_state_dict(self, arrays: Arrays) -> Self:
        """Make the head that was chosen, and load its arrays."""
        self.name_ = arrays[HEAD_KEY].tobytes().decode()
        own = {k.removeprefix(OWN): part for k, part in arrays.items() if k.startswith(OWN)}
        self.head_ = self._new(self.name_).load_state_dict(own)
        return self

    def predictions(self, bags: Bags) -> Predictions:
        """Return the chosen head's predictions; some heads have no importances."""
        ready = self.ready(bags)
        return self.head_.predictions(ready)

    @property
    def settings(self) -> dict[str, float | int | str]:
        """Return the name of the chosen head, and its settings."""
        return {HEAD_KEY: self.name_, **self.head_.settings}


class TuningScore(NamedTuple):
    """A head's score on the tuning bags, higher is better: metric first, then nearness.

    metric: AUROC, its mean over outputs, or Uno's C; 0 where it can't be taken. nearness: minus the
    Brier score; 0 for a risk.
    """

    metric: float
    nearness: float


METRIC = MappingProxyType(  # by output type: the target as which it is scored, and the metric
    {
        "labels": ("multilabel", "auroc_macro"),
        "classes": ("multiclass", "auroc_macro"),
        "risk": ("survival", "uno_c"),
    }
)


def tuning_score(scores: Floats, tune: LabelledBags) -> TuningScore:
    """Return the score of the predictions [bags, outputs] for the tuning bags."""
    targets, values = tune.targets, tune.targets.values
    target, metric = METRIC[targets.output_type]
    found = score_outputs(target, values, scores, np.ones((1, len(scores))), only=metric)[metric]
    # 0 instead of NaN, because every comparison with NaN is False.
    order = float(np.nan_to_num(found)[0])
    if targets.output_type == "risk":
        return TuningScore(order, 0.0)
    known = np.broadcast_to(~np.isnan(values), scores.shape)
    distance = np.square(scores - targets.positive)[known].sum() / max(known.sum(), 1)
    return TuningScore(order, -float(distance))
