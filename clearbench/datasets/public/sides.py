"""Split files made by others: refused where a patient is on two sides, repaired when asked."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from clearbench.errors import BadCohort

SIDES = ("train", "val", "test")
SHOWN = 5


@dataclass(frozen=True)
class SplitRow:
    """One row of a split file: whose it is (a patient, or a scan), and its side."""

    owner: str
    side: str


@dataclass(frozen=True)
class Split:
    """The one side of every owner, and what was moved to make it so (empty if nothing)."""

    side: dict[str, str]
    moved: str = ""


def check_split(
    rows: Sequence[SplitRow], source: str, *, owner: str = "patient", repair: bool = False
) -> Split:
    """Return the side of every owner; no row is ever dropped.

    With `repair`, all rows of an owner go to the side that holds most of them; of equal sides,
    train comes first, then val. Without it, raises BadCohort that counts and names the owners who
    are on two sides.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts[row.owner][row.side] += 1
    both = sorted(name for name, sides in counts.items() if len(sides) > 1)
    if both and not repair:
        raise BadCohort(
            f"{source}: {_some(both, counts, owner)}, so its test would know its training; "
            f"--repair-split moves all rows of a {owner} to the side that holds most of them"
        )
    side = {name: max(SIDES, key=lambda s: found[s]) for name, found in counts.items()}
    moved = sum(counts[name].total() - counts[name][side[name]] for name in both)
    note = f"{source}: {_some(both, counts, owner)}; moved {moved} of {len(rows)} rows"
    return Split(side, note if both else "")


def _some(names: Sequence[str], counts: dict[str, Counter[str]], owner: str) -> str:
    """Count the owners on two sides and name the first."""
    shown = ", ".join(f"{name} ({' and '.join(sorted(counts[name]))})" for name in names[:SHOWN])
    more = ", …" if len(names) > SHOWN else ""
    several = f"{len(names)} {owner}s are" if len(names) > 1 else f"1 {owner} is"
    return f"{several} on two sides of the split: {shown}{more}"
