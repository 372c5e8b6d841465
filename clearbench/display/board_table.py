"""A board as a table that fits its terminal: columns go before names are shortened."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from clearbench.board.rendering import HEADER, cells
from clearbench.board.tables import Row
from clearbench.errors import plain_text

INTERVAL = "95 % interval"
# The first goes first; tier, encoder, metric and rank stay.
OPTIONAL = (
    *("licence", "head, s", "parameters, M", "slices/s", "± seeds", "source", "head"),
    INTERVAL,
)
WORDS = ("tier", "encoder", "head", "licence", "source")  # left-aligned; numbers are not
GAP = 2  # columns of the terminal between two columns of the table
WHISKERS_FROM = 110  # a narrower terminal needs its room for columns
WHISKER_SHORTEST, WHISKER_LONGEST = 20, 40


def board_table(metric: str, rows: Sequence[Row], width: int) -> Table:
    """Return the rows as a table of at most `width` columns, with whiskers where there is room."""
    columns = _columns(metric, rows)
    axis = _axis(rows) if width >= WHISKERS_FROM else None
    whisker = GAP + WHISKER_SHORTEST if axis else 0
    for name in OPTIONAL:
        if _width(columns) + whisker > width:
            columns.pop(name, None)
    if axis and INTERVAL in columns:
        axis = axis.with_length(min(WHISKER_LONGEST, width - _width(columns) - GAP))
        columns = _after(columns, INTERVAL, axis.ends, list(map(axis.whisker, rows)))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(
            "" if name == "source" else name,
            justify="left" if name in WORDS or (axis and name == axis.ends) else "right",
            no_wrap=name != "encoder",
            overflow="fold",
        )
    for number, row in enumerate(rows):
        texts = [Text(plain_text(values[number])) for values in columns.values()]
        table.add_row(*texts, style="dim" if row.floor else None)
    return table


def _after(
    columns: dict[str, list[str]], place: str, name: str, values: list[str]
) -> dict[str, list[str]]:
    """Return the columns with one more, after the one called `place`."""
    items = list(columns.items())
    position = list(columns).index(place) + 1
    return dict([*items[:position], (name, values), *items[position:]])


def _columns(metric: str, rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return the cells of every column by its name, without columns that are blank throughout."""
    names = [name.format(metric=metric) for name in HEADER]
    by_name = dict(zip(names, map(list, zip(*map(cells, rows), strict=True)), strict=False))
    presets = by_name.pop("preset", [])
    by_name["head"] = [
        head if preset == "default" else f"{head} ({preset})"
        for head, preset in zip(by_name.get("head", []), presets, strict=True)
    ]
    by_name["source"] = ["published" if row.source == "published" else "" for row in rows]
    blank = {"", "–"}
    return {
        name: values
        for name, values in by_name.items()
        if name not in OPTIONAL or not blank.issuperset(values)
    }


def _width(columns: dict[str, list[str]]) -> int:
    """Return how wide a table of these columns is."""
    longest = [max(map(cell_len, (name, *values))) for name, values in columns.items()]
    return sum(longest) + GAP * (len(longest) - 1)


@dataclass(frozen=True)
class _Axis:
    """The axis that all whiskers of a board share, from `low` to `high`, `length` characters."""

    low: float
    high: float
    length: int = WHISKER_SHORTEST

    def with_length(self, length: int) -> "_Axis":
        """Return the same axis in another length."""
        return _Axis(self.low, self.high, length)

    @property
    def ends(self) -> str:
        """Return both ends as a header."""
        low, high = f"{self.low:.2f}", f"{self.high:.2f}"
        return low + high.rjust(self.length - len(low))

    def whisker(self, row: Row) -> str:
        """Draw a row's interval, `|---o--|` with o at the value."""
        text = [" "] * self.length
        if row.low is not None and row.high is not None:
            start, end = self._place(row.low), self._place(row.high)
            text[start : end + 1] = "-" * (end + 1 - start)
            text[start] = text[end] = "|"
        if row.value is not None:
            text[self._place(row.value)] = "o"
        return "".join(text)

    def _place(self, value: float) -> int:
        """Return the character at a value."""
        return round((value - self.low) / (self.high - self.low) * (self.length - 1))


def _axis(rows: Sequence[Row]) -> _Axis | None:
    """Return an axis over all intervals, its ends rounded outwards; None without intervals."""
    bounded = [row for row in rows if row.low is not None and row.high is not None]
    if not bounded:
        return None
    values = [
        value for row in rows for value in (row.low, row.value, row.high) if value is not None
    ]
    low, high = min(values), max(values)
    step = 10 ** math.floor(math.log10(max(high - low, 0.1))) / 2
    # round() keeps 0.6 / 0.05 = 11.999… from falling to the step below
    low = math.floor(round(low / step, 9)) * step
    high = math.ceil(round(high / step, 9)) * step
    return _Axis(low, max(high, low + step))
