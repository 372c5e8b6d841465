"""Mean-pool and logistic regression (scikit-learn): the head that any other must beat."""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from clearbench.evaluation.bags import Bag
from clearbench.evaluation.training import Rows, Scored, Targets

STRENGTHS = (0.001, 0.01, 0.1, 1.0)
ITERATIONS = 2000

Floats = NDArray[np.float64]


def fit_mean_pool(bags: Sequence[Bag], targets: Targets, rows: Rows, seed: int) -> Scored:
    """Fit a balanced logistic regression per label to bag means, and score the test units.

    Means are standardised on the training units; the regularisation strength with the least log
    loss on the tuning units is taken, then training and tuning units are fitted together.
    """
    means = np.stack([bag.features.mean(axis=0, dtype=np.float64) for bag in bags])
    columns, chosen = [], []
    for label in range(targets.values.shape[1]):
        values = targets.values[:, label]
        known = [
            tuple(i for i in part if not np.isnan(values[i])) for part in (rows.train, rows.tune)
        ]
        parts = Rows(known[0], known[1], rows.test)
        strength = min(STRENGTHS, key=lambda c: _tuning_loss(means, values, parts, c, seed))
        model = _fitted(means, values, (*parts.train, *parts.tune), strength, seed)
        columns.append(
            _probabilities(
                model, means[list(rows.test)], targets.outputs if targets.multiclass else 2
            )
        )
        chosen.append(strength)
    scores = (
        columns[0] if targets.multiclass else np.stack([column[:, 1] for column in columns], axis=1)
    )
    return Scored(scores, settings={"strength": ", ".join(f"{c:g}" for c in dict.fromkeys(chosen))})


def _fitted(
    means: Floats, values: Floats, rows: Sequence[int], strength: float, seed: int
) -> Pipeline | None:
    """Fit one label; None if the units know only one value of it."""
    truth = values[list(rows)].astype(int)
    if len(set(truth)) < 2:
        return None
    model = make_pipeline(
        StandardScaler(),
        LogisticRegression(
            C=strength, class_weight="balanced", max_iter=ITERATIONS, random_state=seed
        ),
    )
    with warnings.catch_warnings():  # a fit that runs out of steps loses on the tuning part
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(means[list(rows)], truth)


def _probabilities(model: Pipeline | None, means: Floats, outputs: int) -> Floats:
    """Return class probabilities [units, outputs]; a class that training never saw gets 0."""
    probabilities = np.zeros((len(means), outputs))
    if model is None:
        return probabilities + 1 / outputs
    probabilities[:, model.classes_] = model.predict_proba(means)
    return probabilities


def _tuning_loss(means: Floats, values: Floats, rows: Rows, strength: float, seed: int) -> float:
    """Return the log loss on the tuning units."""
    tune = list(rows.tune)
    model = _fitted(means, values, rows.train, strength, seed)
    if model is None or not tune:
        return strength
    truth = values[tune].astype(int)
    outputs = max(int(values[~np.isnan(values)].max()) + 1, 2)
    probabilities = np.clip(_probabilities(model, means[tune], outputs), 1e-9, 1.0)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return float(log_loss(truth, probabilities, labels=list(range(outputs))))
