"""k nearest neighbours on bag means: the features alone, without trained weights."""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from clearbench.arrays import Floats
from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.heads.calibrated import CalibratedHead, Margins
from clearbench.evaluation.heads.estimator import Arrays, HeadRequest
from clearbench.evaluation.heads.targets import Targets, class_weights
from clearbench.evaluation.heads.training import LabelledBags

NEIGHBOURS = (3, 5, 10, 20, 40)
CERTAIN = 1e-6  # smallest probability and norm, so that no log or division is infinite


class NearestClassifier(CalibratedHead):
    """The class-balanced share of labels among the k bags with the most similar standardised means.

    Similarity is the cosine. k has the least loss on the tuning bags, which become neighbours
    afterwards. For survival the risk is the neighbours' mean martingale residual without
    covariates: event minus the Nelson-Aalen hazard at its time (Therneau, Grambsch and Fleming,
    "Martingale-based Residuals for Survival Models", Biometrika 1990).
    """

    def __init__(self, target: str = "binary", classes: int = 2, *, seed: int = 0) -> None:
        self.target = target
        self.classes = classes
        self.seed = seed

    @classmethod
    def from_request(cls, request: HeadRequest) -> Self:
        """Return a new head; presets don't apply to it."""
        return cls(request.target, request.classes, seed=request.seed)

    def _learn(self, train: LabelledBags, tune: LabelledBags) -> Floats:
        """Keep `train`, choose k on `tune`, then keep both; see the class."""
        self._remember(train)
        losses = {k: self._loss(tune, k) for k in NEIGHBOURS if k < len(train.bags)} or {1: 0.0}
        self.neighbours_ = min(losses, key=lambda k: losses[k])
        # Before tuning bags become neighbours: each would be its own nearest.
        margins = self._margins(tune.bags).mean
        self._remember(train.joined(tune))
        return margins

    def _margins(self, bags: BagSet) -> Margins:
        """Return the margins of the shares; there are no importances, since bags are averaged."""
        shares = self._shares(bags.means, self.neighbours_)
        if self.target == "survival":
            return Margins(shares)
        sure = shares.clip(CERTAIN, 1 - CERTAIN)
        return Margins(np.log(sure) if self.target == "multiclass" else logit(sure))

    def _arrays(self) -> Arrays:
        """Return the kept arrays of the training bags, and k."""
        return {
            "mean": self.mean_,
            "scale": self.scale_,
            "directions": self.directions_,
            "votes": self.votes_,
            "weights": self.weights_,
            "neighbours": np.array([self.neighbours_]),
        }

    def _load(self, arrays: Arrays) -> None:
        """Load the arrays of another head."""
        self.mean_, self.scale_ = arrays["mean"], arrays["scale"]
        self.directions_ = arrays["directions"]
        self.votes_, self.weights_ = arrays["votes"], arrays["weights"]
        self.neighbours_ = int(arrays["neighbours"][0])

    @property
    def settings(self) -> dict[str, float | int | str]:
        """Return k, and the slope of the calibration."""
        return {"neighbours": self.neighbours_} | super().settings

    def _remember(self, train: LabelledBags) -> None:
        """Keep each bag's standardised direction, its votes and their weights."""
        means = train.bags.means
        spread = means.std(axis=0)
        self.mean_, self.scale_ = means.mean(axis=0), np.where(spread > 0, spread, 1.0)
        self.directions_ = _directions((means - self.mean_) / self.scale_)
        self.votes_, self.weights_ = _votes(train.targets)

    def _shares(self, means: Floats, k: int) -> Floats:
        """Return the weighted share of votes among the k nearest [bags, outputs]."""
        similarity = _directions((means - self.mean_) / self.scale_) @ self.directions_.T
        # stable: numpy's default sort may order ties differently on another processor.
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        weights = self.weights_[nearest]
        prior = (self.weights_ * self.votes_).sum(axis=0) / np.maximum(
            self.weights_.sum(axis=0), CERTAIN
        )
        # One vote of the prior is added, so that a small k never gives 0 or 1.
        found: Floats = ((weights * self.votes_[nearest]).sum(axis=1) + prior) / (
            weights.sum(axis=1) + 1
        )
        if self.target == "multiclass":
            found /= np.maximum(found.sum(axis=1, keepdims=True), CERTAIN)
        return found

    def _loss(self, tune: LabelledBags, k: int) -> float:
        """Return the class-balanced loss of k on some bags."""
        votes, weights = _votes(tune.targets)
        found = self._shares(tune.bags.means, k)
        if self.target == "survival":
            return float(((found - votes) ** 2).mean()) if len(votes) else 0.0
        likely = np.clip(np.where(votes == 1, found, 1 - found), CERTAIN, 1)
        return float(-(weights * np.log(likely)).sum() / max(weights.sum(), CERTAIN))


def _directions(values: Floats) -> Floats:
    """Return rows of length 1."""
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    found: Floats = values / np.maximum(norms, CERTAIN)
    return found


def _votes(targets: Targets) -> tuple[Floats, NDArray[np.float64]]:
    """Return votes and their weights [bags, outputs]; an unknown label has weight 0."""
    values, weights = targets.values, class_weights(targets)
    if targets.output_type == "risk":
        return _residuals(values)[:, None], np.ones((len(values), 1))
    if targets.output_type == "classes":
        votes = (values == np.arange(targets.outputs)).astype(float)
        return votes, np.repeat(weights[values[:, 0].astype(int)][:, None], targets.outputs, axis=1)
    votes = np.nan_to_num(values)
    return votes, np.where(np.isnan(values), 0.0, np.where(votes == 1, weights, 1.0))


def _residuals(values: Floats) -> Floats:
    """Return each unit's martingale residual without covariates [n]."""
    time, event = values.T
    order = np.argsort(time, kind="stable")
    # left: units of equal time are all at risk at it. right (below): all its events are counted.
    at_risk = len(time) - np.searchsorted(time[order], time[order], side="left")
    hazard = np.cumsum(event[order] / at_risk)
    last = np.searchsorted(time[order], time, side="right") - 1
    found: Floats = event - hazard[last]
    return found
