"""One series per study, by an SQL preference over the series table."""

import re
from dataclasses import dataclass

import pyarrow as pa

from clearbench.cohort.ranking import best_series
from clearbench.errors import BadRequest

DEFAULT_PICK = (
    "ORDER BY orientation = 'axial' DESC, thickness_mm >= 1 DESC NULLS LAST, "
    "thickness_mm ASC NULLS LAST, soft_kernel DESC NULLS LAST"
)


@dataclass(frozen=True)
class Picked:
    """The chosen scan ids, in study order, and for each tie the ids that were equally good."""

    scan_ids: tuple[str, ...]
    ties: tuple[tuple[str, ...], ...]
    without: tuple[str, ...]  # studies none of whose series is readable and wanted


def pick_series(table: pa.Table, pick: str = DEFAULT_PICK) -> Picked:
    """Take one readable series per study_id: the first by `pick`, `[WHERE …] [ORDER BY …]`.

    Equally good series are ties; of those, the one with most slices, then the smallest scan_id.
    Raises BadRequest or BadQuery if `pick` is anything else than that over the series table.
    """
    where, order = _parts(pick)
    chosen = best_series(table, where, order)
    studies = sorted(set(table.column("study_id").to_pylist()))
    return Picked(
        scan_ids=tuple(ids[0] for ids in chosen.values()),
        ties=tuple(ids for ids in chosen.values() if len(ids) > 1),
        without=tuple(study for study in studies if study not in chosen),
    )


def _parts(pick: str) -> tuple[str, str]:
    """Split `[WHERE …] [ORDER BY …]` into its condition and its keys."""
    match = re.fullmatch(
        r"\s*(?:where\s+(?P<where>.+?))?\s*(?:order\s+by\s+(?P<order>.+?))?\s*", pick, re.I | re.S
    )
    if match is None or not pick.strip():
        raise BadRequest(f'--pick takes "WHERE … ORDER BY …" over the series table, not {pick!r}')
    return match["where"] or "true", match["order"] or "1"
