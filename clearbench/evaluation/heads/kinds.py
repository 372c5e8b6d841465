"""The heads by name: one line for people, one function for the protocol."""

from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

from clearbench.errors import UnknownName
from clearbench.evaluation.heads.estimator import BagEstimator
from clearbench.evaluation.heads.mean_pool import MeanPoolClassifier
from clearbench.evaluation.heads.mil import NETS, MILClassifier
from clearbench.evaluation.heads.neighbours import NearestClassifier
from clearbench.evaluation.presets import Preset

HEADS = MappingProxyType(
    {
        "abmil": "attention-MIL, as in CLEAR",
        "gated-abmil": "attention-MIL with gated attention",
        "transformer": "one self-attention block and a pooling query",
        "max-pool": "the maximum of each hidden feature",
        "mean-logreg": "mean of the bag and logistic regression (survival: Cox)",
        "knn": "k nearest neighbours of the bag's mean",
    }
)


class HeadRequest(NamedTuple):
    """Which head, for which target (with how many classes), trained how and by which chance."""

    head: str
    target: str
    classes: int
    preset: Preset
    seed: int


def make_head(request: HeadRequest) -> BagEstimator:
    """Return a new head that has learnt nothing; raises UnknownName."""
    check_head(request.head)
    target, classes, seed = request.target, request.classes, request.seed
    if request.head in NETS:
        return MILClassifier(request.head, target, classes, preset=request.preset, seed=seed)
    plain: dict[str, Callable[..., BagEstimator]] = {
        "mean-logreg": MeanPoolClassifier,
        "knn": NearestClassifier,
    }
    return plain[request.head](target, classes, seed=seed)


def check_head(name: str) -> None:
    """Refuse a head that isn't there; raises UnknownName with the nearest ones."""
    if name not in HEADS:
        raise UnknownName.among("head", name, HEADS, f" ({', '.join(HEADS)})")
