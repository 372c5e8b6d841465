"""The technical columns of a scan: how it was made, never who was scanned.

Readers fill them from headers, cohorts and SQL show them, and the floor of technical tags is
trained on some of them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class TechnicalColumn:
    """One technical column.

    number       True for numbers, False for text
    from_header  True if it is read from a scan's header, False if only a cohort table can have it
    in_floor     True if the floor of technical tags uses it; a change changes the floor's scores
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
    """Return a header's facts as text cells of a cohort; None where the header has no value."""
    values = {column.name: getattr(facts, column.name, None) for column in FROM_HEADER}
    return {name: None if value in (None, "") else str(value) for name, value in values.items()}
