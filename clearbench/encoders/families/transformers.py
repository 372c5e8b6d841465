"""transformers' vision models (extra `transformers`): RAD-DINO, MedSigLIP, PubMedCLIP and others.

A card names the vision tower by its model type; [sizes] has the values that differ from the
configuration's defaults. The library renames published keys to those of its networks. Keys that it
would skip, with or without a warning, are refused here.
"""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.families.transformers_cards import describe as describe
from clearbench.encoders.families.transformers_towers import (
    CANT,
    Pooled,
    configure,
    create,
    last_line,
    measure,
    pooler_options,
    quiet,
    tower_class,
)
from clearbench.encoders.weights.load import read_weights, without_unused
from clearbench.errors import BadCard, WeightsUnavailable

SHARD = re.compile(r"-\d{5}-of-\d{5}\.")


def build(card: EncoderCard, weights: Path | None) -> nn.Module:
    """Build a vision tower; without `weights` they are random, with the seed of the card's source.

    Raises UnknownName for an unknown model type, BadCard for sizes or a pooling that it doesn't
    have, WeightsUnavailable for another network's weights.
    """
    if card.weights.remote_code:
        from clearbench.encoders.families import transformers_code

        return transformers_code.build(card, weights)
    config = configure(card.net, card.sizes, card.title)
    dim = measure(card, config).dim
    if dim != card.dim:
        raise BadCard(f"{card.title}: the card has dim = {card.dim}, but {card.net} returns {dim}")
    if weights is None:
        with torch.random.fork_rng(devices=[]), quiet():
            torch.manual_seed(card.seed)
            tower = create(config, card.pooling)
    else:
        tower = _loaded(card, config, weights)
    return Pooled(tower, card.pooling, card.seen.size_px).eval()


def _loaded(card: EncoderCard, config: Any, weights: Path) -> Any:
    """Make a tower from a published file that has all of its weights and no others."""
    if SHARD.search(weights.name):
        raise WeightsUnavailable(
            f"{weights}: one part of several; join them first "
            "(save_pretrained with a large max_shard_size)"
        )
    state = without_unused(read_weights(weights, card.weights.ema), card)
    other = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if other or not state:
        raise WeightsUnavailable(f"{weights}: no state dict in it ({', '.join(other[:1])})")
    plain = {
        key: value.float() if value.is_floating_point() else value for key, value in state.items()
    }
    try:
        with quiet():
            tower, report = tower_class(config, card.pooling).from_pretrained(
                None,
                config=config,
                state_dict=plain,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # the report has them, and _check_report refuses them
                **pooler_options(config, card.pooling),
            )
    except CANT as error:
        raise WeightsUnavailable(
            f"{weights}: weights of another network ({last_line(error)})"
        ) from error
    _check_report(report, weights)
    return tower


def _check_report(report: dict[str, Any], weights: Path) -> None:
    """Refuse keys that the library only reports: left over, missing or of another shape."""
    words = {
        "unexpected_keys": "left over",
        "missing_keys": "missing",
        "mismatched_keys": "of another shape",
        "error_msgs": "not loaded",
    }
    parts = []
    for fault, word in words.items():
        keys = sorted(key if isinstance(key, str) else key[0] for key in report.get(fault) or ())
        if keys:
            parts.append(f"{len(keys)} {word} (e.g. {keys[0]})")
    if parts:
        raise WeightsUnavailable(f"{weights}: weights of another network: keys {', '.join(parts)}")
