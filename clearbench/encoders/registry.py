"""Which encoders there are: cards by name, and those that were registered at run time."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearbench.cards import Card, CardFile, check_card, find_card, list_cards, read_card
from clearbench.encoders.card import EncoderCard
from clearbench.errors import UnknownName

if TYPE_CHECKING:
    import torch

FOLDER = "registry"

Build = Callable[[EncoderCard, "Path | None"], "torch.nn.Module"]


class Registered(Card):
    """An encoder by its name: its card, and its builder if it was registered at run time."""

    name: str
    card: EncoderCard
    build: Any = None
    folder: Path | None = None  # where its card lies; a file of weights may lie beside it


_registered: dict[str, Registered] = {}


def register_encoder(card: EncoderCard | dict[str, Any], build: Build, *, name: str = "") -> str:
    """Add an encoder to this process; returns the name under which it is now known.

    `build(card, weights)` returns a torch module: [b, c, size, size] → [b, dim]; `weights` is the
    file that the user names (--weights), else None, and finding them is the builder's.
    Raises BadCard if the card breaks its rules.
    """
    checked = (
        card if isinstance(card, EncoderCard) else check_card(card, EncoderCard, "register_encoder")
    )
    key = name or "".join(c if c.isalnum() else "-" for c in checked.title.lower()).strip("-")
    _registered[key] = Registered(name=key, card=checked, build=build)
    return key


def encoder_names(extra: Iterable[Path] = ()) -> list[str]:
    """Return every encoder's name: cards and those registered at run time."""
    return sorted({*list_cards(FOLDER, extra), *_registered})


def encoder_files(extra: Iterable[Path] = ()) -> dict[str, CardFile]:
    """Return the card files by name."""
    return list_cards(FOLDER, extra)


def find_encoder(name: str, extra: Iterable[Path] = ()) -> Registered:
    """Find an encoder by name, or by the path of its card.

    Raises UnknownName with the nearest names, BadCard if the card breaks its rules.
    """
    if name in _registered:
        return _registered[name]
    try:
        file = find_card("encoder", FOLDER, name, extra)
    except UnknownName:
        if not _registered:
            raise
        raise UnknownName.among("encoder", name, encoder_names(extra)) from None
    return Registered(
        name=file.name, card=read_card(file.path, EncoderCard), folder=file.path.parent
    )
