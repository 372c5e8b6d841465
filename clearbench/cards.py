"""TOML card → checked record that can't change, and the search for cards by name."""

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from clearbench.bounded import read_bytes, read_text
from clearbench.errors import BadArgument, BadCard, UnknownName, suggestion
from clearbench.files import write_text
from clearbench.plugins import plugin_folders

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Card(BaseModel):
    """A record that can't change and that refuses unknown keys."""

    # not strict, because TOML has lists where fields are tuples; without protected
    # namespaces, pydantic doesn't warn of fields that begin with model_
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=False, protected_namespaces=(), allow_inf_nan=False
    )


MOST_MB = 0.25
SHOWN = 5  # faults that are named; the others are counted
DEEPEST = 30  # parts of a key, or lists in lists
# The signs that nest, and as one piece what may hold them: texts and comments. Every piece ends
# where its text ends, also one without its last quote, so that no part is read twice.
PIECES = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:""")?+'
    r"|'''(?:[^']|'(?!''))*+(?:''')?+"
    r'|"(?:[^"\\\n]|\\.)*+"?+'
    r"|'[^'\n]*+'?+"
    r"|#[^\n]*+|[\[{\]}.=,\n]",
    re.DOTALL,
)
AnyCard = TypeVar("AnyCard", bound=Card)
Found = TypeVar("Found")


@dataclass(frozen=True)
class CardFile:
    """A card's file; the stem of the file is the card's name.

    origin  where it is from: clearbench, a plug-in package, or "" for a folder of the user
    rivals  cards of the same name from other packages: the name is ambiguous
    """

    name: str
    path: Path
    origin: str = ""
    rivals: tuple["CardFile", ...] = ()


def read_card(path: Path, card_type: type[AnyCard]) -> AnyCard:
    """Read one TOML file as a checked card of type `card_type`.

    Raises BadCard with the file, the key and the nearest allowed key.
    """
    try:
        facts = _parsed(read_text(path, MOST_MB))
    except OSError as error:
        raise BadCard(f"{path}: can't be read ({error.strerror})") from error
    # a number of 5,000 digits is a ValueError; nested tables may be too deep
    except (ValueError, RecursionError) as error:
        raise BadCard(f"{path}: not a TOML file ({error})") from error
    return check_card(facts, card_type, str(path))


def _parsed(text: str) -> dict[str, Any]:
    """Parse TOML; raises ValueError, also for keys within keys beyond what a card has."""
    if _depth(text) > DEEPEST:
        raise ValueError(f"keys or lists of more than {DEEPEST} levels")
    return tomllib.loads(text)


def _depth(text: str) -> int:
    """Return how deep a card nests: lists and tables in each other, or the parts of a key.

    The parser's time grows with the square of it.
    """
    deepest = opened = dots = 0
    for piece in PIECES.finditer(text):
        sign = piece[0]
        if sign == ".":
            dots += 1
        elif sign in "=,\n":
            dots = 0
        else:
            opened += (sign in "[{") - (sign in "]}")
        deepest = max(deepest, opened, dots)
    return deepest


def write_card(card: Card, path: Path) -> None:
    """Write a card as TOML, completely or not at all, without blank and default values."""
    # TOML has no null
    facts = card.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    write_text(path, tomli_w.dumps(facts))


def check_card(facts: dict[str, Any], card_type: type[AnyCard], where: str) -> AnyCard:
    """Return facts as a card of type `card_type`; raises BadCard with `where` and the faults."""
    try:
        return card_type.model_validate(facts)
    except ValidationError as error:
        raise BadCard(f"{where}: {describe_faults(error, card_type)}") from error


def describe_faults(error: ValidationError, card_type: type[Card]) -> str:
    """Return a record's first few faults in plain words, and the number of the others."""
    items = error.errors(include_url=False, include_input=False)
    # of a thousand faults, only those that are shown are put into words
    faults = [_fault(item, card_type) for item in items[:SHOWN]]
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return "; ".join(faults) + more


def _fault(item: Any, card_type: type[Card]) -> str:
    """Return one pydantic error in plain words."""
    place = ".".join(str(part) for part in item["loc"]) or "card"
    if item["type"] == "extra_forbidden":
        keys = _known_keys(card_type, item["loc"])
        return f"unknown key {place}{suggestion(str(item['loc'][-1]), keys)}"
    if item["type"] == "missing":
        return f"{place} is missing"
    if item["type"] == "model_type" and item["loc"]:
        return f"{place} must be a table of keys and values"
    if item["type"] == "json_invalid":
        return "cut off or changed: it isn't a JSON record any more"
    if item["type"] == "model_type":
        return "not a table of keys and values"
    # pydantic puts these words before the text of a ValueError
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{place}: {message[:1].lower()}{message[1:]}"


def _known_keys(card_type: type[Card], location: Sequence[Any]) -> list[str]:
    """Return the allowed keys of the table with the faulty key."""
    model: Any = card_type
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
    """Return the folders of cards called `folder` ("registry" or "tasks"), with their origin.

    In order: that of the checkout or the installed package, those of plug-in packages, ./folder,
    and `extra`; the last two are the user's, with the origin "".
    """
    package = Path(__file__).parent
    shipped = [package / folder, package.parent / folder]
    ours = next((path for path in shipped if path.is_dir()), shipped[0])
    brought = {path: str(plugin) for path, plugin in plugin_folders(folder).items()}
    found: dict[Path, str] = {}
    for path, origin in ({ours: "clearbench"} | brought | {Path.cwd() / folder: ""}).items():
        found.setdefault(path.resolve(), origin)
    for path in map(Path, extra):
        # removed first, so that it moves to the end, where a card wins over earlier ones
        found.pop(path.resolve(), None)
        found[path.resolve()] = ""
    return {path: origin for path, origin in found.items() if path.is_dir()}


def check_folders(argument: str, folders: Iterable[Path]) -> None:
    """Raise BadArgument for a folder of cards that doesn't exist; `argument` is its parameter."""
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise BadArgument(argument, str(folder), "no such folder")


def check_name(card: CardFile) -> None:
    """Raise BadCard for a file whose stem can't be a card's name."""
    if not NAME.fullmatch(card.name):
        raise BadCard(
            f"{card.path}: a card's file name may have letters, digits, dots, dashes and "
            "underscores; rename the file"
        )


def list_cards(folder: str, extra: Iterable[Path] = ()) -> dict[str, CardFile]:
    """Return every card by name, in alphabetical order.

    A card in a folder of the user replaces others of its name. If clearbench and plug-in packages
    have cards of one name, the first is returned, with the others as its rivals.
    """
    cards: dict[str, CardFile] = {}
    for place, origin in card_folders(folder, extra).items():
        for path in sorted(place.glob("*.toml")):
            card, first = CardFile(path.stem, path, origin), cards.get(path.stem)
            if origin and first is not None:
                card = replace(first, rivals=(*first.rivals, card))
            cards[path.stem] = card
    return dict(sorted(cards.items()))


def refuse_rivals(noun: str, folder: str, card: CardFile) -> None:
    """Raise BadCard, with the paths, if several packages have a card of this name."""
    if card.rivals:
        places = "; ".join(f"{one.path} ({one.origin})" for one in (card, *card.rivals))
        raise BadCard(
            f'several {noun} cards are called "{card.name}": {places}; '
            f"give the path of one of them, or copy it into ./{folder}"
        )


def find_card(noun: str, folder: str, name: str, extra: Iterable[Path] = ()) -> CardFile:
    """Find a card by name, or by the path of its file; `noun` is for errors: "encoder", "task".

    Raises UnknownName with the nearest names, BadCard if several packages have such a card.
    """
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        return CardFile(path.stem, path.resolve())
    known = list_cards(folder, extra)
    if name not in known:
        command = "models" if folder == "registry" else folder
        more = f" (`clearbench {command} list` shows all {len(known)})"
        raise UnknownName.among(noun, name, known, more)
    refuse_rivals(noun, folder, known[name])
    return known[name]


@dataclass(frozen=True)
class Readable(Generic[Found]):
    """The valid cards, and the errors of the others."""

    found: tuple[Found, ...]
    broken: tuple[str, ...]


def read_all(names: Iterable[str], find: Callable[[str], Found]) -> Readable[Found]:
    """Find every card of `names`; a card that breaks its rules doesn't stop the others."""
    found, broken = [], []
    for name in names:
        try:
            found.append(find(name))
        except BadCard as error:
            broken.append(str(error))
    return Readable(tuple(found), tuple(broken))


def digest(path: Path) -> str:
    """Return the sha256 of a card's bytes."""
    return hashlib.sha256(read_bytes(path, MOST_MB)).hexdigest()
