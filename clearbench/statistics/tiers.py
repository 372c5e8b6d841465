"""Pairwise comparisons → what a leaderboard may claim: rank intervals and tiers.

An encoder's rank is between 1 + the number of significantly better encoders and n − the number of
significantly worse ones. With Holm's p all rank intervals of a task hold at once (Al Mohamad,
Goeman and van Zwet, "Simultaneous confidence intervals for ranks", 2022).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan

from clearbench.errors import BadTask
from clearbench.statistics.comparison import Pair


@dataclass(frozen=True)
class Standing:
    """One encoder's place on a task: its rank interval and tier; 1 is the best."""

    encoder: str
    value: float
    rank_low: int
    rank_high: int
    tier: int


def rank_encoders(values: Mapping[str, float], pairs: Sequence[Pair]) -> tuple[Standing, ...]:
    """Return every encoder's standing, best value first; higher values are better.

    Tier 1 is the best encoder and all that don't differ from it significantly; tier 2 is the same
    among the rest, and so on. Raises BadTask if an encoder has no value or a pair is not compared.
    """
    _check(values, pairs)
    beaten_by: dict[str, set[str]] = {name: set() for name in values}
    for pair in pairs:
        if pair.winner is not None:
            beaten_by[_loser(pair)].add(pair.winner)
    order = sorted(values, key=lambda name: (-values[name], name))
    tiers = _tiers(order, {frozenset((p.one, p.other)) for p in pairs if p.separable})
    return tuple(
        Standing(
            encoder=name,
            value=values[name],
            rank_low=1 + len(beaten_by[name]),
            rank_high=len(values) - sum(name in winners for winners in beaten_by.values()),
            tier=tiers[name],
        )
        for name in order
    )


def _check(values: Mapping[str, float], pairs: Sequence[Pair]) -> None:
    """Refuse encoders without a value, and pairs that are missing or too many."""
    unknown = [name for name, value in values.items() if isnan(value)]
    if unknown:
        raise BadTask(f"{unknown[0]} has no score, so it can't be ranked; leave it out")
    compared = {frozenset((pair.one, pair.other)) for pair in pairs}
    wanted = len(values) * (len(values) - 1) // 2
    if len(compared) != wanted or not compared <= {
        frozenset((a, b)) for a in values for b in values
    }:
        raise BadTask(f"{len(values)} encoders have {wanted} pairs; compare exactly these")


def _loser(pair: Pair) -> str:
    return pair.other if pair.winner == pair.one else pair.one


def _tiers(order: Sequence[str], separable: set[frozenset[str]]) -> dict[str, int]:
    """Number the tiers: the best of those left, and all that don't differ from it significantly."""
    tiers: dict[str, int] = {}
    left, tier = list(order), 0
    while left:
        tier += 1
        tied = [name for name in left if frozenset((left[0], name)) not in separable]
        tiers |= dict.fromkeys(tied, tier)
        left = [name for name in left if name not in tied]
    return tiers
