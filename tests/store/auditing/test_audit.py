"""An audit finds planted identifiers wherever they are, and shows none of them."""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import duckdb
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from pydicom.dataset import Dataset

from clearbench.errors import BadRequest
from clearbench.store.auditing.audit import Audit, audit
from clearbench.store.auditing.identifiers import Identifier, gather_identifiers
from clearbench.store.folder import open_store
from clearbench.store.seal import sealed

WriteCT = Callable[..., list[Path]]
NAME = "Oberlaender"


def look(place: Path, *texts: str, **more: object) -> Audit:
    return audit([place], texts=texts or (NAME,), **more)  # type: ignore[arg-type]


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def hdf5(write: Callable[[h5py.File], object], before: int = 0) -> bytes:
    """Return a file in which HDF5 leaves some bytes to others before its own."""
    memory = io.BytesIO()
    with h5py.File(memory, "w", userblock_size=before) as file:
        write(file)
    return memory.getvalue()


def archive(name: str, content: bytes, kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", kind) as inner:
        inner.writestr(name, content)
    return memory.getvalue()


def tar(name: str, content: bytes) -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as inner:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        inner.addfile(info, io.BytesIO(content))
    return memory.getvalue()


def npz(**arrays: NDArray[np.generic]) -> bytes:
    memory = io.BytesIO()
    np.savez_compressed(memory, **arrays)  # type: ignore[arg-type]
    return memory.getvalue()


def png(text: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", text * 50, zip=True)
    memory = io.BytesIO()
    Image.new("L", (4, 4)).save(memory, "PNG", pnginfo=info)
    return memory.getvalue()


def _long(file: h5py.File) -> None:
    # of a fixed length: others lie in a heap, which nothing compresses
    data = np.array([NAME.encode()] * 500)
    file.create_dataset("x", data=data, chunks=(100,), compression="gzip")


MANY = f"Frau {NAME}\n".encode() * 50
TABLE = parquet(pa.table({"x": [NAME] * 1000}))
HIDDEN = {
    "utf8.bin": b"\xff\0\1" + NAME.encode() + b"\xfe",
    "utf16.bin": b"\0" + NAME.encode("utf-16-le"),
    "utf16.txt": NAME.encode("utf-16"),
    "utf32.npy": b"\x93NUMPY\0" + np.array([NAME]).tobytes(),
    "upper.bin": b"\0" + NAME.upper().encode() + b"X",
    "umlaut.txt": b"Herr Oberl\xc3\xa4nder",
    "latin1.txt": b"Herr Oberl\xe4nder",
    "decomposed.txt": "Herr Oberla\u0308nder".encode(),
    "escaped.json": b'{"x": "Oberl\\u00e4nder"}',
    "entity.svg": b"<text>Oberl&auml;nder</text>",
    "address.txt": b"file:///x/Oberl%E4nder",
    "pickle.pt": pickle.dumps({"who": NAME}),
    "object-of-git": zlib.compress(b"blob 99\0" + MANY),
    "fast.zlib": zlib.compress(bytes(2**22) + MANY, 1),
    "alone.lzma": lzma.compress(MANY, format=lzma.FORMAT_ALONE),
    "a.parquet": TABLE,
    "dictionary.parquet": parquet(pa.table({"x": pa.array([NAME] * 99).dictionary_encode()})),
    "binary.parquet": parquet(pa.table({"x": [NAME.encode()] * 99})),
    "nested.parquet": parquet(pa.table({"x": [[{"y": NAME}]] * 99})),
    "column.parquet": parquet(pa.table({NAME: [1]})),
    "metadata.parquet": parquet(pa.table({"x": [1]}).replace_schema_metadata({"a": NAME})),
    "renamed.dat": TABLE,
    "attribute.h5": hdf5(lambda file: file.create_group("a/b").attrs.update(x=NAME)),
    "compressed.h5": hdf5(_long),
    "sealed.h5": sealed(hdf5(_long, 512)),
    "after 2048 bytes.h5": hdf5(_long, 2048),
    "escaped.h5": hdf5(lambda file: file.attrs.update(about=json.dumps({"x": "Oberl\u00e4nder"}))),
    "escaped.parquet": parquet(pa.table({"x": [json.dumps("Oberl\u00e4nder")]})),
    "name.h5": hdf5(lambda file: file.create_group(f"a/{NAME}")),
    "fixed.h5": hdf5(lambda file: file.create_dataset("x", data=np.array([NAME.encode()]))),
    "a.gz": gzip.compress(MANY),
    "a.bz2": bz2.compress(MANY),
    "a.xz": lzma.compress(MANY),
    "a.zip": archive("x.txt", MANY),
    "deep.zip": archive("b.zip", archive("c.gz", gzip.compress(TABLE))),
    "member.zip": archive(f"x/{NAME}/y.txt", b""),
    "a.tar.gz": tar("x.txt", MANY),
    "member.tgz": tar(f"{NAME}/y", b""),
    "a.npz": npz(who=np.array([NAME] * 50)),
    "a.png": png(NAME),
    f"{NAME}.txt": b"x",
    "Oberl\u00e4nder.txt": b"x",
    "Oberla\u0308nder.txt": b"x",
    f"scan_{NAME.lower()}_1.h5": b"",
    f".{NAME}.h5.host-1-0.tmp": b"",
}  # fmt: skip


@pytest.mark.parametrize("name", HIDDEN)
def test_a_name_is_found_wherever_it_is_and_never_shown(tmp_path: Path, name: str) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / name).write_bytes(HIDDEN[name])
    (tmp_path / "other.txt").write_text("nobody")
    done = look(tmp_path)
    assert done.findings
    assert {finding.kind for finding in done.findings} == {"given"}
    assert not done.clean
    assert "berl" not in str((done.findings, done.unsearched, done.skipped)).lower()
    assert look(tmp_path, "Unterlaender").clean


def test_a_database_is_searched(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "x.db")) as connection:
        connection.execute("CREATE SCHEMA s")
        connection.execute(
            f"CREATE TABLE s.t AS SELECT {{'a': ['Ober' || '{NAME[4:]}']}} AS b, 77123456 AS n, "
            "DATE '1960-02-01' AS d FROM range(500)"
        )
    assert look(tmp_path).findings
    assert look(tmp_path, "77123456").findings
    assert look(tmp_path, "1960-02-01").findings
    assert look(tmp_path, "77123457").clean


def test_numbers_in_tables_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(parquet(pa.table({"x": [77123456], "y": [0.77123456]})))
    assert look(tmp_path, "77123456").findings
    assert look(tmp_path, "7712345").clean


def test_a_damaged_table_is_no_clean_answer(tmp_path: Path) -> None:
    for name, content in (("a.parquet", TABLE), ("b.h5", HIDDEN["compressed.h5"])):
        (tmp_path / name).write_bytes(content[:-200])
    (tmp_path / "c.png").write_bytes(png(NAME)[:-30])
    done = look(tmp_path)
    assert len(done.unsearched) == 3
    assert all("only its bytes" in why for _, why in done.unsearched)


LZW = b"\x1f\x9d\x90a\xc4\x8c\x01"  # what `compress` writes of "abc"


def test_a_file_of_compress_is_no_clean_answer_and_numbers_like_it_are_one(tmp_path: Path) -> None:
    (tmp_path / "letter.Z").write_bytes(LZW)
    done = look(tmp_path)
    assert [why for _, why in done.unsearched] == ["compressed with compress"]
    (tmp_path / "letter.Z").unlink()
    widths = [byte for byte in range(256) if byte & 0x60 or not 9 <= byte & 0x1F <= 16]
    for width in widths:
        (tmp_path / f"{width}.bin").write_bytes(b"\x1f\x9d" + bytes([width]) + bytes(13))
    (tmp_path / "code.bin").write_bytes(b"\x1f\x9d\x90\xff\xff" + bytes(11))
    assert look(tmp_path).clean


def test_many_archives_in_archives_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clearbench.store.contents.MOST_BYTES", 2**22)
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as inner:
        for number in range(50):
            inner.writestr(f"{number}.zip", archive("x", bytes(2**19)))
    (tmp_path / "a.zip").write_bytes(memory.getvalue())
    assert not look(tmp_path).clean


@pytest.mark.parametrize(
    ("text", "inside", "found"),
    [
        ("Hans", "for Hans.", True),
        ("Hans", "HANS_2", True),
        ("Hans", "Hansestadt", False),
        ("Li Wu", "li wu", True),
        ("Li Wu", "li, x wu", False),
        ("Mueller", "Müller", True),
        ("Müller", "MUELLER", True),
        ("Müller", "Muller", True),
        ("Hans Mueller", "mueller_hans", False),
        ("Hans Mueller", "hans_mueller", True),
        ("1234567", "91234567", False),
        ("1234567", "12345678", False),
        ("1234567", "0.1234567", False),
        ("1234567", "MRN.1234567.h5", True),
        ("王小明", "患者王小明", True),
        ("MRN-12", "mrn_12", True),
    ],
)
def test_what_counts_as_the_same_text(tmp_path: Path, text: str, inside: str, found: bool) -> None:
    (tmp_path / "a.txt").write_text(inside, encoding="utf-8")
    assert bool(look(tmp_path, text).findings) == found


def test_what_is_behind_a_link_to_a_folder_is_searched_once(tmp_path: Path) -> None:
    place, disk = tmp_path / "place", tmp_path / "disk"
    place.mkdir()
    disk.mkdir()
    (disk / "a.txt").write_text(NAME)
    (disk / "back").symlink_to(place)
    for name in ("one", "two"):
        (place / name).symlink_to(disk)
    assert [finding.path for finding in look(place).findings] == [str(place / "one" / "a.txt")]
    (tmp_path / "link").symlink_to(place)
    assert look(tmp_path / "link").files == 1


def test_links_are_read(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (tmp_path / f"{NAME}.txt").write_text("x")
    (place / "link").symlink_to(tmp_path / f"{NAME}.txt")
    (place / "gone").symlink_to(tmp_path / "none")
    (place / "loop").symlink_to(place / "loop")
    os.mkfifo(place / "pipe")
    done = look(place)
    assert [(finding.where) for finding in done.findings] == ["where its link leads"]
    assert len(done.skipped) == 1
    assert NAME not in str(done)


def test_what_can_t_be_searched_is_said_and_is_no_clean_answer(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7 ...")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(MANY)[:-12])
    done = look(tmp_path)
    assert not done.clean
    assert not done.findings
    assert [why.split(" (")[0] for _, why in done.unsearched] == [
        "a PDF, whose text is compressed",
        "damaged",
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"PACK\0\0\0\x02" + zlib.compress(MANY), "a pack of git"),
        (b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\x01IM\x0f\0\0\0" + bytes(9), "a MATLAB file"),
        (b"$FL2@(#) SPSS DATA FILE", "an SPSS file"),
        (b"$FL3@(#) SPSS DATA FILE", "an SPSS file"),
        (b"Obj\x01\x04", "an Avro file"),
        (b"\xff\x06\0\0sNaPpY", "compressed with Snappy"),
        (zlib.compress(MANY * 999, 0)[:-9], "damaged"),
    ],
)
def test_other_compressed_files_are_said(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "a").write_bytes(content)
    [(_, said)] = look(tmp_path, "Nobody").unsearched
    assert said.startswith(why)


@pytest.mark.parametrize("content", [b"x^2 + y^2", b"x\x9c not zlib", b"x", b"MATLAB 5.0 is old"])
def test_a_file_that_only_begins_so_is_searched(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert look(tmp_path).clean


def test_a_reason_that_quotes_an_identifier_shows_none(tmp_path: Path) -> None:
    content = bytearray(archive(f"{NAME}.txt", MANY))
    for place in (6, content.index(b"PK\1\2") + 8):
        content[place] |= 1  # encrypted
    (tmp_path / "a.zip").write_bytes(content)
    done = look(tmp_path)
    [(path, why)] = done.unsearched
    assert "encrypted" in why
    assert NAME not in path + why
    # found in the reason of one file, and in no name of another
    (tmp_path / "b.zip").write_bytes(content[:-30])
    assert NAME not in str(look(tmp_path))


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clearbench.store.contents.MOST_BYTES", 2**20)
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(2**22)))
    (tmp_path / "b.zip").write_bytes(archive("x", bytes(2**22)))
    (tmp_path / "c").write_bytes(zlib.compress(bytes(2**22)))
    assert len(look(tmp_path).unsearched) == 3


def test_a_long_file_is_searched_to_its_end_and_over_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clearbench.store.auditing.finding.PART", 16)
    for start in range(40):
        (tmp_path / "a.bin").write_bytes(bytes(start) + NAME.encode() + bytes(9))
        assert look(tmp_path).findings


def test_places_and_what_to_look_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="no such file or folder"):
        look(tmp_path / "none")
    with pytest.raises(BadRequest, match="nothing to look for"):
        audit([tmp_path])


@pytest.fixture
def export(tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT) -> Path:
    """A folder of DICOM with identifiers in headers and names."""

    def edit(dataset: Dataset, index: int) -> None:
        del index
        dataset.PatientName = "Oberländer^Annegret Li"
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientBirthDate = "19600214"
        dataset.StudyDate = "20190305"
        dataset.ReferringPhysicianName = "Quast^Bodo"
        dataset.InstitutionName = "Klinikum Nirgendwo"
        dataset.InstitutionAddress = "Feldweg 7, 99999 Nirgendwo"
        dataset.StudyDescription = "CT Thorax"
        dataset.SeriesDescription = "Kontrolle Fr. Oberlaender"
        dataset.PatientID = "MRN-771234"
        dataset.AccessionNumber = "4711"
        item = Dataset()
        item.OperatorsName = "Zwiebel^Ida"
        dataset.RequestAttributesSequence = [item]

    folder = tmp_path / "export" / "OBERLAENDER_19600214" / "series_1"
    write_ct(folder, hu, kernel="Frau Oberlaender", edit=edit)
    return tmp_path / "export"


def test_identifiers_are_taken_from_headers_and_names(export: Path) -> None:
    wanted = gather_identifiers([export])
    found = {(one.kind, one.text) for one in wanted.identifiers}
    assert {
        ("name", "Oberländer"), ("name", "Annegret"), ("name", "Quast"), ("name", "Zwiebel"),
        ("name", "Bodo"), ("birth date", "19600214"), ("birth date", "14.02.1960"),
        ("birth date", "1960-02-14"), ("date", "20190305"), ("patient id", "MRN-771234"),
        ("accession number", "4711"), ("institution", "Klinikum Nirgendwo"),
        ("address", "Feldweg 7, 99999 Nirgendwo"), ("free text", "Kontrolle Fr. Oberlaender"),
        ("free text", "Frau Oberlaender"),
        ("name of a folder or file", "OBERLAENDER_19600214"),
        ("name of a folder or file", "OBERLAENDER"),
    } <= found  # fmt: skip
    assert sum(kind == "UID" for kind, _ in found) == 3 + 4  # study, series, frame; one per slice
    texts = {text for _, text in found}
    assert not texts & {"Li", "CT Thorax", "series_1", "B30f"}
    assert dict(wanted.left_out)["ordinary words (CT Thorax, Siemens)"] >= 1


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.csv", "note\nFrau Oberlaender\n", "name"),
        ("a.json", json.dumps({"day": "1960-02-14"}), "birth date"),
        ("keys.csv", "pseudonym,identifier\nx,4711\n", "accession number"),
        ("4711.h5", "", "accession number"),
        ("a.txt", "klinikum nirgendwo", "institution"),
    ],
)
def test_they_are_found_by_their_kind(
    export: Path, tmp_path: Path, name: str, content: str, kind: str
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / name).write_text(content)
    done = audit([place], sources=[export])
    assert kind in {finding.kind for finding in done.findings}


def test_a_short_number_is_looked_for_where_ids_stand_only(export: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "a.csv").write_text("slices,share\n4711,0.4711\n")
    assert audit([place], sources=[export]).clean


def test_names_that_many_have_are_left_out_and_counted(tmp_path: Path) -> None:
    for name in ("049", "050", NAME):
        (tmp_path / name).mkdir()
        (tmp_path / name / "IM0001.png").touch()
    wanted = gather_identifiers([tmp_path / "049", tmp_path / "050", tmp_path / NAME])
    assert [one.text for one in wanted.identifiers] == [NAME]
    assert wanted.left_out == (
        ("names of folders and files that many have (IM0001, 049, export)", 3),
    )


def test_only_the_key_table_and_paths_of_cohorts_are_kept_on_purpose(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store", create=True)
    for place in ("keys.csv", "cohorts/c.parquet", "catalogue.duckdb", "results/t/r.json"):
        path = store.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(NAME)
    found = {Path(one.path).name: one.kept for one in look(store.root).findings}
    assert found == {
        "keys.csv": "the key table",
        "c.parquet": "paths of a cohort",
        "catalogue.duckdb": "",
        "r.json": "",
    }


def test_the_source_itself_is_left_out(export: Path, tmp_path: Path) -> None:
    assert audit([tmp_path], sources=[export]).clean
    done = audit([export], texts=["MRN-771234"])
    assert {finding.kind for finding in done.findings} == {"given"}
    assert audit([export], texts=["MRN-771234"], skip=["*.dcm"]).clean


def test_identifiers_are_masked() -> None:
    assert Identifier("name", "Oberlaender").masked == "O…r (11)"
    assert Identifier("name", "Hans").masked == "… (4)"
