"""TOML card → frozen checked record, and the lookup of cards by name."""

import hashlib
import importlib.metadata
import os
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from clearbench.errors import BadCard, UnknownName, suggestion

PLUGIN_GROUP = "clearbench.encoders"
SHOWN = 5


class Card(BaseModel):
    """A frozen record whose unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, protected_namespaces=())


AnyCard = TypeVar("AnyCard", bound=Card)
Found = TypeVar("Found")


@dataclass(frozen=True)
class CardFile:
    """Where a card lies; its stem is its name."""

    name: str
    path: Path


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
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(tomli_w.dumps(facts), encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


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
    if item["type"] in ("json_invalid", "model_type"):
        return "cut off or changed, it is no JSON record any more"
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


def card_folders(folder: str, extra: Iterable[Path] = ()) -> list[Path]:
    """List the folders that may hold cards of one kind ("registry" or "tasks").

    The checkout's or the installed package's, then those of plug-in packages, then ./folder, then
    `extra`. Later folders win over earlier ones.
    """
    package = Path(__file__).parent
    shipped = [package / folder, package.parent / folder]
    own = next((path for path in shipped if path.is_dir()), shipped[0])
    found = [own, *_plugin_folders(folder), Path.cwd() / folder, *(Path(path) for path in extra)]
    return list(dict.fromkeys(path.resolve() for path in found if path.is_dir()))


def _plugin_folders(folder: str) -> list[Path]:
    """Find the card folders of plug-in packages without importing them."""
    found = []
    for entry in importlib.metadata.entry_points(group=PLUGIN_GROUP):
        package = entry.value.partition(":")[0].partition(".")[0]
        files = entry.dist.files if entry.dist is not None and package != "clearbench" else None
        prefix = f"{package}/{folder}/"
        cards = [file for file in files or [] if file.as_posix().startswith(prefix)]
        found += [Path(str(file.locate())).parent for file in cards[:1]]
    return found


def list_cards(folder: str, extra: Iterable[Path] = ()) -> dict[str, CardFile]:
    """Return every card by name, in alphabetical order."""
    cards: dict[str, CardFile] = {}
    for place in card_folders(folder, extra):
        cards |= {path.stem: CardFile(path.stem, path) for path in sorted(place.glob("*.toml"))}
    return dict(sorted(cards.items()))


def find_card(kind: str, folder: str, name: str, extra: Iterable[Path] = ()) -> CardFile:
    """Find a card by name, or by the path of its file.

    Raises UnknownName with the nearest names.
    """
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        return CardFile(path.stem, path.resolve())
    known = list_cards(folder, extra)
    if name not in known:
        command = "models" if folder == "registry" else folder
        more = f" (`clearbench {command} list` shows all {len(known)})"
        raise UnknownName.among(kind, name, known, more)
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
