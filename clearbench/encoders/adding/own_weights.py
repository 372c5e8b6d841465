"""An encoder of a checkpoint: the network in it that fits, its weights, and its card."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from clearbench.encoders.adding.choice import Chosen, choose_network, refuse_lists
from clearbench.encoders.adding.fitting import (
    Fitted,
    fitting_parts,
    is_for_training,
    no_fit,
)
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.families.timm_keys import CLASSIFIERS
from clearbench.encoders.plugins import family_module
from clearbench.encoders.weights.load import load_strictly, read_checkpoint
from clearbench.encoders.weights.networks import SavedNetwork, keys_outside, saved_networks
from clearbench.errors import WeightsUnavailable


@dataclass(frozen=True)
class OwnWeights:
    """A network with the weights of a checkpoint, its card, and what was taken and left out.

    dropped   the keys of other networks that were left out; `reasons` counts them with the reason
    notes     what differs from the architecture: channels, resampled positions
    """

    card: EncoderCard
    trunk: nn.Module
    chosen: Chosen
    dropped: tuple[str, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


def take_weights(
    card: EncoderCard, checkpoint: Path, *, ema: bool | None, unused: Sequence[str]
) -> OwnWeights:
    """Load the network of a checkpoint that fits a card's architecture, strictly.

    Of raw and averaged weights, `ema` chooses. A network of one channel changes the card. Raises
    WeightsUnavailable if none or several fit, or if the preferred one doesn't; BadArgument for
    `ema` without such weights.
    """
    saved = read_checkpoint(checkpoint)
    refuse_lists(saved, ema, checkpoint)
    networks = saved_networks(saved)
    trunk, parts = _compared(card, networks, unused)
    fits = [part for part in parts if part.fits]
    notes: tuple[str, ...] = ()
    if not fits and any(part.channels for part in parts):
        card, notes = _with_channels(card, parts, checkpoint)
        trunk, parts = _compared(card, networks, unused)
        fits = [part for part in parts if part.fits]
    if not fits:
        raise no_fit(parts, checkpoint, card.net)
    chosen = choose_network([part.network for part in fits], ema, checkpoint, f"fit {card.net}")
    taken = next(part for part in fits if part.network is chosen.network)
    if ema is None and not taken.network.averaged:
        _refuse_unfit_average(parts, chosen, checkpoint)
    load_strictly(trunk, dict(taken.state), checkpoint)
    not_taken = _not_taken(taken, networks)
    return OwnWeights(
        card=_with_facts(card, chosen),
        trunk=trunk,
        chosen=chosen,
        dropped=tuple(sorted(not_taken)),
        reasons=_reasons(not_taken, chosen, card, unused),
        notes=(*notes, *_resampled(taken, card)),
    )


def _compared(
    card: EncoderCard, networks: Sequence[SavedNetwork], unused: Sequence[str]
) -> tuple[nn.Module, list[Fitted]]:
    """Build a card's network, and compare every part of a checkpoint with it."""
    family = family_module(card.family)
    trunk = family.make_trunk(card)
    return trunk, fitting_parts(networks, trunk, partial(_renamed, family, card), unused)


def _renamed(family: Any, card: EncoderCard, trunk: nn.Module, state: Any) -> dict[str, Any]:
    """Rename a state dict for a trunk, as its family does."""
    renamed: dict[str, Any] = family.fit_state(trunk, state, card)
    return renamed


def _with_channels(
    card: EncoderCard, parts: Sequence[Fitted], where: Path
) -> tuple[EncoderCard, tuple[str, ...]]:
    """Return a card for the channels of a checkpoint's first layer; only timm's can be changed."""
    channels = next(part.channels for part in parts if part.channels)
    has = f"{where}: its first layer takes {channels} {'channel' if channels == 1 else 'channels'}"
    if channels != 1:
        raise WeightsUnavailable(
            f"{has}, and {card.net} is given 3; write its card by hand, with {channels} values of "
            'mean and std, and channels = "stack" or [slicing] context: docs/encoders/card.md'
        )
    if card.family != "timm":
        raise WeightsUnavailable(
            f"{has}, and {card.family}'s {card.net} takes 3; timm's networks take 1: if timm has "
            f"the same network, give --timm {card.net} instead of --{card.family}"
        )
    mean, std = ((sum(three) / len(three),) for three in (card.seen.mean, card.seen.std))
    seen = card.seen.model_copy(update={"mean": mean, "std": std})
    note = (
        "1 channel, as the first layer has it; its mean and std are averages over the "
        "architecture's three"
    )
    return card.model_copy(update={"input": seen}), (note,)


def _refuse_unfit_average(parts: Sequence[Fitted], chosen: Chosen, where: Path) -> None:
    """Refuse to take raw weights in silence because their average doesn't fit."""
    if any(other.averaged for other in chosen.others):
        return
    unfit = [part for part in parts if part.network.evaluated and not part.fits]
    if unfit:
        nearest = min(unfit, key=lambda part: part.faults.count)
        raise WeightsUnavailable(
            f"{where}: its averaged weights ({nearest.network.name}) don't fit: keys "
            f"{nearest.faults}; take the raw ones with ema=False (--no-ema)"
        )


def _with_facts(card: EncoderCard, chosen: Chosen) -> EncoderCard:
    """State on the card which weights were taken."""
    facts = {"ema": chosen.averaged, "part": chosen.network.name}
    return card.model_copy(update={"weights": card.weights.model_copy(update=facts)})


def _not_taken(taken: Fitted, networks: Sequence[SavedNetwork]) -> list[str]:
    """Return the keys of the same state dict that are not in the encoder."""
    used = {value.data_ptr() for value in taken.state.values()}
    # positions that were resampled have another place in memory, and the same name
    unused = [
        key
        for key, value in taken.network.state.items()
        if value.data_ptr() not in used and key not in taken.state
    ]
    return [*unused, *keys_outside(taken.network, networks)]


def _reasons(
    not_taken: Sequence[str], chosen: Chosen, card: EncoderCard, unused: Sequence[str]
) -> tuple[str, ...]:
    """Count left-out keys by the first word of their names, with the reason."""
    others = {word for other in chosen.others for word in other.place}
    heads = {key.partition(".")[0] for key in (*CLASSIFIERS, *card.weights.unused)}
    counts = Counter((key.partition(".")[0], key.startswith(tuple(unused))) for key in not_taken)
    return tuple(
        f"{count} of {word} ({_reason(word, yours, others, heads, card)})"
        for (word, yours), count in sorted(counts.items())
    )


def _reason(word: str, yours: bool, others: set[str], heads: set[str], card: EncoderCard) -> str:
    """Say why the tensors under a word are left out."""
    if yours:
        return "as you said"
    if word in others:
        return "the other network"
    if word in heads:
        return "classifier"
    return "for training only" if is_for_training(word) else f"no part of {card.net}"


def _resampled(taken: Fitted, card: EncoderCard) -> tuple[str, ...]:
    """Note positions that are for another size of image than the card's."""
    ours, theirs = (each.get("pos_embed") for each in (taken.state, taken.network.state))
    if ours is None or theirs is None or ours.shape == theirs.shape or theirs.ndim != 3:
        return ()
    # a class token and registers are fewer than another row of patches
    before, after = math.isqrt(theirs.shape[1]), math.isqrt(ours.shape[1])
    return (
        f"positions of {before} × {before} patches were resampled to {after} × {after}; if it was "
        f"trained at another size than {card.seen.size_px} px, give that size (--size-px)",
    )
