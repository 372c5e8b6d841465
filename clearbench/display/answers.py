"""Answers of SQL: a table on the screen, or a CSV, JSON or Parquet file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clearbench.display.console import show_rows, warn, write_for_programs
from clearbench.errors import BadArgument, counted
from clearbench.files import write_output
from clearbench.store.answers import as_csv, as_json, for_screen, write_parquet

FORMATS = ("table", "csv", "json", "parquet")
MOST_ROWS = 50


def check_format(fmt: str, target: Path | None) -> None:
    """Raise BadArgument for another format, or Parquet without a file."""
    if fmt not in FORMATS:
        raise BadArgument("format", fmt, f"must be one of {', '.join(FORMATS)}")
    if fmt == "parquet" and target is None:
        raise BadArgument("format", fmt, "needs a file: -o FILE.parquet")


def show_answer(table: Any, fmt: str, target: Path | None) -> None:
    """Print or write the rows of a query, an Arrow table.

    Raises BadArgument for another format, or Parquet without a file.
    """
    check_format(fmt, target)
    if target is None:
        _screen(table) if fmt == "table" else _print_pieces(_texts(table, fmt))
        return
    if fmt == "parquet":
        write_parquet(table, target)
    else:
        write_output(target, lambda draft: _write_pieces(_texts(table, fmt), draft))
    warn(f"written: {target} ({counted(table.num_rows, 'row')})")


def _texts(table: Any, fmt: str) -> Iterator[str]:
    """Return a table as JSON or CSV, in pieces."""
    return as_json(table) if fmt == "json" else as_csv(table)


def _print_pieces(pieces: Iterator[str]) -> None:
    """Print pieces of text as they come."""
    for piece in pieces:
        write_for_programs(piece)


def _write_pieces(pieces: Iterator[str], draft: Path) -> None:
    """Write pieces of text into a file."""
    # as they are: CSV has line ends of its own
    with draft.open("w", encoding="utf-8", newline="") as file:
        file.writelines(pieces)


def _screen(table: Any) -> None:
    """Print the first rows, and the number of further rows."""
    show_rows(for_screen(table.slice(0, MOST_ROWS)))
    if table.num_rows > MOST_ROWS:
        more = f"{table.num_rows - MOST_ROWS:,} more rows"
        warn(f"… {more}; --format csv, json or parquet shows all")
    elif not table.num_rows:
        warn(f"no rows ({', '.join(table.column_names)})")
