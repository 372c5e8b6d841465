"""The technical columns of a scan, one row each: how it was taken, never who was scanned.

Readers fill them from headers, cohorts and SQL show them, and the floor of technical tags learns
from some of them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class TechnicalColumn:
    """One column.

    number       its values are numbers; text otherwise
    from_header  readers find it in a scan's header; otherwise only a cohort's table can have it
    in_floor     the floor of technical tags learns from it (another choice changes its scores)
    """

    name: str
    number: bool = False
    from_header: bool = True
    in_floor: bool = True


TECHNICAL = (
    TechnicalColumn("thickness_mm", number=True),
    TechnicalColumn("kernel"),
    TechnicalColumn("contrast"),
    TechnicalColumn("manufacturer"),
    TechnicalColumn("model"),
    TechnicalColumn("kvp", number=True),
    TechnicalColumn("gantry_tilt_deg", number=True, in_floor=False),
    TechnicalColumn("scanner", from_header=False),
)
NAMES = tuple(column.name for column in TECHNICAL)
FROM_HEADER = tuple(column for column in TECHNICAL if column.from_header)
FLOOR_NUMBERS = tuple(c.name for c in TECHNICAL if c.in_floor and c.number)
FLOOR_WORDS = tuple(c.name for c in TECHNICAL if c.in_floor and not c.number)


def facts_row(facts: object) -> dict[str, str | None]:
    """Return what a header says as the text of a cohort's columns; null where it says nothing."""
    values = {column.name: getattr(facts, column.name, None) for column in FROM_HEADER}
    return {name: None if value in (None, "") else str(value) for name, value in values.items()}
