"""Published split files: refused if a patient is on two sides, or repaired on request."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from clearbench.errors import BadCohort, name_some

SIDES = ("train", "val", "test")  # of equal counts the first side wins


@dataclass(frozen=True)
class SplitRow:
    """One row of a split file: its owner (a patient or a scan) and its side."""

    owner: str
    side: str


@dataclass(frozen=True)
class PublishedSplit:
    """The only side of every owner, and a note on moved rows ("" if none was moved)."""

    side: dict[str, str]
    moved: str = ""


def check_split(
    rows: Sequence[SplitRow], source: str, *, owner: str = "patient", repair: bool = False
) -> PublishedSplit:
    """Return the side of every owner; no row is dropped.

    With `repair`, all rows of an owner go to the side that has most of them; of equal sides, train
    comes first, then val. Without it, raises BadCohort if owners are on two sides.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts[row.owner][row.side] += 1
    both = sorted(name for name, sides in counts.items() if len(sides) > 1)
    if both and not repair:
        raise BadCohort(
            f"{source}: {_some(both, counts, owner)}. Repair it with repair_split=True "
            "(`clearbench cohort build … --repair-split`): all rows of a "
            f"{owner} move to the side that has most of them"
        )
    side = {name: max(SIDES, key=lambda s: found[s]) for name, found in counts.items()}
    moved = sum(counts[name].total() - counts[name][side[name]] for name in both)
    note = f"{source}: {_some(both, counts, owner)}; moved {moved} of {len(rows)} rows"
    return PublishedSplit(side, note if both else "")


def _some(names: Sequence[str], counts: dict[str, Counter[str]], owner: str) -> str:
    """Return the number of owners on two sides and the first few names."""
    shown = name_some([f"{name} ({' and '.join(sorted(counts[name]))})" for name in names])
    several = f"{len(names)} {owner}s are" if len(names) > 1 else f"1 {owner} is"
    return f"{several} on two sides of the split: {shown}"
