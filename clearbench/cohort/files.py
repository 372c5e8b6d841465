"""Tables on disk (CSV of any dialect, Parquet) ↔ Arrow tables of text."""

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from clearbench.bounded import open_bytes
from clearbench.cohort.columns import DATE, OTHER_NAMES, columns_of
from clearbench.cohort.formulas import guard_formulas, without_guard
from clearbench.errors import BadCohort, BadRequest, name_some
from clearbench.files import write_output
from clearbench.parquet import read_parquet

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".parquet"})
DELIMITERS = ",;\t|"
OFFICE = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # how .xlsx and .xls begin
INDEX = "Unnamed: 0"
MOST_MB, MOST_COLUMNS = 2048, 5000
LONGEST_ROW, LONGEST_CELL, LONGEST_NAME = 4_000_000, 32_767, 500  # letters
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
    try:
        columns = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    except FileNotFoundError as error:
        raise BadCohort(f"{path}: no such file") from error
    except OSError as error:
        raise BadCohort(f"{path}: can't be read ({error.strerror or error})") from error
    twice = [name for name, count in Counter(name for name, _ in columns).items() if count > 1]
    if twice:
        raise BadCohort(f"{path}: more than one column is called {name_some(twice)}")
    if not columns or not len(columns[0][1]):
        raise BadCohort(f"{path}: the table has no rows")
    blank = BLANK if keep_words else BLANK | UNSURE
    return pa.table({name: _blanked(texts, blank) for name, texts in columns})


def _read_parquet(path: Path) -> list[tuple[str, pa.Array]]:
    """Return names and cells of a Parquet file's columns, as text."""
    try:
        table = read_parquet(path)
    except ValueError as error:
        raise BadCohort(f"{path}: not a readable Parquet file ({error})") from error
    columns = [(name.strip(), table.column(name)) for name in _names_of(table, path)]
    for name, column in columns:
        _refuse_lost_digits(name, column, path)
    return [(name, _texts(column, f"{path}: column {name}")) for name, column in columns]


def _names_of(table: pa.Table, path: Path) -> list[str]:
    """Return the names of columns; raises BadCohort for two of one name."""
    twice = [name for name, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise BadCohort(f"{path}: more than one column is called {name_some(twice)}")
    for name in table.column_names:
        _check_name(name, path)
    return list(table.column_names)


def _check_name(name: str, path: Path) -> None:
    """Raise BadCohort for what can be no name of a column."""
    if len(name) > LONGEST_NAME or "\0" in name:
        raise BadCohort(
            f"{path}: the first line has a name of {len(name):,} letters; a name of a column has "
            f"at most {LONGEST_NAME}, and no NUL"
        )


def _texts(column: pa.ChunkedArray, where: str) -> pa.Array:
    """Return a column's cells as text; of equal cells only one is turned into text.

    Raises BadCohort for lists, tables and bytes, and for what has no text, such as a date in the
    year 300,000.
    """
    kind = column.type
    if pa.types.is_nested(kind):
        raise BadCohort(f"{where} has a list or table in each cell ({kind}); write text")
    try:
        whole = _plain(column).combine_chunks().dictionary_encode()
        if isinstance(whole, pa.ChunkedArray):
            whole = whole.combine_chunks()
        words = [_text(value, where) for value in whole.dictionary.to_pylist()]
    except BadCohort:
        raise
    # whatever stands for no date, time or text
    except Exception as error:
        first = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise BadCohort(f"{where}: its cells ({kind}) can't be read as text ({first})") from error
    return pa.array(words, pa.string()).take(whole.indices)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column in a type that Arrow can sort by its values; bytes become text."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.cast(column.type.storage_type)
    kind = str(column.type)
    if kind == "halffloat":
        return column.cast(pa.float32())
    if "binary" in kind or kind.endswith("view"):
        return column.cast(pa.large_binary()).cast(pa.large_string())
    return column


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


def _read_csv(path: Path) -> list[tuple[str, pa.Array]]:
    """Return names and cells of a CSV file's columns, without blank columns that have no name."""
    rows = _csv_rows(path)
    _, head = next(rows, (0, []))
    names = [name.strip() for name in head]
    for name in names:
        _check_name(name, path)
    cells: list[list[str]] = [[] for _ in names]
    for line, row in rows:
        for place, cell in enumerate(_fitted(row, len(names), f"{path}, line {line}")):
            cells[place].append(_text(cell, f"{path}, line {line}"))
    columns = list(zip(names, cells, strict=True))
    if columns and not columns[0][0] and _are_row_numbers(columns[0][1]):
        columns[0] = (INDEX, columns[0][1])  # as pandas calls its index, read again
    if any(not name and any(cells) for name, cells in columns):
        raise BadCohort(f"{path}: a column has cells but no name in the first line; name it")
    return [(name, pa.array(cells, pa.string())) for name, cells in columns if name]


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file that aren't blank, with their lines.

    The file is read line by line, so that one without line ends, or with a quote that is never
    closed, is refused before it fills the memory.
    """
    with open_bytes(path, MOST_MB) as file:
        # newline="" keeps the line breaks inside quoted cells
        text = io.TextIOWrapper(file, _encoding(file, path), newline="")
        lines = _Lines(text, path)
        try:
            header = lines.head()
            # of equal counts, the first delimiter wins: the comma
            reader = csv.reader(lines, delimiter=max(DELIMITERS, key=header.count))
            for row in reader:
                lines.letters = 0
                if len(row) > MOST_COLUMNS:
                    raise BadCohort(
                        f"{path}: {len(row):,} columns in line {lines.number}; a table of scans "
                        f"has at most {MOST_COLUMNS}"
                    )
                if any(cell.strip() for cell in row):
                    yield lines.number, [without_guard(cell) for cell in row]
        except csv.Error as error:
            raise BadCohort(
                f"{path}: not a readable CSV file (line {lines.number}: {error})"
            ) from error
        except UnicodeDecodeError as error:
            raise BadCohort(f"{path}: not in UTF-8; save it as CSV UTF-8") from error


class _Lines:
    """The lines of a CSV file, without Excel's own first line; `letters` since the last row.

    Raises BadCohort for a row that has no end, and for bytes that are no text.
    """

    def __init__(self, text: io.TextIOWrapper, path: Path) -> None:
        self.text, self.path = text, path
        self.number = self.letters = 0
        self.first: list[str] = []

    def head(self) -> str:
        """Return the first line that isn't blank; it will be read again."""
        for line in self:
            if not re.fullmatch(r"sep=.\s*", line):  # Excel's own line, not a header
                self.letters = 0
                if line.strip():
                    self.first, self.number = [line], self.number - 1
                    return line
        return ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.first.pop() if self.first else self.text.readline(LONGEST_ROW)
        if not line:
            raise StopIteration
        self.number += 1
        self.letters += len(line)
        if self.letters >= LONGEST_ROW:
            raise BadCohort(
                f"{self.path}, line {self.number}: a row of more than {LONGEST_ROW:,} letters; is "
                "a quote not closed, or is this no CSV file?"
            )
        if "\0" in line:
            raise BadCohort(
                f"{self.path}, line {self.number}: it has a NUL, so it isn't a text file in "
                "UTF-8; save it as CSV UTF-8"
            )
        return line


def _are_row_numbers(cells: Sequence[str]) -> bool:
    """Tell whether cells are whole numbers, each once, as those of a table's index."""
    return len(set(cells)) == len(cells) and all(re.fullmatch(r" *\d+ *", cell) for cell in cells)


def is_index(name: str, cells: Sequence[str | None]) -> bool:
    """Tell whether a column without a name of its own only numbers the rows."""
    texts = [cell for cell in cells if cell is not None]
    return re.fullmatch(r"Unnamed: \d+(\.\d+)*", name) is not None and _are_row_numbers(texts)


def _encoding(file: BinaryIO, path: Path) -> str:
    """Return a file's encoding: UTF-8, or UTF-16 as Excel writes it."""
    start = file.read(4)
    file.seek(0)
    if start.startswith(OFFICE):
        raise BadCohort(f"{path}: an Excel file; save it as CSV UTF-8")
    # -sig: Excel puts a byte order mark before UTF-8
    return "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _fitted(row: list[str], width: int, where: str) -> list[str]:
    """Return a row of exactly `width` cells; extra cells must be blank."""
    if len(row) < width or any(cell.strip() for cell in row[width:]):
        raise BadCohort(f"{where}: {len(row)} cells under {width} column names")
    return row[:width]


def _blanked(texts: pa.Array, blank: Collection[str]) -> pa.Array:
    """Return texts in which the words of `blank` are null."""
    return pc.if_else(pc.is_in(pc.utf8_lower(texts), pa.array(blank, pa.string())), None, texts)


def _text(value: object, where: str) -> str:
    """Return one cell as text; 1.0 and True become 1. Raises BadCohort for one that is too long."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    if len(text) > LONGEST_CELL or "\0" in text:
        raise BadCohort(
            f"{where}: a cell of {len(text):,} letters; a cell has at most {LONGEST_CELL:,}, as in "
            "a spreadsheet, and no NUL"
        )
    return text


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
