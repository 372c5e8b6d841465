"""The proof: every file is searched for ids, by its name, its texts, and its bytes."""

import bz2
import csv
import gzip
import json
import lzma
import mmap
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
import pyarrow.parquet

from clearbench.errors import BadStore
from clearbench.store.catalogue.texts import catalogue_texts
from clearbench.store.features import file_texts
from clearbench.store.forgetting.mentions import Mentions

OnFile = Callable[[int, int], None]
NESTED = 3  # a compressed file in a compressed file, and so on
COMPRESSED: MappingProxyType[str, Callable[[bytes], bytes]] = MappingProxyType(
    {".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress}
)
MANY = "cell"  # the place of a text that is in no column


@dataclass(frozen=True)
class Searched:
    """The number of files that were searched, and where an id was found: file and what it has."""

    files: int
    found: tuple[str, ...]


def search(
    folders: Sequence[Path], mentions: Mentions, skip: Path, on_file: OnFile | None = None
) -> Searched:
    """Search every file and folder below some folders, hidden ones too, except `skip`."""
    places = sorted({path for folder in folders for path in folder.rglob("*") if path != skip})
    found = []
    files = 0
    for number, path in enumerate(places, start=1):
        what = mentions.in_file_name(path.name)
        if what:
            found.append(f"{path}: its name has {what}")
        elif path.is_file():
            what = _in_file(path, path.name, mentions, NESTED)
            found += [f"{path}: has {what}"] if what else []
        files += path.is_file()
        if on_file is not None:
            on_file(number, len(places))
    return Searched(files, tuple(found))


def _in_file(path: Path, name: str, mentions: Mentions, nested: int) -> str:
    """Return the first id in a file that is, or was, called `name`; "" if there is none."""
    for column, text in _texts(path, name):
        what = mentions.in_cell(column, text)
        if what:
            return what
    if path.stat().st_size:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            what = mentions.in_bytes(raw)
        if what:
            return what
    return _in_compressed(path, name, mentions, nested) if nested else ""


def _texts(path: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield every text in a file with its column or attribute; nothing for unknown formats.

    A file that is damaged, or only looks like its format, is searched by its bytes alone.
    """
    readers: dict[str, Callable[[Path], Iterator[tuple[str, str]]]] = {
        ".parquet": _parquet,
        ".h5": file_texts,
        ".duckdb": catalogue_texts,
        ".csv": _csv,
        ".json": _json,
    }
    read = readers.get(Path(name).suffix)
    try:
        yield from read(path) if read else ()
    except (BadStore, OSError, ValueError, RecursionError, csv.Error, pa.ArrowException):
        return


def _parquet(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the different texts of a table, and its metadata."""
    table = pyarrow.parquet.ParquetFile(path).read()
    yield from ((MANY, value.decode()) for value in (table.schema.metadata or {}).values())
    for name in table.column_names:
        yield MANY, name
        column = table.column(name)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            yield from ((name, text) for text in column.unique().to_pylist() if text is not None)
        elif pa.types.is_nested(column.type):
            yield from ((name, str(value)) for value in column.to_pylist())


def _csv(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the cells of a table with their columns."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        for row in rows:
            yield from zip(header, row, strict=False)
            yield from ((MANY, cell) for cell in row[len(header) :])


def _json(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the texts of JSON with their keys."""
    yield from _json_texts(MANY, json.loads(path.read_text(encoding="utf-8")))


def _json_texts(key: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield the texts in a JSON value; those of a list have its key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield MANY, name
            yield from _json_texts(name, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _json_texts(key, inner)


def _in_compressed(path: Path, name: str, mentions: Mentions, nested: int) -> str:
    """Return the first id in what a file has compressed, or in the names of an archive."""
    if zipfile.is_zipfile(path):
        return _in_archive(path, mentions, nested)
    decompress = COMPRESSED.get(Path(name).suffix)
    if decompress is None:
        return ""
    try:
        content = decompress(path.read_bytes())
    except (OSError, ValueError, EOFError, zlib.error, lzma.LZMAError):
        return ""  # only its name says that it is compressed
    return _in_content(content, Path(name).stem, mentions, nested - 1)


def _in_archive(path: Path, mentions: Mentions, nested: int) -> str:
    """Return the first id in an archive: in the name or the content of a member."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                name = Path(member).name
                content = archive.read(member)
                what = mentions.in_file_name(name) or _in_content(
                    content, name, mentions, nested - 1
                )
                if what:
                    return f"{what} (in {member})"
    except (zipfile.BadZipFile, RuntimeError, zlib.error):
        return ""  # its bytes were searched
    return ""


def _in_content(content: bytes, name: str, mentions: Mentions, nested: int) -> str:
    """Search some content as the file that it was."""
    with tempfile.TemporaryDirectory(prefix="clearbench-search-") as folder:
        path = Path(folder) / "content"
        path.write_bytes(content)
        return _in_file(path, name, mentions, nested)
