"""Answers of SQL: a table on the screen, or a CSV, JSON or Parquet file."""

import sys
from pathlib import Path
from typing import Any

from clearbench.display.console import save_text, show_rows, warn
from clearbench.errors import BadArgument
from clearbench.store.answers import as_csv, as_json, write_parquet

FORMATS = ("table", "csv", "json", "parquet")
MOST_ROWS = 50


def show_answer(table: Any, fmt: str, target: Path | None) -> None:
    """Print or write the rows of a query, an Arrow table.

    Raises BadArgument for another format, or Parquet without a file.
    """
    if fmt not in FORMATS:
        raise BadArgument("format", fmt, f"must be one of {', '.join(FORMATS)}")
    if fmt == "parquet":
        if target is None:
            raise BadArgument("format", fmt, "needs a file: -o FILE.parquet")
        write_parquet(table, target)
        warn(f"written: {target} ({table.num_rows:,} rows)")
    elif fmt == "table" and target is None:
        _screen(table)
    else:
        text = as_json(table) if fmt == "json" else as_csv(table)
        save_text(text, target) if target else sys.stdout.write(text)


def _screen(table: Any) -> None:
    """Print the first rows, and the number of further rows."""
    show_rows(table.slice(0, MOST_ROWS).to_pylist())
    if table.num_rows > MOST_ROWS:
        more = f"{table.num_rows - MOST_ROWS:,} more rows"
        warn(f"… {more}; --format csv, json or parquet shows all")
    elif not table.num_rows:
        warn(f"no rows ({', '.join(table.column_names)})")
