"""Tables on disk (CSV of any dialect, Parquet) ↔ Arrow tables of text."""

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from clearbench.bounded import read_bytes
from clearbench.cohort.columns import DATE, OTHER_NAMES, columns_of
from clearbench.cohort.formulas import guard_formulas, without_guard
from clearbench.errors import BadCohort, BadRequest, name_some
from clearbench.files import write_output

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".parquet"})
DELIMITERS = ",;\t|"
OFFICE = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # how .xlsx and .xls begin
INDEX = "Unnamed: 0"
MOST_MB, MOST_COLUMNS = 2048, 5000
EXACT = MappingProxyType({16: 2**11, 32: 2**24, 64: 2**53})  # whole numbers of a float, by bits
BLANK = frozenset({"", "nan", "null", "?", "#n/a", "#na"})
UNSURE = frozenset({"na", "n/a", "none"})  # unknown, or a word with a meaning: emphysema, none


def is_table(path: Path) -> bool:
    """Return True if a path is a table, not a scan, by its suffix."""
    return path.suffix.lower() in TABLE_SUFFIXES


def read_table(path: Path, *, keep_words: bool = False) -> pa.Table:
    """Read CSV (with any usual delimiter) or Parquet, every column as text.

    Blank cells are null, and so are the words None, NA and n/a, unless `keep_words`. Raises
    BadCohort if the file is missing, empty or isn't such a table.
    """
    if path.is_dir():
        raise BadCohort(f"{path}: a folder; give a table (.csv or .parquet)")
    if not path.is_file():
        raise BadCohort(f"{path}: no such file")
    columns = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    twice = [name for name, count in Counter(name for name, _ in columns).items() if count > 1]
    if twice:
        raise BadCohort(f"{path}: more than one column is called {', '.join(twice)}")
    if not columns or not columns[0][1]:
        raise BadCohort(f"{path}: the table has no rows")
    blank = BLANK if keep_words else BLANK | UNSURE
    return pa.table({name: _as_text(values, blank) for name, values in columns})


def _read_parquet(path: Path) -> list[tuple[str, list[object]]]:
    """Return names and values of a Parquet file's columns."""
    try:
        table = pyarrow.parquet.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise BadCohort(f"{path}: not a readable Parquet file ({error})") from error
    columns = [(name.strip(), table.column(name)) for name in table.column_names]
    for name, column in columns:
        _refuse_lost_digits(name, column, path)
    return [(name, column.to_pylist()) for name, column in columns]


def _refuse_lost_digits(name: str, column: pa.ChunkedArray, path: Path) -> None:
    """Raise BadCohort for whole numbers that floats can't hold: two ids may have become one."""
    if not pa.types.is_floating(column.type):
        return
    is_id = any(columns_of(role, [name]) for role in OTHER_NAMES if role != DATE)
    limit = EXACT[column.type.bit_width if is_id else 64]
    lost = [value for value in column.to_pylist() if value and value.is_integer()]
    lost = [value for value in lost if abs(value) >= limit]
    if lost:
        raise BadCohort(
            f"{path}: column {name} has whole numbers as floats, too large for their last digits "
            f"to be right: {name_some(sorted({str(int(value)) for value in lost}))}; write it "
            "again with this column as text (in pandas: read_csv(…, dtype=str))"
        )


def _read_csv(path: Path) -> list[tuple[str, list[object]]]:
    """Return names and cells of a CSV file's columns, without blank columns that have no name."""
    # newline="" keeps the line breaks inside quoted cells
    lines = list(io.StringIO(_decoded(path), newline=""))
    if lines and re.fullmatch(r"sep=.\s*", lines[0]):  # Excel's own line, not a header
        lines = lines[1:]
    header = next((line for line in lines if line.strip()), "")
    try:
        # of equal counts, the first delimiter wins: the comma
        reader = csv.reader(lines, delimiter=max(DELIMITERS, key=header.count))
        numbered = [
            (reader.line_num, [without_guard(cell) for cell in row])
            for row in reader
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise BadCohort(f"{path}: not a readable CSV file ({error})") from error
    names = [name.strip() for name in numbered[0][1]] if numbered else []
    if len(names) > MOST_COLUMNS:
        raise BadCohort(
            f"{path}: {len(names):,} columns; a table of scans has at most {MOST_COLUMNS}"
        )
    rows = [_fitted(row, len(names), f"{path}, line {line}") for line, row in numbered[1:]]
    columns = [(name, [row[index] for row in rows]) for index, name in enumerate(names)]
    if columns and not columns[0][0] and _are_row_numbers(columns[0][1]):
        columns[0] = (INDEX, columns[0][1])  # as pandas calls its index, read again
    if any(not name and any(cells) for name, cells in columns):
        raise BadCohort(f"{path}: a column has cells but no name in the first line; name it")
    return [(name, list(cells)) for name, cells in columns if name]


def _are_row_numbers(cells: Sequence[str]) -> bool:
    """Tell whether cells are whole numbers, each once, as those of a table's index."""
    return len(set(cells)) == len(cells) and all(re.fullmatch(r" *\d+ *", cell) for cell in cells)


def is_index(name: str, cells: Sequence[str | None]) -> bool:
    """Tell whether a column without a name of its own only numbers the rows."""
    texts = [cell for cell in cells if cell is not None]
    return re.fullmatch(r"Unnamed: \d+(\.\d+)*", name) is not None and _are_row_numbers(texts)


def _decoded(path: Path) -> str:
    """Return a file's text; UTF-8, or UTF-16 as Excel writes it."""
    content = read_bytes(path, MOST_MB)
    if content.startswith(OFFICE):
        raise BadCohort(f"{path}: an Excel file; save it as CSV UTF-8")
    # -sig: Excel puts a byte order mark before UTF-8
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadCohort(f"{path}: not in UTF-8; save it as CSV UTF-8") from error


def _fitted(row: list[str], width: int, where: str) -> list[str]:
    """Return a row of exactly `width` cells; extra cells must be blank."""
    if len(row) < width or any(cell.strip() for cell in row[width:]):
        raise BadCohort(f"{where}: {len(row)} cells under {width} column names")
    return row[:width]


def _as_text(values: list[object], blank: Collection[str]) -> pa.Array:
    """Turn values into text; the words in `blank` become null."""
    texts = [None if value is None else _text(value) for value in values]
    return pa.array([None if t is None or t.lower() in blank else t for t in texts], pa.string())


def _text(value: object) -> str:
    """Return one cell as text; 1.0 and True become 1."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def write_table(table: pa.Table, path: Path, *, private: bool = False, group: bool = False) -> Path:
    """Write CSV or Parquet, by the suffix of `path`: the whole file or nothing; or into a pipe.

    A `private` table is its owner's alone, with `group` its group's too. Raises BadRequest for
    another suffix, StorageFull if the disk refuses.
    """
    if not is_table(path):
        raise BadRequest(f"{path}: write a table as .csv or .parquet")
    write = partial(_write_as, path.suffix.lower(), table)
    write_output(path, write, private=private, group=group)
    return path


def _write_as(suffix: str, table: pa.Table, draft: Path) -> None:
    """Write Parquet or CSV."""
    if suffix == ".parquet":
        pyarrow.parquet.write_table(table, draft)
    else:
        plain = guard_formulas(table)
        pyarrow.csv.write_csv(plain, draft, pyarrow.csv.WriteOptions(quoting_style="needed"))
