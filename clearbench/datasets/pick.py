"""One series per study, chosen by an SQL preference over the series table."""

import re
from dataclasses import dataclass

import pyarrow as pa

from clearbench.cohort.ranking import best_series, deciding_keys
from clearbench.errors import BadArgument

DEFAULT_PICK = (
    "ORDER BY orientation = 'axial' DESC, dynamic ASC, thickness_mm >= 1 DESC NULLS LAST, "
    "thickness_mm ASC NULLS LAST, soft_kernel DESC NULLS LAST"
)


@dataclass(frozen=True)
class Picked:
    """The chosen scan ids, in study order.

    ties     for each study with equally good series, their scan ids
    decided  for each study with several series, the key of ORDER BY that decided, "n_slices" if
             only the number of slices did, "" if nothing did
    without  studies without a series that is readable and meets the condition
    """

    scan_ids: tuple[str, ...]
    ties: tuple[tuple[str, ...], ...]
    without: tuple[str, ...]
    decided: dict[str, str]


def pick_series(table: pa.Table, pick: str = DEFAULT_PICK) -> Picked:
    """Choose one readable series per study_id: the first by `pick`, `[WHERE …] [ORDER BY …]`.

    Of equally good series, the one with most slices is taken, then the smallest scan_id.
    Raises BadArgument if `pick` has another form, BadQuery if DuckDB refuses it.
    """
    where, order = _parts(pick)
    chosen = best_series(table, where, order)
    studies = sorted(set(table.column("study_id").to_pylist()))
    return Picked(
        scan_ids=tuple(ids[0] for ids in chosen.values()),
        ties=tuple(ids for ids in chosen.values() if len(ids) > 1),
        without=tuple(study for study in studies if study not in chosen),
        decided=deciding_keys(table, where, order),
    )


def _parts(pick: str) -> tuple[str, str]:
    """Split `[WHERE …] [ORDER BY …]` into its condition and its keys."""
    match = re.fullmatch(
        r"\s*(?:where\s+(?P<where>.+?))?\s*(?:order\s+by\s+(?P<order>.+?))?\s*", pick, re.I | re.S
    )
    if match is None or not pick.strip():
        raise BadArgument("pick", pick, 'write "WHERE … ORDER BY …" over the series table')
    return match["where"] or "true", match["order"] or "1"
