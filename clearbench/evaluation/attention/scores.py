"""Scores of attention, next to an evaluation's other scores; no head is chosen by them.

localisation_ap: average precision of marked slices, ranked by attention
localisation_ap_uniform, localisation_ap_central: the same in random order, and the middle first
faithfulness_deletion, faithfulness_insertion: areas gained over random orders
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clearbench.evaluation.attention.faithfulness import Faithfulness
from clearbench.evaluation.attention.localisation import (
    Localisation,
    UnitSlices,
    localisation,
    slices_of,
)
from clearbench.evaluation.bags.load import Bag
from clearbench.evaluation.task.units import Units
from clearbench.statistics import Score
from clearbench.statistics.mean_score import mean_score


class HeadAttention(NamedTuple):
    """One head's test units: their rows, the importance of their instances, and faithfulness."""

    rows: tuple[int, ...]
    attention: tuple[NDArray[np.float32], ...]
    faithfulness: Faithfulness


@dataclass(frozen=True)
class AttentionData:
    """The units and the attention of every head on them.

    bags: the origin of instances, () for a floor; positive [units]: whether the unit has the
    finding, all False for a target without findings
    """

    units: Units
    bags: tuple[Bag, ...]
    positive: NDArray[np.bool_]
    heads: Sequence[HeadAttention]


@dataclass(frozen=True)
class AttentionScores:
    """Scores by name, and notes on what was left out."""

    scores: dict[str, Score]
    notes: tuple[str, ...] = ()


def score_attention(data: AttentionData, seed: int) -> AttentionScores:
    """Score the attention of every head; empty for heads without attention, and for survival.

    Localisation is scored if the cohort has marked slices and the instances have an origin.
    """
    scores, notes = _faithfulness(data, seed), _heads_without(data.heads)
    has_attention = any(head.attention for head in data.heads)
    if not has_attention or not data.units.marked or not data.bags:
        return AttentionScores(scores, notes)
    found = localisation(_slices(data), seed=seed)
    if found.units:
        scores |= {
            "localisation_ap": found.attention,
            "localisation_ap_uniform": found.uniform,
            "localisation_ap_central": found.central,
        }
    return AttentionScores(scores, (*notes, *_units_without(found)))


def _heads_without(heads: Sequence[HeadAttention]) -> tuple[str, ...]:
    """Return a note on heads without attention, if others have it (the head "best" mixes them)."""
    count = sum(bool(head.attention) for head in heads)
    note = f"attention of {len(heads) - count} of {len(heads)} heads: these heads have none"
    return (note,) if 0 < count < len(heads) else ()


def _units_without(found: Localisation) -> tuple[str, ...]:
    """Return a note on units that can't be ranked."""
    every = found.units + found.left_out
    note = f"localisation of {found.left_out} of {every} positive units"
    return (f"{note}: no slice is marked, or all are",) if found.left_out else ()


def _slices(data: AttentionData) -> list[UnitSlices]:
    """Gather the slices of positive units, once per head that was tested on them."""
    units = data.units
    return [
        slices_of(
            data.bags[row],
            weights,
            dict(zip(units.scans[row], units.marked[row], strict=True)),
            units.ids[row],
            units.patients[row],
        )
        for head in data.heads
        if head.attention
        for row, weights in zip(head.rows, head.attention, strict=True)
        if data.positive[row]
    ]


def _faithfulness(data: AttentionData, seed: int) -> dict[str, Score]:
    """Average faithfulness over units and heads."""
    measured = [head.faithfulness for head in data.heads]
    patients = [
        data.units.patients[head.rows[place]]
        for head in data.heads
        for place in head.faithfulness.places
    ]
    if not patients:
        return {}
    gains = {
        "faithfulness_deletion": [each.deletion for each in measured],
        "faithfulness_insertion": [each.insertion for each in measured],
    }
    return {
        name: mean_score(np.concatenate(values), patients, seed=seed)
        for name, values in gains.items()
    }
