"""The heads that are of one kind each, and how one is asked for."""

from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

from clearbench.errors import UnknownName
from clearbench.evaluation.heads.estimator import BagEstimator
from clearbench.evaluation.heads.mean_pool import MeanPoolClassifier
from clearbench.evaluation.heads.mil import NETS, MILClassifier
from clearbench.evaluation.heads.neighbours import NearestClassifier
from clearbench.evaluation.presets import Preset

SINGLE = MappingProxyType(
    {
        "abmil": "attention-MIL, as in CLEAR",
        "gated-abmil": "attention-MIL with gated attention",
        "transformer": "one self-attention block and a pooling query",
        "max-pool": "the maximum of each hidden feature",
        "mean-logreg": "mean of the bag and logistic regression (survival: Cox)",
        "knn": "k nearest neighbours of the bag's mean",
    }
)
WITHOUT_CHANCE = frozenset({"mean-logreg", "knn"})  # the same head whatever the seed


class HeadRequest(NamedTuple):
    """Which head, for which target (with how many classes), trained how and by which chance."""

    head: str
    target: str
    classes: int
    preset: Preset
    seed: int


def make_single(request: HeadRequest) -> BagEstimator:
    """Return a new head of one kind that has learnt nothing; raises UnknownName."""
    target, classes, seed = request.target, request.classes, request.seed
    if request.head in NETS:
        return MILClassifier(request.head, target, classes, preset=request.preset, seed=seed)
    plain: dict[str, Callable[..., BagEstimator]] = {
        "mean-logreg": MeanPoolClassifier,
        "knn": NearestClassifier,
    }
    if request.head not in plain:
        raise UnknownName.among("kind of head", request.head, SINGLE)
    return plain[request.head](target, classes, seed=seed)
