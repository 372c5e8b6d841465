"""Does a head decide by the instances that it calls important?

Instances leave a bag (deletion), or come into an empty one (insertion), the most important first,
and the head scores what is there: Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for
Explanation of Black-box Models", BMVC 2018. The areas under the curves are told against those of
random orders of the same bag, so that a bag that is easy to judge from any part earns nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearbench.arrays import Flags, Floats
from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.heads.estimator import BagEstimator, Predictions

STEPS = 10  # a tenth of the bag at a time
RANDOM_ORDERS = 5
MOST_UNITS = 200  # of one head; more are drawn from
SMALLEST = 2  # instances; of one nothing can leave


@dataclass(frozen=True)
class Curves:
    """Scores as instances leave, from the whole bag on, or come, up to the whole bag: [STEPS]."""

    deletion: Floats
    insertion: Floats


@dataclass(frozen=True)
class Faithfulness:
    """Areas gained over random orders, by unit; more is more faithful, and 0 is chance.

    places [m] of the units in their bag set; deletion [m] how much faster the score falls,
    insertion [m] how much faster it rises
    """

    places: NDArray[np.int64]
    deletion: Floats
    insertion: Floats


def measure_faithfulness(
    head: BagEstimator, bags: BagSet, predictions: Predictions, positive: Flags, seed: int
) -> Faithfulness:
    """Ask a head about parts of each unit that truly has an output [units, outputs].

    The score is that of the outputs that the unit has, their mean if there are several. No unit is
    asked of a head without importances; units of one instance are not asked.
    """
    rng = np.random.default_rng([seed, len(bags)])
    able = positive.any(axis=1) & (bags.lengths >= SMALLEST) & bool(predictions.attention)
    places = np.flatnonzero(able)
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
    """Return the areas gained by one bag over random orders: deletion, insertion [2]."""
    orders = [rng.permutation(len(importance)) for _ in range(RANDOM_ORDERS + 1)]
    ranked = np.lexsort((orders[0], -importance))  # equal ones in random order
    mine, *others = (
        areas(trace_curves(head, bag, order, outputs)) for order in (ranked, *orders[1:])
    )
    gained: Floats = (mine - np.mean(others, axis=0)) * (-1, 1)
    return gained


def trace_curves(
    head: BagEstimator, bag: BagSet, order: NDArray[np.int64], outputs: Flags
) -> Curves:
    """Score a set of one bag as its instances leave, and come, in an order [n] (all in a batch)."""
    scores = head.scores(bag.parts(0, parts_of(order)))[:, outputs].mean(axis=1)
    return Curves(scores[:STEPS], scores[STEPS:])


def parts_of(order: NDArray[np.int64]) -> Flags:
    """Return which instances are there at each step [2 · STEPS, n]: deletion, then insertion.

    A bag is never empty: deletion ends with a tenth left, insertion begins with a tenth.
    """
    rank = np.argsort(order)
    tenths = (np.arange(STEPS + 1) * len(order) + STEPS // 2) // STEPS
    gone = np.minimum(tenths[:-1], len(order) - 1)
    come = np.maximum(tenths[1:], 1)
    return np.concatenate([rank >= gone[:, None], rank < come[:, None]])


def areas(curves: Curves) -> Floats:
    """Return the areas under deletion and insertion [2], by trapezia, as a mean height."""
    both = np.stack([curves.deletion, curves.insertion])
    found: Floats = (both[:, 1:] + both[:, :-1]).mean(axis=1) / 2
    return found
