"""Cells that a spreadsheet would run as a formula get an apostrophe, and lose it when read again.

Names and headers come from elsewhere; a cell that begins with =, +, - or @ can start a program on
the machine of who opens the table (CWE-1236).
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

# Without a letter or digit, as "--" for unknown, it runs nothing.
FORMULA = r"(?s)^('*[=+\-@\t\r].*[0-9A-Za-z])"
NUMBER = r"^[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?$|^[+-]?(inf(inity)?|nan)$"
GUARDED = re.compile(r"'+[=+\-@\t\r].*[0-9A-Za-z]", re.DOTALL)


def guard_formulas(table: pa.Table) -> pa.Table:
    """Return a table in which no text is a formula; numbers such as -5 stay."""
    fields = [field.with_name(_guarded_name(field.name)) for field in table.schema]
    # all at once: to set one column of thousands copies the list of all
    columns = [_guarded(column) for column in table.columns]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, table.schema.metadata))


def _guarded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column in which no text is a formula."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    risky = pc.match_substring_regex(column, FORMULA)
    number = pc.match_substring_regex(column, f"(?i){NUMBER}")
    guarded = pc.replace_substring_regex(column, FORMULA, r"'\1")
    return pc.if_else(pc.and_not(risky, number), guarded, column).cast(column.type)


def _guarded_name(name: str) -> str:
    """Return the name of a column, which a spreadsheet shows as a cell too."""
    return f"'{name}" if re.match(FORMULA, name) else name


def without_guard(cell: str) -> str:
    """Return a cell as it was before `guard_formulas`."""
    return cell[1:] if GUARDED.match(cell) else cell
