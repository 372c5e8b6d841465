"""The heads by name, one row each: add a head here, and nowhere else.

Rows name classes by "module:class", so that listing heads imports no network.
"""

import importlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from clearbench.errors import UnknownName

BEST = "best"
HEADS_FOLDER = "clearbench.evaluation.heads"


@dataclass(frozen=True)
class HeadEntry:
    """One head: what it is in a line, and what makes it.

    estimator      the class of the head, a BagEstimator
    network        the torch module that the head trains; "" if it trains none
    deterministic  every seed gives the same head, so one head per fold is enough
    """

    title: str
    estimator: str
    network: str = ""
    deterministic: bool = False


# The order matters: of heads with equal scores, "best" takes the first.
HEADS: MappingProxyType[str, HeadEntry] = MappingProxyType(
    {
        "abmil": HeadEntry(
            "attention-MIL, as in CLEAR",
            f"{HEADS_FOLDER}.mil:MILClassifier",
            f"{HEADS_FOLDER}.nets.attention:AttentionMIL",
        ),
        "gated-abmil": HeadEntry(
            "attention-MIL with gated attention",
            f"{HEADS_FOLDER}.mil:MILClassifier",
            f"{HEADS_FOLDER}.nets.attention:GatedAttentionMIL",
        ),
        "transformer": HeadEntry(
            "one self-attention block and a pooling query",
            f"{HEADS_FOLDER}.mil:MILClassifier",
            f"{HEADS_FOLDER}.nets.transformer:TransformerMIL",
        ),
        "max-pool": HeadEntry(
            "the maximum of each hidden feature",
            f"{HEADS_FOLDER}.mil:MILClassifier",
            f"{HEADS_FOLDER}.nets.pooling:MaxPoolMIL",
        ),
        "mean-logreg": HeadEntry(
            "mean of the bag and logistic regression (survival: Cox)",
            f"{HEADS_FOLDER}.mean_pool:MeanPoolClassifier",
            deterministic=True,
        ),
        "knn": HeadEntry(
            "k nearest neighbours of the bag's mean",
            f"{HEADS_FOLDER}.knn:NearestClassifier",
            deterministic=True,
        ),
        BEST: HeadEntry(
            "the head with the best score on the tuning patients, chosen in each fold",
            f"{HEADS_FOLDER}.best:BestClassifier",
        ),
    }
)


def find_head(name: str) -> HeadEntry:
    """Return a head's row; raises UnknownName with the nearest names."""
    if name not in HEADS:
        raise UnknownName.among("head", name, HEADS, f" ({', '.join(HEADS)})")
    return HEADS[name]


def head_names() -> tuple[str, ...]:
    """Return the names of all heads."""
    return tuple(HEADS)


def plain_heads() -> tuple[str, ...]:
    """Return every head but "best", which chooses among them."""
    return tuple(name for name in HEADS if name != BEST)


def trains_network(name: str) -> bool:
    """Tell whether a head trains a network by gradient descent, itself or among its choices."""
    return name == BEST or bool(find_head(name).network)


def load_class(path: str) -> Any:
    """Import the class that a row names as "module:class"."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
