"""Which encoders there are: cards by name, and those that were registered at run time."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearbench.cards import (
    NAME,
    Card,
    CardFile,
    Readable,
    check_card,
    check_folders,
    check_name,
    find_card,
    list_cards,
    read_all,
    read_card,
    refuse_rivals,
)
from clearbench.encoders.card import EncoderCard
from clearbench.errors import BadCard, BadRequest, UnknownName

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
    origin: str = ""  # who brings the card: clearbench, or a plug-in package


_registered: dict[str, Registered] = {}


def register_encoder(card: EncoderCard | dict[str, Any], build: Build, *, name: str = "") -> str:
    """Add an encoder to this process; returns the name under which it is now known.

    `build(card, weights)` returns a torch module: [b, c, size, size] → [b, dim]; `weights` is the
    file that the user names (--weights), else None, and finding them is the builder's. Registered
    again (a notebook's cell is run twice), the later one counts. Without `name` the title makes it.
    Raises BadCard if the card breaks its rules, BadRequest if a card has the name already, or
    `build` is no function.
    """
    if not callable(build) or hasattr(build, "state_dict"):
        raise BadRequest(
            f"register_encoder: build is a {type(build).__name__}; it takes a function of card and "
            "weights that returns a torch module"
        )
    checked = (
        card if isinstance(card, EncoderCard) else check_card(card, EncoderCard, "register_encoder")
    )
    key = name or re.sub(r"[^a-z0-9]+", "-", _plain(checked.title)).strip("-")
    if not NAME.fullmatch(key):
        raise BadRequest(f'register_encoder: name "{key}": letters, digits, dots, dashes and _')
    taken = list_cards(FOLDER).get(key)
    if taken is not None:
        raise BadRequest(
            f'register_encoder: {taken.path} is called "{key}"; give another name (name=…)'
        )
    _registered[key] = Registered(name=key, card=checked, build=build)
    return key


def _plain(title: str) -> str:
    """Write a title in small letters without accents."""
    return unicodedata.normalize("NFKD", title.casefold()).encode("ascii", "ignore").decode()


def encoder_names(extra: Iterable[Path] = ()) -> list[str]:
    """Return every encoder's name: cards and those registered at run time."""
    return sorted({*list_cards(FOLDER, extra), *_registered})


def encoder_files(extra: Iterable[Path] = ()) -> dict[str, CardFile]:
    """Return the card files by name."""
    return list_cards(FOLDER, extra)


def list_encoders(extra: Iterable[Path] = ()) -> Readable[Registered]:
    """Read every card, and say why others are left out; then those registered at run time."""
    extra = tuple(extra)
    check_folders("registry", extra)
    files = encoder_files(extra)
    cards = read_all(files, lambda name: _read(files[name]))
    ours = (one for name, one in _registered.items() if name not in files)
    found = sorted((*cards.found, *ours), key=lambda one: one.name)
    return Readable(tuple(found), cards.broken)


def find_encoder(name: str, extra: Iterable[Path] = ()) -> Registered:
    """Find an encoder by name, or by the path of its card.

    Raises UnknownName with the nearest names, BadCard if the card breaks its rules, or if not one
    card alone has this name.
    """
    extra = tuple(extra)
    check_folders("registry", extra)
    if name in _registered:
        return _only(_registered[name], extra)
    try:
        file = find_card("encoder", FOLDER, name, extra)
    except UnknownName:
        if not _registered:
            raise
        raise UnknownName.among("encoder", name, encoder_names(extra)) from None
    return _read(file)


def check_trusted(trusted: Iterable[str], meant: Sequence[str]) -> None:
    """Refuse trust in an encoder that isn't meant; raises UnknownName with the nearest name."""
    for name in trusted:
        if name not in meant:
            raise UnknownName.among("encoder to be trusted", name, meant)


def _only(found: Registered, extra: Iterable[Path]) -> Registered:
    """Refuse an encoder of this process if a card has come to have its name."""
    card = encoder_files(extra).get(found.name)
    if card is not None:
        raise BadCard(
            f'"{found.name}" was registered in this process, and {card.path} has that name too; '
            "register it under another name (name=…), or type the path of the card"
        )
    return found


def _read(file: CardFile) -> Registered:
    """Read a card that no other card rivals."""
    refuse_rivals("encoder", FOLDER, file)
    check_name(file)
    card = read_card(file.path, EncoderCard)
    return Registered(name=file.name, card=card, folder=file.path.parent, origin=file.origin)
