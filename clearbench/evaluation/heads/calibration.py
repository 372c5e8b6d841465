"""Margins of a head → probabilities of the true frequencies, fitted to the tuning bags.

Heads train with class weights, so their margins say how much a bag looks like a class if every
class were as frequent. Two things make probabilities of them. The log odds of the training bags'
frequencies are added, which undoes the class weights. And the margins are multiplied by one slope,
because a network that fits its training bags is too sure of others. A slope above 0 changes no
order within an output, so AUROC is that of the margins.

A dozen tuning bags alone would choose wild slopes. So the slope has a prior: the calibrated log
odds have a standard deviation of about SPREAD over bags, give or take a factor e (DOUBT). Platt,
"Probabilistic Outputs for Support Vector Machines", 1999; with one parameter Guo et al., "On
Calibration of Modern Neural Networks", ICML 2017. SPREAD and DOUBT were chosen on simulated bags:
benchmarks/reports/head_recipe.md.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax

from clearbench.arrays import Flags, Floats
from clearbench.evaluation.heads.targets import OutputType, Targets

SPREAD = 0.7  # of calibrated log odds: an AUROC of 0.69
DOUBT = 1.0  # standard deviation of the log of that spread
STEEPEST = 5.0  # largest log of the spread, up and down; ends the search
UNSEEN = 0.5  # added to every class's number of training bags, so that no frequency is 0 or 1


@dataclass(frozen=True)
class Calibration:
    """How margins [bags, outputs] become scores; a risk stays as it is.

    slope   [outputs] of labels, [1] of classes
    offset  [outputs] log odds of each label, or log frequency of each class, in training
    """

    outputs: OutputType
    slope: Floats
    offset: Floats

    def scores(self, margins: Floats) -> Floats:
        """Return probabilities, or the risk [bags, outputs]."""
        return _scores(self.outputs, margins * self.slope + self.offset)

    @property
    def cuts(self) -> Floats:
        """Return the frequency of each output in training [outputs]; 0 for a risk.

        A score above it is what the head, with equal class weights, takes for positive.
        """
        found: Floats = _scores(self.outputs, self.offset[None])[0]
        return found


def fit_calibration(margins: Floats, train: Targets, tune: Targets) -> Calibration:
    """Fit the slope to the margins of the tuning bags [bags, outputs]; see the module.

    The offset is that of all training and tuning bags. Without tuning bags, or if their margins are
    all equal, the slope is 1.
    """
    if train.output_type == "risk":
        return Calibration("risk", np.ones(1), np.zeros(train.outputs))
    offset = _offset(train, tune)
    if train.output_type == "classes":
        slope = [_slope(margins, tune.positive, offset, "classes")]
    else:
        slope = []
        for column in range(train.outputs):
            known = ~np.isnan(tune.values[:, column])
            part = slice(column, column + 1)
            slope.append(
                _slope(margins[known, part], tune.positive[known, part], offset[part], "labels")
            )
    return Calibration(train.output_type, np.array(slope), offset)


def _scores(outputs: OutputType, log_odds: Floats) -> Floats:
    """Return the probabilities of log odds, or log frequencies; a risk is returned as it is."""
    if outputs == "risk":
        return log_odds
    found: Floats = softmax(log_odds, axis=1) if outputs == "classes" else expit(log_odds)
    return found


def _offset(train: Targets, tune: Targets) -> Floats:
    """Return the log odds of labels, or the log frequencies of classes, over all these bags."""
    values, positive = (
        np.concatenate([getattr(part, name) for part in (train, tune)])
        for name in ("values", "positive")
    )
    counts = positive.sum(axis=0) + UNSEEN
    if train.output_type == "classes":
        found: Floats = np.log(counts / counts.sum())
        return found
    negative = (values == 0).sum(axis=0) + UNSEEN
    odds: Floats = np.log(counts / negative)
    return odds


def _slope(margins: Floats, truth: Flags, offset: Floats, outputs: OutputType) -> float:
    """Return the most probable slope given margins and truth [bags, outputs]."""
    spread = float(margins.std(axis=0).mean()) if len(margins) else 0.0
    if spread == 0:
        return 1.0

    def cost(log_spread: float) -> float:
        log_odds = np.exp(log_spread) / spread * margins + offset
        doubt = (log_spread - np.log(SPREAD)) / DOUBT
        return float(_loss(log_odds, truth, outputs) + doubt**2 / 2)

    found = minimize_scalar(cost, bounds=(-STEEPEST, STEEPEST), method="bounded")
    return float(np.exp(found.x) / spread)


def _loss(log_odds: Floats, truth: Flags, outputs: OutputType) -> float:
    """Return the summed log loss of labels [bags, 1], or of classes [bags, classes]."""
    if outputs == "classes":
        return -float(log_softmax(log_odds, axis=1)[truth].sum())
    return float(np.logaddexp(0, log_odds).sum() - log_odds[truth].sum())
