"""The encoders by name: cards, and those registered at run time."""

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
from clearbench.errors import BadArgument, BadCard, UnknownName

if TYPE_CHECKING:
    import torch

FOLDER = "registry"

Build = Callable[[EncoderCard, "Path | None"], "torch.nn.Module"]


class Registered(Card):
    """An encoder by its name: its card, and its builder if it was registered at run time."""

    name: str
    card: EncoderCard
    build: Any = None
    folder: Path | None = None  # of its card; a file of weights may be in it too
    origin: str = ""  # which package has the card: clearbench, or a plug-in


_registered: dict[str, Registered] = {}


def register_encoder(card: EncoderCard | dict[str, Any], build: Build, *, name: str = "") -> str:
    """Add an encoder to this process; returns its name.

    `build(card, weights)` returns a torch module: [b, c, size, size] → [b, dim]. `weights` is the
    file that the user gives, else None, and then the builder finds them. Registering a name again
    (a notebook cell run twice) replaces the encoder. Without `name`, the name is made from the
    title. Raises BadCard if the card breaks its rules, BadArgument if `build` is not a function, or
    if a card has the name.
    """
    # a torch module can be called too, but it is no builder
    if not callable(build) or hasattr(build, "state_dict"):
        raise BadArgument(
            "build",
            type(build).__name__,
            "must be a function of card and weights that returns a torch module",
        )
    checked = (
        card if isinstance(card, EncoderCard) else check_card(card, EncoderCard, "register_encoder")
    )
    key = name or re.sub(r"[^a-z0-9]+", "-", _plain(checked.title)).strip("-")
    if not NAME.fullmatch(key):
        raise BadArgument("name", key, "use letters, digits, dots, dashes and underscores")
    taken = list_cards(FOLDER).get(key)
    if taken is not None:
        raise BadArgument("name", key, f"{taken.path} has this name; give another")
    _registered[key] = Registered(name=key, card=checked, build=build)
    return key


def _plain(title: str) -> str:
    """Return a title in lower case without accents."""
    return unicodedata.normalize("NFKD", title.casefold()).encode("ascii", "ignore").decode()


def encoder_names(extra: Iterable[Path] = ()) -> list[str]:
    """Return every encoder's name, from cards and from this process."""
    return sorted({*list_cards(FOLDER, extra), *_registered})


def encoder_files(extra: Iterable[Path] = ()) -> dict[str, CardFile]:
    """Return the card files by name."""
    return list_cards(FOLDER, extra)


def list_encoders(extra: Iterable[Path] = ()) -> Readable[Registered]:
    """Return every encoder, sorted by name, and the cards that can't be read."""
    extra = tuple(extra)
    check_folders("registry", extra)
    files = encoder_files(extra)
    cards = read_all(files, lambda name: _read(files[name]))
    ours = (one for name, one in _registered.items() if name not in files)
    found = sorted((*cards.found, *ours), key=lambda one: one.name)
    return Readable(tuple(found), cards.broken)


def find_encoder(name: str, extra: Iterable[Path] = ()) -> Registered:
    """Find an encoder by name, or by the path of its card.

    Raises UnknownName with the nearest names, BadCard if the card breaks its rules, or if several
    cards have this name.
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


def check_trusted(trusted: Iterable[str], named: Sequence[str]) -> None:
    """Refuse a trusted name that is not among the named encoders; raises UnknownName."""
    for name in trusted:
        if name not in named:
            raise UnknownName.among("encoder to be trusted", name, named)


def _only(found: Registered, extra: Iterable[Path]) -> Registered:
    """Return an encoder of this process; raises BadCard if a newer card has its name."""
    card = encoder_files(extra).get(found.name)
    if card is not None:
        raise BadCard(
            f'"{found.name}" is registered in this process, and {card.path} has the same name; '
            "register it under another name, or use the path of the card"
        )
    return found


def _read(file: CardFile) -> Registered:
    """Read a card; raises BadCard if another package has a card of the same name."""
    refuse_rivals("encoder", FOLDER, file)
    check_name(file)
    card = read_card(file.path, EncoderCard)
    return Registered(name=file.name, card=card, folder=file.path.parent, origin=file.origin)
