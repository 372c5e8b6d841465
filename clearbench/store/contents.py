"""Everything that a file says: its bytes, its texts in any format, and what it has compressed.

It is for searches, so a format is known by its first bytes, whatever the file is called.
"""

import bz2
import csv
import gzip
import html
import io
import json
import lzma
import mmap
import re
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet

from clearbench.files import scratch
from clearbench.scans.dicom.identifiers import header_texts
from clearbench.store.catalogue.texts import database_texts
from clearbench.store.hdf5_texts import hdf5_texts
from clearbench.store.seal import HDF5

NESTED = 4  # a compressed file in a compressed file, and so on
MOST_BYTES = 2**33  # that one file may unpack to, with all files inside it
MOST_TEXT = 2**26  # bytes of a text file that is read as text; of a larger one, the bytes are
PART = 2**20
HEAD = 8192  # bytes by which a format is known
CELL = "cell"  # the place of a text that is in no column
NAME = "name"  # the place of the name of a file in an archive
SEALED = MappingProxyType(
    {
        b"%PDF": "a PDF, whose text is compressed",
        b"7z\xbc\xaf\x27\x1c": "a 7z archive",
        b"Rar!": "a RAR archive",
        b"(\xb5/\xfd": "compressed with Zstandard",
        b"\x04\x22\x4d\x18": "compressed with LZ4",
        b"\xff\x06\0\0sNaPpY": "compressed with Snappy",
        b"LZIP\x01": "compressed with lzip",
        b"MSCF\0": "a cabinet of Windows",
        b"PACK\0\0\0": "a pack of git, which has earlier files too",
        b"Obj\x01": "an Avro file, which may be compressed",
        b"$FL2@(#)": "an SPSS file, whose texts may be compressed",
        b"$FL3@(#)": "an SPSS file, whose texts are compressed",
    }
)
MOST_SAID = 200  # letters of a library's sentence
MOST_PIXELS = 2**26
TOO_MUCH = "it unpacks to far too much"


@dataclass(frozen=True)
class Piece:
    """One thing that a file says: some text, or all bytes of the file or of a file inside it.

    inside  the names of the archives' members that lead to it, "" for the file itself
    column  the column, key or attribute of a text; CELL without one, NAME for a member's name
    """

    inside: str
    column: str
    content: "str | mmap.mmap"

    @property
    def text(self) -> str:
        """Return the text; "" for bytes."""
        return self.content if isinstance(self.content, str) else ""


OnGap = Callable[[str, str], None]


@dataclass
class _Room:
    """The bytes that one file may still unpack to, with all files inside it."""

    left: int


Unpack = Callable[[Path, str, OnGap, _Room], Iterator[tuple[str, Path]]]


def pieces(path: Path, name: str, on_gap: OnGap) -> Iterator[Piece]:
    """Yield everything that a regular file says which is, or was, called `name`.

    `on_gap` gets the place and the reason of what can't be read: encrypted, damaged, or unpacking
    to far too much. Raises OSError if the file itself can't be read.
    """
    yield from _pieces(path, name, on_gap, "", 0, _Room(MOST_BYTES))


def _pieces(
    path: Path, name: str, on_gap: OnGap, inside: str, depth: int, room: _Room
) -> Iterator[Piece]:
    """Yield everything that a file says, and the files inside it."""
    if not path.stat().st_size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        head = raw[:HEAD]
        for column, text in _texts(path, name, head, partial(on_gap, inside)):
            yield Piece(inside, column, text)
        yield Piece(inside, CELL, raw)
    why = _why_sealed(head)
    if why:
        on_gap(inside, why)
    unpack = _unpacker(path, head)
    if unpack is None:
        return
    if depth == NESTED:
        on_gap(inside, f"compressed more than {NESTED} times")
        return
    yield from _inside(unpack, name, on_gap, inside, depth + 1, room)


def _why_sealed(head: bytes) -> str:
    """Return why a file has texts that can't be read, by its first bytes; "" if it has none."""
    # of a MATLAB file, the kind of its first variable, in either order of bytes
    if head.startswith(b"MATLAB 5.0") and head[128:132] in (b"\x0f\0\0\0", b"\0\0\0\x0f"):
        return "a MATLAB file, whose variables are compressed"
    if _is_lzw(head):
        return "compressed with compress"
    return next((why for magic, why in SEALED.items() if head.startswith(magic)), "")


def _is_lzw(head: bytes) -> bool:
    """Tell whether a file is one of `compress`: numbers may begin with its two bytes by chance.

    The third byte gives the width of codes, 9 to 16 bits, with two bits unused. The first code has
    9 bits and is a letter, so its highest bit is 0.
    """
    if len(head) < 5 or head[:2] != b"\x1f\x9d":
        return False
    return not head[2] & 0x60 and 9 <= head[2] & 0x1F <= 16 and not head[4] & 1


def _inside(
    unpack: Unpack, name: str, on_gap: OnGap, inside: str, depth: int, room: _Room
) -> Iterator[Piece]:
    """Yield what the files inside a file say, and their names."""
    with scratch("search") as folder:
        target = folder / "content"
        report = partial(_report, on_gap, inside)
        for member, content in unpack(target, name, report, room):
            place = f"{inside}/{member}" if inside else member
            yield Piece(inside, NAME, member)
            yield from _pieces(content, Path(member).name, on_gap, place, depth, room)


def _report(on_gap: OnGap, inside: str, member: str, why: str) -> None:
    """Report what can't be read in a file that may be inside another."""
    on_gap("/".join(filter(None, (inside, member))), why)


def _texts(
    path: Path, name: str, head: bytes, on_damage: Callable[[str], None]
) -> Iterator[tuple[str, str]]:
    """Yield every text in a file with its column or attribute.

    Of a file that is damaged, or only looks like its format, only the bytes are left.
    """
    read = next((read for fits, read in FORMATS if fits(head, name)), None)
    try:
        for column, text in read(path) if read else _plain(path, name):
            yield column, text
            plain = _unescaped(text)
            if plain != text:
                yield column, plain
    except Exception as error:  # noqa: BLE001  whatever a parser says of a stranger's file
        if read is not None:
            said = (str(error).splitlines() or [""])[0][:MOST_SAID]
            on_damage(f"damaged, so that only its bytes could be searched ({said})")


def _starts(*magics: bytes, at: int = 0) -> Callable[[bytes, str], bool]:
    """Return a test of a file's first bytes."""
    return lambda head, _name: head[at:].startswith(magics)


def _is_hdf5(head: bytes, _name: str) -> bool:
    """Tell whether a file is HDF5, which may begin with 512 or more bytes of others: the seal."""
    return any(head.startswith(HDF5, start) for start in (0, 512, 1024, 2048, 4096))


def _parquet(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the different texts of a table, and its metadata."""
    with pyarrow.parquet.ParquetFile(path) as file:
        yield from _schema_texts(file.schema_arrow)
        for batch in file.iter_batches():
            yield from _batch_texts(batch)


def _arrow(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the different texts of an Arrow file."""
    with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as file:
        yield from _schema_texts(file.schema)
        for number in range(file.num_record_batches):
            yield from _batch_texts(file.get_batch(number))


def _schema_texts(schema: pa.Schema) -> Iterator[tuple[str, str]]:
    """Yield names of columns, and metadata."""
    yield from ((CELL, value.decode("latin-1")) for value in (schema.metadata or {}).values())
    yield from ((CELL, name) for name in schema.names)


def _batch_texts(batch: pa.RecordBatch) -> Iterator[tuple[str, str]]:
    """Yield the different values of some rows as text; not those of floats."""
    for field, column in zip(batch.schema, batch.columns, strict=True):
        kind = field.type
        if pa.types.is_nested(kind):
            if not _is_floats(kind):
                yield from ((field.name, str(value)) for value in column.to_pylist())
        elif not pa.types.is_floating(kind):
            found = column.unique() if not pa.types.is_dictionary(kind) else column.dictionary
            yield from ((field.name, _as_text(v)) for v in found.to_pylist() if v is not None)


def _is_floats(kind: pa.DataType) -> bool:
    """Tell whether a nested type holds floats alone, as embeddings do."""
    inner = [kind.field(number).type for number in range(kind.num_fields)]
    return all(_is_floats(t) if pa.types.is_nested(t) else pa.types.is_floating(t) for t in inner)


def _as_text(value: object) -> str:
    """Return a value as text; bytes by their letters."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _plain(path: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield the texts of a file that is text: JSON by its keys, tables by their columns."""
    if path.stat().st_size > MOST_TEXT:
        return
    content = path.read_bytes()
    text = _decoded(content)
    if text is None:
        return
    suffix = Path(name).suffix.lower()
    if suffix in (".json", ".ipynb", ".geojson"):
        yield from _json_texts(CELL, json.loads(text))
    elif suffix in (".csv", ".tsv"):
        yield from _csv(text)
    yield CELL, text


ESCAPES = frozenset("\\%&")
ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|%([0-9a-fA-F]{2})")


def _unescaped(text: str) -> str:
    """Return a text with the letters for which it has escapes: "\\u00e4", "%C3", "&auml;"."""
    return html.unescape(ESCAPE.sub(_letter, text)) if ESCAPES.intersection(text) else text


def _letter(found: "re.Match[str]") -> str:
    """Return the letter of an escape, as JSON, Python and addresses of the web write it."""
    return chr(int(found[1] or found[2] or found[3], 16))


def _decoded(content: bytes) -> str | None:
    """Return the text of a file of text, in UTF-8, UTF-16 or Latin-1; None for other files."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # control codes other than line ends: no text
        return (
            None if re.search(rb"[\0-\x08\x0e-\x1f]", content[:PART]) else content.decode("cp1252")
        )


def _csv(text: str) -> Iterator[tuple[str, str]]:
    """Yield the cells of a table with their columns."""
    rows = csv.reader(io.StringIO(text, newline=""))
    header = next(rows, [])
    for row in rows:
        yield from zip(header, row, strict=False)
        yield from ((CELL, cell) for cell in row[len(header) :])


def _json_texts(key: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield the texts in a JSON value; those of a list have its key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, int) and not isinstance(value, bool):
        yield key, str(value)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield CELL, name
            yield from _json_texts(name, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _json_texts(key, inner)


def _image(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the texts next to the pixels of an image."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(path)
    with image:
        if image.width * image.height <= MOST_PIXELS:
            image.load()  # PNG may have texts behind its pixels
        values = [*image.info.items(), *image.getexif().items()]
        yield from ((str(key), _as_text(value)) for key, value in values)


FORMATS: tuple[tuple[Callable[[bytes, str], bool], Any], ...] = (
    (_starts(b"PAR1"), _parquet),
    (_starts(b"ARROW1"), _arrow),
    (_is_hdf5, hdf5_texts),
    (_starts(b"DUCK", at=8), database_texts),
    (_starts(b"DICM", at=128), header_texts),
    (_starts(b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*"), _image),
)


def _unpacker(path: Path, head: bytes) -> Unpack | None:
    """Return what yields the names and contents of the files inside a file; None without any."""
    streams: dict[bytes, Callable[[Path], Any]] = {
        b"\x1f\x8b\x08": gzip.open,
        b"BZh": bz2.open,
        b"\xfd7zXZ\0": lzma.open,
        b"]\0\0": lzma.open,
    }
    opened = next((each for magic, each in streams.items() if head.startswith(magic)), None)
    if opened is bz2.open and head[4:10] != b"1AY&SY":
        opened = None
    if opened is not None:
        return partial(_stream, opened, path)
    if _is_zlib(head):
        return partial(_zlib, path)
    if head[257:262] == b"ustar":
        return partial(_tar, path)
    # DICOM of more than a few bytes may hold a zip's marks by chance
    return partial(_zip, path) if head.startswith(b"PK") or _ends_as_zip(path) else None


def _is_zlib(head: bytes) -> bool:
    """Tell whether a file is bare zlib, as every object of git is; its mark has only two bytes."""
    if head[:1] != b"x" or len(head) < 2 or int.from_bytes(head[:2], "big") % 31:
        return False
    try:
        return bool(zlib.decompressobj().decompress(head))
    except zlib.error:
        return False


def _ends_as_zip(path: Path) -> bool:
    """Tell whether a file is an archive that begins with something else."""
    try:
        return path.suffix.lower() == ".zip" and zipfile.is_zipfile(path)
    except OSError:
        return False


def _stream(
    opened: Callable[[Path], Any], path: Path, target: Path, name: str, on_gap: OnGap, room: _Room
) -> Iterator[tuple[str, Path]]:
    """Yield the only file inside a compressed one."""
    member = Path(name).stem or "content"
    try:
        with opened(path) as source:
            whole = _copy(source, target, room)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        on_gap("", f"damaged ({error})")
        return
    if whole:
        yield member, target
    else:
        on_gap("", TOO_MUCH)


def _zlib(
    path: Path, target: Path, _name: str, on_gap: OnGap, room: _Room
) -> Iterator[tuple[str, Path]]:
    """Yield what is compressed in a file of bare zlib."""
    inflate = zlib.decompressobj()
    with path.open("rb") as source, target.open("wb") as file:
        while not inflate.eof:
            part = inflate.unconsumed_tail or source.read(PART)
            try:
                content = inflate.decompress(part, PART)
                if not part and not content:
                    raise zlib.error("it is cut off")
            except zlib.error as error:
                on_gap("", f"damaged ({error})")
                break
            room.left -= len(content)
            if room.left < 0:
                on_gap("", TOO_MUCH)
                return
            file.write(content)
    yield "content", target


def _zip(
    path: Path, target: Path, _name: str, on_gap: OnGap, room: _Room
) -> Iterator[tuple[str, Path]]:
    """Yield the files of a zip archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            comment = archive.comment
            for info in archive.infolist():
                yield from _member(archive, info, target, on_gap, room)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        on_gap("", f"a damaged archive ({error})")
        return
    if comment:
        target.write_bytes(comment)
        yield "comment", target


def _member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, on_gap: OnGap, room: _Room
) -> Iterator[tuple[str, Path]]:
    """Yield one file of a zip archive."""
    if info.is_dir():
        target.write_bytes(b"")
        yield info.filename, target
        return
    try:
        with archive.open(info) as source:
            whole = _copy(source, target, room)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, zlib.error) as error:
        on_gap(info.filename, f"can't be unpacked ({error})")
        return
    if whole:
        yield info.filename, target
    else:
        on_gap(info.filename, TOO_MUCH)


def _tar(
    path: Path, target: Path, _name: str, on_gap: OnGap, room: _Room
) -> Iterator[tuple[str, Path]]:
    """Yield the files of a tar archive."""
    try:
        with tarfile.open(path, "r:") as archive:
            for info in archive:
                source = archive.extractfile(info) if info.isreg() else None
                target.write_bytes(b"")
                if source is not None and not _copy(source, target, room):
                    on_gap(info.name, TOO_MUCH)
                    continue
                yield info.name, target
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        on_gap("", f"a damaged archive ({error})")


def _copy(source: IO[bytes], target: Path, room: _Room) -> bool:
    """Copy a stream to a file; False if there is no room for all of it."""
    with target.open("wb") as file:
        while part := source.read(PART):
            room.left -= len(part)
            if room.left < 0:
                return False
            file.write(part)
    return True
