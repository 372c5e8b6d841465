"""Faithfulness of attention: does a head's score depend on the instances with high importance?

Instances are removed from a bag (deletion), or added to an empty one (insertion), the most
important first, and the head scores each part: Petsiuk, Das and Saenko, "RISE: Randomized Input
Sampling for Explanation of Black-box Models", BMVC 2018. The areas under the curves are compared
with those of random orders of the same bag, because any part of an easy bag gets the right score.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearbench.arrays import Flags, Floats
from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.heads.estimator import BagEstimator, Predictions

STEPS = 10  # a tenth of the bag per step
RANDOM_ORDERS = 5
MOST_UNITS = 200  # per head; of more units a random subset is taken
SMALLEST = 2  # instances; a bag of one has no parts


@dataclass(frozen=True)
class Curves:
    """Scores as instances are removed from the whole bag, and added up to it: both [STEPS]."""

    deletion: Floats
    insertion: Floats


@dataclass(frozen=True)
class Faithfulness:
    """Areas gained over random orders, by unit; higher is better, 0 is chance level.

    places [m] of the units in their bag set; deletion [m]: how much faster the score falls;
    insertion [m]: how much faster it rises
    """

    places: NDArray[np.int64]
    deletion: Floats
    insertion: Floats


def measure_faithfulness(
    head: BagEstimator, bags: BagSet, predictions: Predictions, positive: Flags, seed: int
) -> Faithfulness:
    """Score parts of each unit that truly has an output; positive [units, outputs].

    The score is that of the outputs that the unit has, their mean if there are several. Units of
    one instance are left out; of a head without importances, all units.
    """
    rng = np.random.default_rng([seed, len(bags)])
    usable = positive.any(axis=1) & (bags.lengths >= SMALLEST) & bool(predictions.attention)
    places = np.flatnonzero(usable)
    if len(places) > MOST_UNITS:
        places = np.sort(rng.choice(places, MOST_UNITS, replace=False))
    gains = [
        _gain(
            head, bags.take(np.array([place])), predictions.attention[place], positive[place], rng
        )
        for place in places
    ]
    deletion, insertion = np.array(gains, np.float64).reshape(-1, 2).T
    return Faithfulness(places, deletion, insertion)


def _gain(
    head: BagEstimator,
    bag: BagSet,
    importance: NDArray[np.float32],
    outputs: Flags,
    rng: np.random.Generator,
) -> Floats:
    """Return the areas of one bag gained over random orders: deletion, insertion [2]."""
    orders = [rng.permutation(len(importance)) for _ in range(RANDOM_ORDERS + 1)]
    ranked = np.lexsort(
        (orders[0], -importance)
    )  # ties in random order, else slice order would decide
    by_attention, *at_random = (
        areas(trace_curves(head, bag, order, outputs)) for order in (ranked, *orders[1:])
    )
    # Deletion counts the other way: a faster fall is a smaller area.
    gained: Floats = (by_attention - np.mean(at_random, axis=0)) * (-1, 1)
    return gained


def trace_curves(
    head: BagEstimator, bag: BagSet, order: NDArray[np.int64], outputs: Flags
) -> Curves:
    """Score one bag as its instances are removed, and added, in an order [n], in one batch."""
    scores = head.scores(bag.parts(0, parts_of(order)))[:, outputs].mean(axis=1)
    return Curves(scores[:STEPS], scores[STEPS:])


def parts_of(order: NDArray[np.int64]) -> Flags:
    """Return which instances are left at each step [2 · STEPS, n]: deletion, then insertion.

    A bag is never empty: deletion ends with a tenth, insertion begins with a tenth.
    """
    rank = np.argsort(order)
    tenths = (np.arange(STEPS + 1) * len(order) + STEPS // 2) // STEPS
    removed = np.minimum(tenths[:-1], len(order) - 1)
    added = np.maximum(tenths[1:], 1)
    return np.concatenate([rank >= removed[:, None], rank < added[:, None]])


def areas(curves: Curves) -> Floats:
    """Return the areas under deletion and insertion [2] (trapezoidal rule), as a mean height."""
    both = np.stack([curves.deletion, curves.insertion])
    found: Floats = (both[:, 1:] + both[:, :-1]).mean(axis=1) / 2
    return found
