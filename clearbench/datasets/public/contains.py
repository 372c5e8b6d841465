"""Which public data set contains the patients of which other one, from contains.toml."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Self

from pydantic import Field, model_validator

from clearbench.cards import Card, read_card

TABLE = Path(__file__).with_name("contains.toml")

UNREAD = "not read in a source:"

Kind = Literal["scans", "drawn", "plain", "figures", "web", "mixture"]
Share = Literal["all", "some", "possible"]
Overlap = Literal["yes", "possible", "none"]


class Fact(Card):
    """Where a fact is from.

    read  the day on which the source was read; False: the fact is known, and wasn't read there
    says  what the source says, in our words; "" if it wasn't read
    seen  how the fact was seen in the images themselves
    """

    source: str
    read: date | Literal[False]
    says: str = ""
    seen: str = ""

    @model_validator(mode="after")
    def _says_what_was_read(self) -> Self:
        if bool(self.read) != bool(self.says):
            raise ValueError("a source that was read has `says`, one that wasn't (false) has none")
        return self

    @property
    def cited(self) -> str:
        """Return the source, with how the fact is known."""
        how = "read in" if self.read else "seen in the images of" if self.seen else UNREAD
        return f"{how} {self.source}"


class KnownDataSet(Fact):
    """A data set with all of its names; contains.toml explains the values of `kind`."""

    name: str
    aliases: tuple[str, ...] = ()
    kind: Kind


class Holding(Fact):
    """How many of `part`'s patients are in `whole`."""

    whole: str
    part: str
    share: Share


class ContainsTable(Card):
    """The whole table; every name in `holds` is the name of a data set."""

    dataset: tuple[KnownDataSet, ...] = Field(min_length=1)
    holds: tuple[Holding, ...] = ()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        names = [plain(name) for item in self.dataset for name in (item.name, *item.aliases)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"names of two data sets: {', '.join(twice)}")
        used = {name for row in self.holds for name in (row.whole, row.part)}
        unknown = sorted(used - {item.name for item in self.dataset})
        if unknown:
            raise ValueError(f"no data set is called {', '.join(unknown)}")
        return self


@dataclass(frozen=True)
class Relation:
    """Whether two data sets share patients, and the sources of that, each with how it is known."""

    overlap: Overlap
    sources: tuple[str, ...] = ()


def plain(name: str) -> str:
    """Return a data set's name in lower case, without spaces and punctuation."""
    return re.sub(r"[\W_]+", "", name).lower()


@lru_cache(maxsize=1)
def contains_table() -> ContainsTable:
    """Read the table; raises BadCard if it contradicts itself."""
    return read_card(TABLE, ContainsTable)


@lru_cache(maxsize=1)
def _by_name() -> Mapping[str, KnownDataSet]:
    """Return the data sets by all of their names, in plain form."""
    known = contains_table().dataset
    return MappingProxyType(
        {plain(name): item for item in known for name in (item.name, *item.aliases)}
    )


def find_data_set(name: str) -> KnownDataSet | None:
    """Return the data set of any of its names; None if the table doesn't have it."""
    return _by_name().get(plain(name))


def relation(one: KnownDataSet, other: KnownDataSet) -> Relation:
    """Return whether two data sets share patients, as far as the table shows.

    "yes": one contains the other, or both contain the same third set. "possible": only some
    patients of a set are shared, or no source was found, or one of the two is of a vague kind.
    """
    if one.name == other.name:
        return Relation("yes", (one.cited,))
    kinds = {one.kind, other.kind}
    if kinds & {"drawn", "plain"}:
        return Relation("none")
    first, second = _parts(one.name), _parts(other.name)
    shared = [_joined(first[name], second[name]) for name in first.keys() & second.keys()]
    certain = [found for found in shared if found.overlap == "yes"]
    if kinds != {"scans"} and not certain:
        vague = one if one.kind != "scans" else other
        return Relation("possible", (vague.cited,))
    # of several relations, the one with the fewest sources is the easiest to check
    return min(certain or shared, key=lambda found: len(found.sources), default=Relation("none"))


@dataclass(frozen=True)
class _Part:
    """A data set within another: the share of its patients, and the sources that link both."""

    share: Share
    sources: tuple[str, ...]


def _parts(name: str) -> dict[str, _Part]:
    """Return every data set within one (itself too), each with its most certain share."""
    order = ("all", "some", "possible")
    found = {name: _Part("all", ())}
    open_names = [name]
    while open_names:
        whole = open_names.pop()
        for row in contains_table().holds:
            if row.whole != whole:
                continue
            link = found[whole]
            # "some" of "some" may be no patient at all
            share = row.share if link.share == "all" else "possible"
            known = found.get(row.part)
            if known is None or order.index(share) < order.index(known.share):
                found[row.part] = _Part(share, (*link.sources, row.cited))
                open_names.append(row.part)
    return found


def _joined(first: _Part, second: _Part) -> Relation:
    """Return the relation through one common part: certain only if one set has all of it."""
    shares = {first.share, second.share}
    sure = "all" in shares and "possible" not in shares
    sources = tuple(dict.fromkeys((*first.sources, *second.sources)))
    return Relation("yes" if sure else "possible", sources)
