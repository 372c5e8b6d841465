"""Answers go to standard output, progress and problems to standard error."""

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from clearbench.errors import plain_text
from clearbench.files import write_output

SHOWN = 8
GAP = 2  # between two columns of a table
LONGEST_NAME = 40
WIDTH_IN_FILES = 240  # columns, where there is no terminal to fit


def _console(*, stderr: bool) -> Console:
    """Return a console as wide as its terminal; in a file or pipe it doesn't fold lines."""
    stream = sys.stderr if stderr else sys.stdout
    # a caller may have closed it, and then there is none
    in_terminal = stream is not None and stream.isatty()
    return Console(stderr=stderr, highlight=False, width=None if in_terminal else WIDTH_IN_FILES)


out = _console(stderr=False)
err = _console(stderr=True)


def say(text: str) -> None:
    """Print one line of an answer, without markup; nothing in it moves the terminal's cursor."""
    # soft_wrap: rich would fold long lines, and commands could not be copied whole
    out.print(plain_text(text), markup=False, soft_wrap=True)


def warn(text: str) -> None:
    """Print one line to standard error, without markup."""
    err.print(plain_text(text), markup=False, soft_wrap=True)


def say_lines(text: str) -> None:
    """Print a text of ours of several lines."""
    for line in text.splitlines():
        say(line)


def dump(value: Any) -> None:
    """Print records as JSON."""
    text = json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n"
    # a file's name may have bytes that are no text
    write_for_programs(text.encode("utf-8", "backslashreplace").decode())


def write_for_programs(text: str) -> None:
    """Write a part of JSON or CSV to standard output, in UTF-8 whatever the terminal can show.

    Another letter in its place would be another value.
    """
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None and sys.stdout.encoding.lower() != "utf-8":
        reconfigure(encoding="utf-8")
    sys.stdout.write(text)


def show_rows(
    rows: Sequence[Mapping[str, Any]], title: str = "", *, more: str | None = None
) -> None:
    """Print rows as a table, without columns that are blank in every row.

    With `more`, columns that don't fit are left out from the right, and a line names them and says
    where they are; without it, cells are cut.
    """
    columns = dict.fromkeys(name for row in rows for name in row)
    used = [name for name in columns if any(row.get(name) not in (None, "", ()) for row in rows)]
    fitting = used if more is None else _that_fit(used, rows)
    _print_table(rows, fitting, title)
    if len(fitting) < len(used):
        warn(f"not shown in this width: {', '.join(used[len(fitting) :])}; {more}")


def _that_fit(used: list[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the first columns whose cells fit the terminal, at least one."""
    wide = [max([len(name), *(len(cell(row.get(name))) for row in rows)]) + GAP for name in used]
    ends = [sum(wide[: count + 1]) - GAP for count in range(len(used))]
    return [name for name, end in zip(used, ends, strict=True) if end <= out.width] or used[:1]


def _print_table(rows: Sequence[Mapping[str, Any]], used: list[str], title: str) -> None:
    """Print some columns; the name in the first one is the last thing to shorten."""
    table = Table(
        title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold"
    )
    for name in used:
        longest = max((len(cell(row.get(name))) for row in rows), default=0)
        numeric = all(isinstance(row.get(name), int | float | None) for row in rows)
        folds = name == used[-1] and not numeric
        justify: Literal["left", "right"] = "right" if numeric else "left"
        table.add_column(
            name,
            justify=justify,
            no_wrap=not folds,
            overflow="fold" if folds else "ellipsis",
            min_width=min(longest, LONGEST_NAME) if name == used[0] else None,
        )
    for row in rows:
        table.add_row(*(cell(row.get(name)) for name in used))
    out.print(table)


def cell(value: Any) -> str:
    """Return one cell's text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return _short_list(value)
    return plain_text(str(value)).replace("[", "\\[")  # rich reads [ as markup


def _short_list(values: Sequence[Any]) -> str:
    """Return a list's text; of a long one the first values and its length."""
    texts = [cell(value) for value in values[:4]]
    more = f", … {len(values)} values" if len(values) > 4 else ""
    return ", ".join(texts) + more


def show_list(lines: Sequence[str], title: str, shown: int = SHOWN) -> None:
    """Print a title and the first lines, and how many more there are."""
    if lines:
        warn(f"{title}:")
        for line in lines[:shown]:
            warn(f"  {line}")
        if len(lines) > shown:
            warn(f"  … and {len(lines) - shown} more")


def store_option(store: Path | str) -> str:
    """Return what a command that is proposed needs to find a store; "" for the default one."""
    default = os.environ.get("CLEARBENCH_STORE") or "clearbench-store"
    return "" if str(store) == default else f" --store {shlex.quote(str(store))}"


def save_text(text: str, target: Path) -> None:
    """Write text to a file, and print the file's name."""
    # a file's name may have bytes that are no text
    content = text.encode("utf-8", "backslashreplace")
    write_output(target, lambda draft: draft.write_bytes(content))
    warn(f"written: {target}")
