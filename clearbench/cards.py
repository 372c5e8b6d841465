"""TOML card → frozen checked record, and the lookup of cards by name."""

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from clearbench.errors import BadCard, BadRequest, UnknownName, suggestion
from clearbench.files import write_text
from clearbench.plugins import plugin_folders

SHOWN = 5
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Card(BaseModel):
    """A frozen record whose unknown keys are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=False, protected_namespaces=(), allow_inf_nan=False
    )


AnyCard = TypeVar("AnyCard", bound=Card)
Found = TypeVar("Found")


@dataclass(frozen=True)
class CardFile:
    """Where a card lies; its stem is its name.

    origin  who brings it: clearbench, a plug-in package, or nobody ("") for a folder of one's own
    rivals  other cards of that name, where nothing says which one is meant
    """

    name: str
    path: Path
    origin: str = ""
    rivals: tuple["CardFile", ...] = ()


def read_card(path: Path, kind: type[AnyCard]) -> AnyCard:
    """Read one TOML file as a checked `kind`.

    Raises BadCard with the file, the key and the nearest allowed key.
    """
    try:
        facts = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadCard(f"{path}: can't be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadCard(f"{path}: not a TOML file ({error})") from error
    return check_card(facts, kind, str(path))


def write_card(card: Card, path: Path) -> None:
    """Write a card as TOML, whole or not at all; what is blank or the default is left out."""
    facts = card.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    write_text(path, tomli_w.dumps(facts))


def check_card(facts: dict[str, Any], kind: type[AnyCard], where: str) -> AnyCard:
    """Check facts against `kind`; raises BadCard that names `where` and every fault."""
    try:
        return kind.model_validate(facts)
    except ValidationError as error:
        raise BadCard(f"{where}: {told_faults(error, kind)}") from error


def told_faults(error: ValidationError, kind: type[Card]) -> str:
    """Say in our words what a record breaks: a few faults, and how many more."""
    faults = [_fault(item, kind) for item in error.errors()]
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return "; ".join(faults[:SHOWN]) + more


def _fault(item: Any, kind: type[Card]) -> str:
    """Say one pydantic error in a few words of our own."""
    place = ".".join(str(part) for part in item["loc"]) or "card"
    if item["type"] == "extra_forbidden":
        return (
            f"unknown key {place}{suggestion(str(item['loc'][-1]), _known_keys(kind, item['loc']))}"
        )
    if item["type"] == "missing":
        return f"{place} is missing"
    if item["type"] == "model_type" and item["loc"]:
        return f"{place} must be a table of keys and values"
    if item["type"] == "json_invalid":
        return "cut off or changed, it is no JSON record any more"
    if item["type"] == "model_type":
        return "not a table of keys and values"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{place}: {message[:1].lower()}{message[1:]}"


def _known_keys(kind: type[Card], location: Sequence[Any]) -> list[str]:
    """Return the keys allowed in the table that holds the faulty one."""
    model: Any = kind
    for part in location[:-1]:
        field = model.model_fields.get(part)
        inner = (
            [a for a in (field.annotation, *getattr(field.annotation, "__args__", ()))]
            if field
            else []
        )
        tables = [a for a in inner if isinstance(a, type) and issubclass(a, Card)]
        if not tables:
            return []
        model = tables[0]
    return [field.alias or name for name, field in model.model_fields.items()]


def card_folders(folder: str, extra: Iterable[Path] = ()) -> dict[Path, str]:
    """Return the folders that may hold cards of one kind ("registry" or "tasks"), and whose.

    The checkout's or the installed package's, then those of plug-in packages, then ./folder, then
    `extra`; the last two are the user's own, which is told by "".
    """
    package = Path(__file__).parent
    shipped = [package / folder, package.parent / folder]
    ours = next((path for path in shipped if path.is_dir()), shipped[0])
    brought = {path: str(plugin) for path, plugin in plugin_folders(folder).items()}
    found: dict[Path, str] = {}
    for path, origin in ({ours: "clearbench"} | brought | {Path.cwd() / folder: ""}).items():
        found.setdefault(path.resolve(), origin)
    for path in map(Path, extra):
        found.pop(path.resolve(), None)
        found[path.resolve()] = ""
    return {path: origin for path, origin in found.items() if path.is_dir()}


def check_folders(option: str, folders: Iterable[Path]) -> None:
    """Refuse a folder of cards that isn't there; raises BadRequest naming the option."""
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise BadRequest(f"{option} {folder}: no such folder")


def check_name(card: CardFile) -> None:
    """Refuse a file whose stem is no name; raises BadCard."""
    if not NAME.fullmatch(card.name):
        raise BadCard(
            f"{card.path}: its stem is the name, of letters, digits, dots, dashes and underscores; "
            "rename the file"
        )


def list_cards(folder: str, extra: Iterable[Path] = ()) -> dict[str, CardFile]:
    """Return every card by name, in alphabetical order.

    A card in a folder of the user's own wins over others of its name. Between clearbench and
    plug-in packages none wins: the first is returned with the others as its rivals.
    """
    cards: dict[str, CardFile] = {}
    for place, origin in card_folders(folder, extra).items():
        for path in sorted(place.glob("*.toml")):
            card, first = CardFile(path.stem, path, origin), cards.get(path.stem)
            if origin and first is not None:
                card = replace(first, rivals=(*first.rivals, card))
            cards[path.stem] = card
    return dict(sorted(cards.items()))


def refuse_rivals(kind: str, folder: str, card: CardFile) -> None:
    """Raise BadCard if several packages bring a card of this name, with their paths."""
    if card.rivals:
        places = "; ".join(f"{one.path} ({one.origin})" for one in (card, *card.rivals))
        raise BadCard(
            f'several cards of {kind}s are called "{card.name}": {places}; '
            f"type the path of the one you mean, or copy it into ./{folder}"
        )


def find_card(kind: str, folder: str, name: str, extra: Iterable[Path] = ()) -> CardFile:
    """Find a card by name, or by the path of its file.

    Raises UnknownName with the nearest names, BadCard if several packages bring such a card.
    """
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        return CardFile(path.stem, path.resolve())
    known = list_cards(folder, extra)
    if name not in known:
        command = "models" if folder == "registry" else folder
        more = f" (`clearbench {command} list` shows all {len(known)})"
        raise UnknownName.among(kind, name, known, more)
    refuse_rivals(kind, folder, known[name])
    return known[name]


@dataclass(frozen=True)
class Readable(Generic[Found]):
    """Cards that keep their rules, and why others don't."""

    found: tuple[Found, ...]
    broken: tuple[str, ...]


def read_all(names: Iterable[str], find: Callable[[str], Found]) -> Readable[Found]:
    """Find every card that is named; one that breaks its rules stops no other."""
    found, broken = [], []
    for name in names:
        try:
            found.append(find(name))
        except BadCard as error:
            broken.append(str(error))
    return Readable(tuple(found), tuple(broken))


def digest(path: Path) -> str:
    """Return the sha256 of a card's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
