"""A head's name, a target and a preset → a new, untrained head."""

from clearbench.evaluation.head_registry import find_head, load_class
from clearbench.evaluation.heads.estimator import BagEstimator, HeadRequest


def make_head(request: HeadRequest) -> BagEstimator:
    """Return a new, untrained head; raises UnknownName."""
    estimator = load_class(find_head(request.head).estimator)
    head: BagEstimator = estimator.from_request(request)
    return head
