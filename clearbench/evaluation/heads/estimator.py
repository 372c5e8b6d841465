"""The interface of every head: a scikit-learn-style estimator over bags."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from clearbench.arrays import Floats
from clearbench.errors import BadTask
from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.heads.class_names import ClassNames, class_names, class_numbers
from clearbench.evaluation.heads.presets import Preset
from clearbench.evaluation.heads.targets import Targets, make_targets
from clearbench.evaluation.heads.training import LabelledBags
from clearbench.evaluation.task.splits import stratify

Bags = BagSet | Sequence[NDArray[np.floating]] | NDArray[Any]
Arrays = Mapping[str, NDArray[Any]]

HALF = 0.5  # a label is more probable than not
TUNE_PARTS = 5  # without tuning bags, one fifth of the given bags tunes


class HeadRequest(NamedTuple):
    """Which head, for which target (with how many classes), under which preset and seed."""

    head: str
    target: str
    classes: int
    preset: Preset
    seed: int


class Predictions(NamedTuple):
    """A head's predictions for some bags.

    scores     [bags, outputs] probabilities, or a risk
    cuts       [outputs] the frequency of each output in training: a score above it is positive for
               metrics of decisions, as if every class were as frequent; 0 for a risk
    attention  the importance of each instance; () for a head without
    networks   the scores of each network that the head averages; () if it averages nothing
    """

    scores: Floats
    cuts: Floats
    attention: tuple[NDArray[np.float32], ...] = ()
    networks: tuple[Floats, ...] = ()


class BagEstimator(ClassifierMixin, BaseEstimator):
    """A head over bags [n, dim] in the manner of scikit-learn: fit(bags, y), predict_proba(bags).

    Bags are a list, or an array of objects; scikit-learn indexes both. y [bags] or [bags, labels]:
    0 or 1 (NaN unknown), a class number, or time and event, by `target`; for a binary or multiclass
    target also words. `classes` is the number of classes of a multiclass or ordinal target.
    `classes_` are the classes in the order of `predict_proba`. `tuning_` are the scores of the
    tuning bags [bags, outputs] by what was learned before any of them was learned from.
    """

    target: str
    classes: int
    classes_: ClassNames
    n_features_in_: int
    tuning_: Floats

    @classmethod
    @abstractmethod
    def from_request(cls, request: HeadRequest) -> Self:
        """Return a new, untrained head for a request."""

    def fit(self, bags: Bags, y: Any, *, tune: tuple[Bags, Any] | None = None) -> Self:
        """Fit to bags; settings are chosen on `tune`, by default on a stratified fifth of the bags.

        Raises BadTask for targets that don't fit, or fewer than two bags.
        """
        found, given = as_set(bags), np.asarray(y)
        names = class_names(given, self.target, self.classes)
        targets = make_targets(self.target, class_numbers(given, names), self.classes)
        if len(found) != len(targets) or len(found) < 2:
            raise BadTask(
                f"{len(found)} bags and {len(targets)} targets: give one target per bag, and at "
                "least two bags"
            )
        self.classes_, self.n_features_in_ = names, found.dim
        if tune is not None:
            numbers = class_numbers(np.asarray(tune[1]), names)
            other = make_targets(self.target, numbers, self.classes)
            return self.fit_labelled(
                LabelledBags(found, targets), LabelledBags(as_set(tune[0]), other)
            )
        tuning = stratify(strata_of(targets), min(TUNE_PARTS, len(found)), 0) == 0
        parts = [np.flatnonzero(side) for side in (~tuning, tuning)]
        return self.fit_labelled(
            *(LabelledBags(found.take(part), targets.take(part)) for part in parts)
        )

    @abstractmethod
    def fit_labelled(self, train: LabelledBags, tune: LabelledBags) -> Self:
        """Fit to `train`, choose settings on `tune`."""

    @abstractmethod
    def state_dict(self) -> Arrays:
        """Return all fitted arrays by name: enough to predict as this head does."""

    @abstractmethod
    def load_state_dict(self, arrays: Arrays) -> Self:
        """Load the arrays of another head of this class; raises KeyError or RuntimeError."""

    @abstractmethod
    def predictions(self, bags: Bags) -> Predictions:
        """Return probabilities or a risk [bags, outputs], and the importance of each instance."""

    def ready(self, bags: Bags) -> BagSet:
        """Return bags as a set that this head can predict.

        Raises NotFittedError before `fit`, and BadTask for instances of another length.
        """
        check_is_fitted(self)
        found = as_set(bags)
        # A head that was read from a bundle is only given the features of its encoder.
        wanted = getattr(self, "n_features_in_", found.dim)
        if found.dim != wanted:
            raise BadTask(f"the bags have {found.dim} features, the head was fitted to {wanted}")
        return found

    def scores(self, bags: Bags) -> Floats:
        """Return probabilities, or a risk [bags, outputs]."""
        return self.predictions(bags).scores

    def predict(self, bags: Bags) -> NDArray[Any]:
        """Return the most probable class of each bag [bags], as y had it.

        Of a multilabel target it is 0 or 1 for each label [bags, labels], of a survival target the
        risk [bags].
        """
        if self.target == "survival":
            return self.scores(bags)[:, 0]
        found = self.predict_proba(bags)
        if self.target == "multilabel":
            return (found >= HALF).astype(int)
        # A head that was read from a bundle has class numbers.
        names = getattr(self, "classes_", np.arange(found.shape[1]))
        most: NDArray[Any] = np.asarray(names)[found.argmax(axis=1)]
        return most

    def predict_proba(self, bags: Bags) -> Floats:
        """Return probabilities [bags, classes], or [bags, labels] of a multilabel target.

        Of an ordinal target they are those of its classes. Raises BadTask for a survival target,
        which has a risk: see `scores`.
        """
        if self.target == "survival":
            raise BadTask("a survival target has a risk, not probabilities; use scores(bags)")
        found = self.scores(bags)
        if self.target == "binary":
            return np.hstack([1 - found, found])
        if self.target == "ordinal":
            # Cuts are trained separately: a higher cut may get a higher probability, so cap it.
            falling = np.minimum.accumulate(found, axis=1)
            edges = np.hstack([np.ones((len(found), 1)), falling, np.zeros((len(found), 1))])
            shares: Floats = edges[:, :-1] - edges[:, 1:]
            return shares
        return found

    def attention(self, bags: Bags) -> tuple[NDArray[np.float32], ...]:
        """Return the importance of each bag's instances [n], which sums to 1; () without any."""
        return self.predictions(bags).attention

    @property
    def settings(self) -> dict[str, float | int | str]:
        """Return the settings that were chosen in fitting."""
        return {}


def as_set(bags: Bags) -> BagSet:
    """Return bags as a BagSet; raises BadTask for what isn't a bag."""
    return bags if isinstance(bags, BagSet) else BagSet.of([_as_bag(bag) for bag in bags])


def _as_bag(bag: Any) -> NDArray[np.floating]:
    """Return a bag as an array of floats; an array of bags of one length may hold objects."""
    array = np.asarray(bag)
    return array if array.dtype.kind == "f" else array.astype(np.float32)


def strata_of(targets: Targets) -> NDArray[np.bool_]:
    """Return the flags [bags, columns] by which bags are stratified."""
    if targets.output_type == "classes":
        return np.equal(targets.values, np.arange(targets.outputs))
    # The last columns: of a risk this is the event, not the time.
    return np.greater(np.nan_to_num(targets.values[:, -targets.outputs :]), 0)
