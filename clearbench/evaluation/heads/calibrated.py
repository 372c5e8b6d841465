"""A head that learns margins: its scores are calibrated on the tuning bags."""

from abc import abstractmethod
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from clearbench.arrays import Floats
from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.heads.calibration import Calibration, fit_calibration
from clearbench.evaluation.heads.estimator import Arrays, BagEstimator, Bags, Predictions
from clearbench.evaluation.heads.targets import output_type
from clearbench.evaluation.heads.training import LabelledBags

SLOPE, OFFSET = "calibration.slope", "calibration.offset"  # names of arrays on disk


class Margins(NamedTuple):
    """A head's margins for some bags, under classes that all count the same.

    mean       [bags, outputs] log odds of labels, log probabilities of classes up to a constant, or
               a log risk; the mean over the head's networks
    attention  the importance of each instance; () for a head without
    networks   [networks, bags, outputs]; () for a head that averages nothing
    """

    mean: Floats
    attention: tuple[NDArray[np.float32], ...] = ()
    networks: tuple[Floats, ...] = ()


class CalibratedHead(BagEstimator):
    """A head whose margins become probabilities of the true frequencies; see `calibration`.

    A new head says how margins are learned (`_learn`, `_margins`), and what is kept on disk.
    """

    calibration_: Calibration

    @abstractmethod
    def _learn(self, train: LabelledBags, tune: LabelledBags) -> Floats:
        """Learn from `train`, choose settings on `tune`, and then learn from both.

        Returns the margins of the tuning bags [bags, outputs] from before they were learned from.
        """

    @abstractmethod
    def _margins(self, bags: BagSet) -> Margins:
        """Return the margins of some bags."""

    @abstractmethod
    def _arrays(self) -> Arrays:
        """Return everything that was learned, by name."""

    @abstractmethod
    def _load(self, arrays: Arrays) -> None:
        """Load what another head of this class learned."""

    def fit_labelled(self, train: LabelledBags, tune: LabelledBags) -> Self:
        """Learn margins, and calibrate them on the tuning bags."""
        margins = self._learn(train, tune)
        self.calibration_ = fit_calibration(margins, train.targets, tune.targets)
        self.tuning_ = self.calibration_.scores(margins)
        return self

    def predictions(self, bags: Bags) -> Predictions:
        """Return calibrated scores of whole bags, and the importance of their instances."""
        found = self._margins(self.ready(bags))
        scores = self.calibration_.scores
        return Predictions(
            scores(found.mean),
            self.calibration_.cuts,
            found.attention,
            tuple(scores(each) for each in found.networks),
        )

    def state_dict(self) -> Arrays:
        """Return what was learned, and its calibration."""
        calibration: dict[str, NDArray[Any]] = {
            SLOPE: self.calibration_.slope,
            OFFSET: self.calibration_.offset,
        }
        return calibration | dict(self._arrays())

    def load_state_dict(self, arrays: Arrays) -> Self:
        """Load what another head of this class learned; raises KeyError or RuntimeError."""
        self.calibration_ = Calibration(output_type(self.target), arrays[SLOPE], arrays[OFFSET])
        self._load(arrays)
        return self

    @property
    def settings(self) -> dict[str, float | int | str]:
        """Return the slope of the calibration, one for each label."""
        if self.target == "survival":
            return {}
        return {"slope": ", ".join(f"{slope:.3g}" for slope in self.calibration_.slope)}
