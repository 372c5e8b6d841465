"""The heads by name: one line for people, one function for the protocol."""

from types import MappingProxyType

from clearbench.errors import UnknownName
from clearbench.evaluation.heads.chosen import ChosenClassifier
from clearbench.evaluation.heads.estimator import BagEstimator
from clearbench.evaluation.heads.single import SINGLE, HeadRequest, make_single

BEST = "best"
HEADS = MappingProxyType(
    {**SINGLE, BEST: "whichever of the others does best on the tuning part, chosen anew per fold"}
)


def make_head(request: HeadRequest) -> BagEstimator:
    """Return a new head that has learnt nothing; raises UnknownName."""
    check_head(request.head)
    if request.head == BEST:
        _, target, classes, preset, seed = request
        return ChosenClassifier(target, classes, preset=preset, seed=seed)
    return make_single(request)


def check_head(name: str) -> None:
    """Refuse a head that isn't there; raises UnknownName with the nearest ones."""
    if name not in HEADS:
        raise UnknownName.among("head", name, HEADS, f" ({', '.join(HEADS)})")
