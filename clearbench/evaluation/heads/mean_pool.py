"""Mean-pool and a linear model: the baseline of all other heads.

Logistic regression (scikit-learn) for labels and classes; for survival the same linear risk under
Cox's partial likelihood with a ridge penalty.
"""

import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from clearbench.arrays import Floats
from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.heads.calibrated import CalibratedHead, Margins
from clearbench.evaluation.heads.estimator import Arrays, HeadRequest
from clearbench.evaluation.heads.targets import cox_loss
from clearbench.evaluation.heads.training import LabelledBags

STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # scikit-learn's C: a large one penalises little
ITERATIONS = 2000
CERTAIN = 1e-9  # smallest probability, so that no log is infinite
_WARNINGS = threading.Lock()  # catch_warnings changes the whole process; heads train in threads


class Known(NamedTuple):
    """Bag means [n, dim] and the truth [n] of one label, or [n, 2] time and event, all known."""

    means: Floats
    truth: Floats


@dataclass(frozen=True)
class LinearModel:
    """A linear model on standardised means; `classes` are those in training, () for a risk.

    mean, scale [dim] · coef [rows, dim], intercept [rows]: one row for two classes or a risk. A
    model without rows was trained on one class only; its probabilities are all equal.
    """

    mean: Floats
    scale: Floats
    coef: Floats
    intercept: Floats
    classes: tuple[int, ...]

    def linear(self, means: Floats) -> Floats:
        """Return the linear predictor [n, rows]."""
        found: Floats = (means - self.mean) / self.scale @ self.coef.T + self.intercept
        return found

    def log_odds(self, means: Floats) -> Floats:
        """Return the log odds of a label [n, 1]; 0 if training had one class only."""
        return self.linear(means) if len(self.classes) > 1 else np.zeros((len(means), 1))

    def probabilities(self, means: Floats, outputs: int) -> Floats:
        """Return class probabilities [n, outputs]; a class without training bags gets 0."""
        if len(self.classes) < 2:
            return np.full((len(means), outputs), 1 / outputs)
        found = self.linear(means)
        known = softmax(found, axis=1) if found.shape[1] > 1 else _two(expit(found))
        every = np.zeros((len(means), outputs))
        every[:, list(self.classes)] = known
        return every


def _two(positive: Floats) -> Floats:
    """Return both classes' probabilities [n, 2]."""
    return np.hstack([1 - positive, positive])


class MeanPoolClassifier(CalibratedHead):
    """A class-balanced linear model per label on standardised bag means.

    The penalty with the least loss on the tuning bags is taken; then the model is fitted to
    training and tuning bags together.
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
        """Fit to `train`, choose penalties on `tune`, fit to both; see the class."""
        self.models_: list[LinearModel] = []
        self.strengths_: list[float] = []
        labels = train.targets.values.shape[1] if train.targets.output_type == "labels" else 1
        tuned = []
        for label in range(labels):
            learn, check = (_known(part, label) for part in (train, tune))
            tried = {c: self._fitted(learn, c) for c in STRENGTHS}
            losses = {c: self._loss(model, check, c) for c, model in tried.items()}
            strength = min(losses, key=lambda c: losses[c])
            both = Known(*(np.concatenate(pair) for pair in zip(learn, check, strict=True)))
            tuned.append(tried[strength])
            self.models_.append(self._fitted(both, strength))
            self.strengths_.append(strength)
        return self._all_margins(tuned, tune.bags.means)

    def _arrays(self) -> Arrays:
        """Return the arrays of each label's model, and the penalties."""
        models = {
            f"{number}.{name}": np.asarray(value)
            for number, model in enumerate(self.models_)
            for name, value in vars(model).items()
        }
        return models | {"strengths": np.array(self.strengths_)}

    def _load(self, arrays: Arrays) -> None:
        """Load each label's model."""
        self.strengths_ = arrays["strengths"].tolist()
        self.models_ = [_model(arrays, number) for number in range(len(self.strengths_))]

    def _margins(self, bags: BagSet) -> Margins:
        """Return margins; there are no importances, since bags are averaged."""
        return Margins(self._all_margins(self.models_, bags.means))

    def _all_margins(self, models: Sequence[LinearModel], means: Floats) -> Floats:
        """Return the margins of one model per label, or of one model for classes or a risk."""
        if self.target == "survival":
            return models[0].linear(means)
        if self.target == "multiclass":
            sure = models[0].probabilities(means, self.classes).clip(min=CERTAIN)
            classes: Floats = np.log(sure)
            return classes
        return np.concatenate([model.log_odds(means) for model in models], axis=1)

    @property
    def settings(self) -> dict[str, float | int | str]:
        """Return the penalties that were chosen, and the slopes of the calibration."""
        strengths = ", ".join(f"{c:g}" for c in dict.fromkeys(self.strengths_))
        return {"strength": strengths} | super().settings

    def _fitted(self, known: Known, strength: float) -> LinearModel:
        """Fit one label, or the risk."""
        return (
            _cox(known, strength) if self.target == "survival" else self._logistic(known, strength)
        )

    def _logistic(self, known: Known, strength: float) -> LinearModel:
        """Fit a class-balanced logistic regression."""
        truth = known.truth.astype(int)
        seen = tuple(int(value) for value in np.unique(truth))
        if len(seen) < 2:
            dim = known.means.shape[1]
            return LinearModel(np.zeros(dim), np.ones(dim), np.zeros((0, dim)), np.zeros(0), seen)
        mean, scale = _standard(known.means)
        model = LogisticRegression(
            C=strength, class_weight="balanced", max_iter=ITERATIONS, random_state=self.seed
        )
        with (
            _WARNINGS,
            warnings.catch_warnings(),
        ):  # a fit that doesn't converge has a high loss on the tuning bags and is not chosen
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit((known.means - mean) / scale, truth)
        return LinearModel(mean, scale, np.ascontiguousarray(model.coef_), model.intercept_, seen)

    def _loss(self, model: LinearModel, check: Known, strength: float) -> float:
        """Return the loss on the tuning bags; without any, the strongest penalty has the least."""
        if not len(check.truth) or not len(model.coef):
            return strength
        if self.target == "survival":
            return _partial_loss(model.linear(check.means)[:, 0], check.truth)
        outputs = self.classes if self.target == "multiclass" else 2
        found = np.clip(model.probabilities(check.means, outputs), CERTAIN, 1.0)
        # Clipping changes the sums of rows, and log_loss expects 1.
        found /= found.sum(axis=1, keepdims=True)
        # labels, because the tuning bags may lack a class.
        return float(log_loss(check.truth.astype(int), found, labels=list(range(outputs))))


def _model(arrays: Arrays, number: int) -> LinearModel:
    """Return one label's model, as `state_dict` names its arrays."""
    mean, scale, coef, intercept, classes = (
        arrays[f"{number}.{part.name}"] for part in fields(LinearModel)
    )
    return LinearModel(mean, scale, coef, intercept, tuple(classes.tolist()))


def _known(bags: LabelledBags, label: int) -> Known:
    """Return the bags whose label is known."""
    values: NDArray[np.float64] = bags.targets.values
    column = values if bags.targets.output_type == "risk" else values[:, label]
    rows = ~np.isnan(column.reshape(len(column), -1)).any(axis=1)
    return Known(bags.bags.means[rows], column[rows])


def _standard(means: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation, 1 where nothing varies."""
    spread = means.std(axis=0)
    return means.mean(axis=0), np.where(spread > 0, spread, 1.0)


def _cox(known: Known, strength: float) -> LinearModel:
    """Fit a ridge-penalised Cox model: C · Σ loss + |w|² / 2, as scikit-learn weighs C."""
    mean, scale = _standard(known.means)
    x = torch.tensor((known.means - mean) / scale)
    time, event = torch.tensor(known.truth).unbind(1)
    weights = torch.zeros(x.shape[1], dtype=x.dtype, requires_grad=True)
    # torch's LBFGS has no line search unless one is asked for.
    solver = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def objective() -> torch.Tensor:
        solver.zero_grad()
        # cox_loss is a mean over events; C weighs their sum.
        loss = strength * event.sum() * cox_loss(x @ weights, time, event)
        loss = loss + weights.square().sum() / 2
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    solver.step(objective)  # type: ignore[no-untyped-call]
    # Cox's likelihood doesn't change with an intercept, so it is 0.
    return LinearModel(mean, scale, weights.detach().numpy()[None], np.zeros(1), ())


def _partial_loss(risk: Floats, truth: Floats) -> float:
    """Return the negative log partial likelihood per event."""
    time, event = torch.tensor(truth).unbind(1)
    return float(cox_loss(torch.tensor(risk), time, event))
