import bz2
import gzip
import io
import json
import lzma
import zipfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet
import pytest

from clearbench.store.forgetting.mentions import Mentions
from clearbench.store.forgetting.search import search

ID = "patient-0007"


def parquet(text: str) -> bytes:
    """A table that is compressed, so that its bytes don't show the text."""
    sink = io.BytesIO()
    table = pa.table({"who": [text] * 1000, "list": [[text]] * 1000})
    pyarrow.parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def archive(name: str, content: bytes) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as inner:
        inner.writestr(name, content)
    return memory.getvalue()


MANY = f"{ID}\n".encode() * 100
HIDDEN = {
    "a.parquet": parquet(ID),
    "a.json": json.dumps({"notes": [{ID: 1}]}).encode(),
    "escaped.json": b'{"notes": "patient\\u002d0007"}',
    "a.csv": f"x,y\n1,{ID}\n".encode(),
    "a.txt": f"see {ID}.".encode(),
    "a.npy": b"\x93NUMPY" + bytes(1000) + ID.encode(),
    "a.txt.gz": gzip.compress(MANY),
    "a.txt.bz2": bz2.compress(MANY),
    "a.txt.xz": lzma.compress(MANY),
    "a.zip": archive("x.txt", MANY),
    "pack.zip": archive("store/cohorts/c.parquet", parquet(ID)),
    "name.zip": archive(f"store/{ID}.h5", b""),
    "deep.zip": archive("inner.zip", archive("x.txt.gz", gzip.compress(MANY))),
    f".{ID}.h5.elsewhere-1-0.tmp": b"",
    f"{ID}.h5": b"",
}


@pytest.mark.parametrize("name", HIDDEN)
def test_an_id_is_found_wherever_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / "deep" / name
    path.parent.mkdir()
    path.write_bytes(HIDDEN[name])
    (tmp_path / "other.txt").write_text("nobody")
    found = search([tmp_path], Mentions(frozenset({ID}), frozenset()), tmp_path / "none")
    assert found.files == 2
    [what] = found.found
    assert what.startswith(f"{path}: ")
    assert ID in what
    other = Mentions(frozenset({"patient-0008"}), frozenset({ID}))
    assert search([tmp_path], other, tmp_path / "none").found == ()


def test_an_id_in_a_database_is_found(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "catalogue.duckdb")) as connection:
        connection.execute("CREATE TABLE t AS SELECT ['patient-' || '0007'] AS names")
    found = search([tmp_path], Mentions(frozenset({ID}), frozenset()), tmp_path / "none")
    assert ID in found.found[0]


def test_a_folder_is_found_by_its_name_and_one_file_is_skipped(tmp_path: Path) -> None:
    (tmp_path / ID).mkdir()
    skipped = tmp_path / "journal.json"
    skipped.write_text(json.dumps(ID))
    counted = []
    found = search(
        [tmp_path],
        Mentions(frozenset({ID}), frozenset()),
        skipped,
        lambda done, total: counted.append((done, total)),
    )
    assert found.found == (f"{tmp_path / ID}: its name has {ID}",)
    assert (found.files, counted) == (0, [(1, 1)])


@pytest.mark.parametrize(
    "name", ["a.parquet", "a.json", "a.h5", "catalogue.duckdb", "a.gz", "a.zip"]
)
def test_a_damaged_file_is_searched_by_its_bytes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 cut \xff" + ID.encode() + b" off")
    found = search([tmp_path], Mentions(frozenset({ID}), frozenset()), tmp_path / "none")
    assert found.found == (f"{tmp_path / name}: has {ID}",)
