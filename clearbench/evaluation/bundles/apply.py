"""Apply a bundle's heads to units without labels: one score per output, and a decision."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from clearbench.arrays import Floats
from clearbench.errors import BadRequest
from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.bags.load import Bag, load_bags, views_option
from clearbench.evaluation.bundles.bundle import Bundle, BundleFacts
from clearbench.evaluation.heads.targets import output_type
from clearbench.evaluation.task.units import Units
from clearbench.store.folder import StoreFolder
from clearbench.store.records import EncoderRecord, list_records


@dataclass(frozen=True)
class Applied:
    """The predictions of a bundle's heads: scores, spread and decisions, all [units, outputs].

    scores   mean over the heads
    spread   standard deviation over the networks of all heads, or over the heads if they have none
    decisions  1 or 0; NaN without a threshold
    bags     the features of each unit, with the origin of each instance
    attention  the importance of each unit's instances [n], mean over the heads; () without any
    without_features  number of units left out; `units.excluded` names them
    """

    facts: BundleFacts
    units: Units
    scores: Floats
    spread: Floats
    decisions: Floats
    without_features: int
    bags: tuple[Bag, ...] = ()
    attention: tuple[Floats, ...] = ()


def apply_bundle(bundle: Bundle, units: Units, store: StoreFolder) -> Applied:
    """Score units with every head of a bundle, on whole bags as in the evaluation.

    Units with incomplete features are left out and named. Raises BadRequest if the store has no
    features of the bundle's fingerprint, BadTask if no unit has features.
    """
    record = find_features(bundle.facts, store)
    kept, bags = load_bags(units, record, store)
    instances = BagSet.of(
        [bag.features for bag in bags],
        dtype=getattr(torch, bundle.facts.head_precision),
        common=bundle.common,
    )
    predicted = [head.predictions(instances) for head in bundle.heads]
    scores: Floats = np.mean([each.scores for each in predicted], axis=0)
    single = [one for each in predicted for one in (each.networks or (each.scores,))]
    return Applied(
        facts=bundle.facts,
        units=kept,
        scores=scores,
        spread=np.std(single, axis=0),
        decisions=decide(bundle.facts, scores),
        without_features=len(units.ids) - len(kept.ids),
        bags=bags,
        attention=_mean_attention([one.attention for one in predicted]),
    )


def _mean_attention(heads: Sequence[tuple[NDArray[np.float32], ...]]) -> tuple[Floats, ...]:
    """Return the mean attention of several heads on each unit; () if a head has none."""
    if not all(heads):
        return ()
    return tuple(np.mean(unit, axis=0, dtype=np.float64) for unit in zip(*heads, strict=True))


def find_features(facts: BundleFacts, store: StoreFolder) -> EncoderRecord:
    """Return the store's features with a bundle's fingerprint.

    Raises BadRequest that names the wanted and the stored features, with the command to make them.
    """
    stored, wanted = list_records(store), facts.encoder
    for record in stored:
        if record.fingerprint == wanted.fingerprint:
            return record.with_views(wanted.views)
    has = ", ".join(
        f"{r.fingerprint[:8]} of {r.name} ({', '.join(r.views)}; {r.precision})" for r in stored
    )
    raise BadRequest(
        f"the bundle needs features {wanted.fingerprint[:8]} of encoder {wanted.name} "
        f"({', '.join(wanted.views)}; {wanted.precision}); the store {store.root} has "
        f"{has or 'none'}. Make them: {embed_command(wanted)}"
    )


def embed_command(record: EncoderRecord) -> str:
    """Return the command that makes features with these settings."""
    dtype = "" if record.store_dtype == "float32" else f" --store-dtype {record.store_dtype}"
    options = f"{views_option(record)} --precision {record.precision}{dtype}"
    return f"clearbench embed SCANS --model {record.name}{options}"


def decide(facts: BundleFacts, scores: Floats) -> Floats:
    """Return decisions [units, outputs]: 1 from the threshold on, or for the most probable class.

    NaN for an output without a threshold, and for a risk.
    """
    if output_type(facts.task_card.target) == "classes":
        top: NDArray[np.bool_] = scores.argmax(axis=1)[:, None] == np.arange(scores.shape[1])
        return top.astype(float)
    cuts = np.array([np.nan if cut is None else cut for cut in facts.thresholds])
    return np.where(np.isnan(cuts), np.nan, scores >= cuts)
