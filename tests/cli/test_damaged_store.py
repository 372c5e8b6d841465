"""A damaged file of a store costs only itself: what a user sees, and the exit code."""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hostile.store_cases import RECORD, make_scan

from clearbench.cli import main
from clearbench.store.features import write_features
from clearbench.store.folder import StoreFolder, open_store
from clearbench.store.records import write_record

SCANS = ["s1", "s2"]


@pytest.fixture
def store(tmp_path: Path) -> StoreFolder:
    folder = open_store(tmp_path / "store", create=True)
    write_record(RECORD, folder)
    for scan in SCANS:
        write_features(make_scan(scan), folder)
    folder.cohorts.mkdir()
    for name in ("c", "d"):
        table = pa.table({"scan_id": SCANS, "patient_id": SCANS, "path": SCANS})
        pyarrow.parquet.write_table(table, folder.cohorts / f"{name}.parquet")
    return folder


def run(store: StoreFolder, *arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["clearbench", *arguments, "--store", str(store.root)])
        try:
            main()
        except SystemExit as done:
            return int(done.code or 0)
    return 0


def damage(store: StoreFolder, place: str) -> str:
    """Flip a bit of a file, or cut it; return its name as it is printed."""
    path = store.root / place
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content if path.suffix == ".h5" else content[:40])
    return str(path)


H5 = "features/enc-01234567/c/s2.h5"
RECORD_FILE = "features/enc-01234567/encoder.json"
COUNT = "SELECT count(DISTINCT scan_id) AS n FROM slices"


@pytest.mark.parametrize("place", [H5, RECORD_FILE, "cohorts/d.parquet", "store.json", "pins.json"])
def test_verify_names_every_file_at_fault(
    store: StoreFolder, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    (store.root / "pins.json").write_text('{"enc": "' + "0" * 64 + '"}')
    assert run(store, "store", "verify") == 0
    assert "2 feature files are intact, 0 are not" in capsys.readouterr().out
    name = damage(store, place)
    assert run(store, "store", "verify") == (2 if place == "store.json" else 1)
    printed = capsys.readouterr()
    assert name in printed.out + printed.err


@pytest.mark.parametrize(("place", "scans"), [(H5, 1), (RECORD_FILE, 0), ("cohorts/d.parquet", 2)])
def test_a_query_goes_on_without_a_damaged_file_and_names_it(
    store: StoreFolder, capsys: pytest.CaptureFixture[str], place: str, scans: int
) -> None:
    name = damage(store, place)
    assert run(store, "query", COUNT, "--format", "csv") == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == str(scans)
    assert "note: 1 damaged file is left out" in printed.err
    assert name in printed.err


def test_the_other_cohorts_are_listed(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    name = damage(store, "cohorts/d.parquet")
    assert run(store, "cohort", "list") == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1].split()[:2] == ["c", "2"]
    assert name in printed.err


def test_gc_leaves_alone_what_it_can_not_know(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    (store.cohorts / "d.parquet").unlink()
    for place in ("cohorts/c.parquet", RECORD_FILE):
        damage(store, place)
        assert run(store, "store", "gc", "--delete") == 0
        assert place in "".join(capsys.readouterr())
    assert len(list(store.features.glob("*/c/*.h5"))) == 2
