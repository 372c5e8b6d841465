"""What is said of attention beside an evaluation's scores; nothing learns from it.

localisation_ap: average precision of marked slices by attention, localisation_ap_uniform and
localisation_ap_central by the priors; faithfulness_deletion and faithfulness_insertion: areas
gained over random orders.
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
    """What one head said of its test units' instances: rows of the units, importances, trial."""

    rows: tuple[int, ...]
    attention: tuple[NDArray[np.float32], ...]
    faithfulness: Faithfulness


@dataclass(frozen=True)
class AttentionData:
    """The units, which of them a reader's marks are asked for, and what heads said of them.

    bags: where instances come from, none for a floor; positive [units]: has the finding, all False
    where the target has no such thing
    """

    units: Units
    bags: tuple[Bag, ...]
    positive: NDArray[np.bool_]
    looks: Sequence[HeadAttention]


@dataclass(frozen=True)
class AttentionScores:
    """Scores by name, and what was left out of them."""

    scores: dict[str, Score]
    notes: tuple[str, ...] = ()


def score_attention(looked: AttentionData, seed: int) -> AttentionScores:
    """Score the attention of every head; empty for heads without any, or survival.

    Marked slices are asked for where the cohort knows them, and instances have an origin.
    """
    scores, some = _faithfulness(looked, seed), _of_some(looked.looks)
    silent = not any(look.attention for look in looked.looks)
    if silent or not looked.units.marked or not looked.bags:
        return AttentionScores(scores, some)
    found = localisation(_slices(looked), seed=seed)
    if found.units:
        scores |= {
            "localisation_ap": found.attention,
            "localisation_ap_uniform": found.uniform,
            "localisation_ap_central": found.central,
        }
    return AttentionScores(scores, (*some, *_notes(found)))


def _of_some(looks: Sequence[HeadAttention]) -> tuple[str, ...]:
    """Tell how many heads have importances, where that is some and not all."""
    able = sum(bool(look.attention) for look in looks)
    note = f"attention of {len(looks) - able} of {len(looks)} heads: their kind has none"
    return (note,) if 0 < able < len(looks) else ()


def _notes(found: Localisation) -> tuple[str, ...]:
    """Tell which units were left out."""
    every = found.units + found.left_out
    note = f"localisation of {found.left_out} of {every} positive units"
    return (f"{note}: no marked slice, or no other",) if found.left_out else ()


def _slices(looked: AttentionData) -> list[UnitSlices]:
    """Gather the slices of positive units, once per head that was tested on them."""
    units = looked.units
    return [
        slices_of(
            looked.bags[row],
            weights,
            dict(zip(units.scans[row], units.marked[row], strict=True)),
            units.ids[row],
            units.patients[row],
        )
        for look in looked.looks
        if look.attention
        for row, weights in zip(look.rows, look.attention, strict=True)
        if looked.positive[row]
    ]


def _faithfulness(looked: AttentionData, seed: int) -> dict[str, Score]:
    """Average over units and heads."""
    trials = [look.faithfulness for look in looked.looks]
    patients = [
        looked.units.patients[look.rows[place]]
        for look in looked.looks
        for place in look.faithfulness.places
    ]
    if not patients:
        return {}
    gains = {
        "faithfulness_deletion": [trial.deletion for trial in trials],
        "faithfulness_insertion": [trial.insertion for trial in trials],
    }
    return {
        name: mean_score(np.concatenate(values), patients, seed=seed)
        for name, values in gains.items()
    }
