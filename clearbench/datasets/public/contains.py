"""Which public data set holds which other one's patients, as contains.toml tells it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Self

from pydantic import Field, model_validator

from clearbench.cards import Card, read_card

TABLE = Path(__file__).with_name("contains.toml")

Kind = Literal["scans", "drawn", "plain", "figures", "web", "mixture"]
Share = Literal["all", "some", "possible"]
Overlap = Literal["yes", "possible", "none"]


class KnownDataSet(Card):
    """A data set, under all its names; contains.toml says what the kinds mean."""

    name: str
    aliases: tuple[str, ...] = ()
    kind: Kind
    source: str


class Holding(Card):
    """How many of `part`'s patients are in `whole`, and who says so."""

    whole: str
    part: str
    share: Share
    source: str


class ContainsTable(Card):
    """The whole table; every name in `holds` is one of a data set."""

    dataset: tuple[KnownDataSet, ...] = Field(min_length=1)
    holds: tuple[Holding, ...] = ()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        names = [plain(name) for item in self.dataset for name in (item.name, *item.aliases)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"names of two data sets: {', '.join(twice)}")
        used = {name for row in self.holds for name in (row.whole, row.part)}
        strange = sorted(used - {item.name for item in self.dataset})
        if strange:
            raise ValueError(f"no data set is called {', '.join(strange)}")
        return self


@dataclass(frozen=True)
class Relation:
    """Whether two data sets share patients, and the sources that say so."""

    overlap: Overlap
    sources: tuple[str, ...] = ()


def plain(name: str) -> str:
    """Fold case, spaces and marks of a data set's name."""
    return re.sub(r"[\W_]+", "", name).lower()


@lru_cache(maxsize=1)
def contains_table() -> ContainsTable:
    """Read the table; raises BadCard if it contradicts itself."""
    return read_card(TABLE, ContainsTable)


@lru_cache(maxsize=1)
def _by_name() -> Mapping[str, KnownDataSet]:
    """Return the data sets by every folded name of theirs."""
    known = contains_table().dataset
    return MappingProxyType(
        {plain(name): item for item in known for name in (item.name, *item.aliases)}
    )


def find_data_set(name: str) -> KnownDataSet | None:
    """Find a data set by any of its names; None if the table has none of that name."""
    return _by_name().get(plain(name))


def relation(one: KnownDataSet, other: KnownDataSet) -> Relation:
    """Tell whether two data sets share patients, as far as the table goes.

    It is "yes" if one is in the other, or both hold the same third one; "possible" if only some
    of the patients on the way are shared, or nobody says, or one of the two is vague.
    """
    if one.name == other.name:
        return Relation("yes", (one.source,))
    kinds = {one.kind, other.kind}
    if kinds & {"drawn", "plain"}:
        return Relation("none")
    mine, theirs = _held(one.name), _held(other.name)
    ways = [_joined(mine[name], theirs[name]) for name in mine.keys() & theirs.keys()]
    certain = [way for way in ways if way.overlap == "yes"]
    if kinds != {"scans"} and not certain:
        vague = one if one.kind != "scans" else other
        return Relation("possible", (vague.source,))
    return min(certain or ways, key=lambda way: len(way.sources), default=Relation("none"))


@dataclass(frozen=True)
class _Way:
    """How a data set holds another: the share of its patients, and the sources on the way."""

    share: Share
    sources: tuple[str, ...]


def _held(name: str) -> dict[str, _Way]:
    """Return every data set that one holds, itself included, and the surest way to it."""
    order = ("all", "some", "possible")
    found = {name: _Way("all", ())}
    open_names = [name]
    while open_names:
        whole = open_names.pop()
        for row in contains_table().holds:
            if row.whole != whole:
                continue
            way = found[whole]
            share = row.share if way.share == "all" else "possible"
            known = found.get(row.part)
            if known is None or order.index(share) < order.index(known.share):
                found[row.part] = _Way(share, (*way.sources, row.source))
                open_names.append(row.part)
    return found


def _joined(mine: _Way, theirs: _Way) -> Relation:
    """Judge two ways to the same data set: only if one holds all of it do both share patients."""
    shares = {mine.share, theirs.share}
    sure = "all" in shares and "possible" not in shares
    sources = tuple(dict.fromkeys((*mine.sources, *theirs.sources)))
    return Relation("yes" if sure else "possible", sources)
