import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet
import pytest

import clearbench.store.catalogue.fold as fold
from clearbench.cohort.table import Cohort, check_cohort
from clearbench.errors import BadStore
from clearbench.store.catalogue.fold import damaged_files, refresh
from clearbench.store.catalogue.query import run_select
from clearbench.store.cohorts import save_cohort
from clearbench.store.features import ScanFeatures, write_features
from clearbench.store.folder import StoreFolder
from clearbench.store.records import (
    EMBED_AGAIN,
    EncoderRecord,
    RunRecord,
    list_records,
    write_run,
)

MakeScan = Callable[..., ScanFeatures]


def rows(store: StoreFolder, statement: str) -> list[Any]:
    with duckdb.connect(str(refresh(store)), read_only=True) as connection:
        return connection.execute(statement).fetchall()


FILES = "SELECT scan_id, n_slices FROM files ORDER BY ALL"


def scans_of_c(*scans: str) -> Cohort:
    """The cohort c of some scans."""
    table = pa.table({"scan_id": scans, "patient_id": scans, "path": scans})
    return check_cohort(table, "c", Path("/data/c.csv"))


def read_files(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Record which feature files are read from now on."""
    read: list[Path] = []
    real = fold.read_file

    def spy(path: Path, record: EncoderRecord) -> Any:
        read.append(path)
        return real(path, record)

    monkeypatch.setattr(fold, "read_file", spy)
    return read


def test_new_changed_and_removed_files_are_followed(
    full: StoreFolder, make_scan: MakeScan, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_cohort(scans_of_c("s1", "s2", "s3"), full)
    assert rows(full, FILES) == [("s1", 3), ("s2", 3)]
    read = read_files(monkeypatch)
    new = write_features(make_scan("s3"), full)
    changed = write_features(make_scan("s1", n=5), full)
    (new.parent / "s2.h5").unlink()
    assert rows(full, FILES) == [("s1", 5), ("s3", 3)]
    assert set(read) == {new, changed}
    counts = "SELECT scan_id, count(*) FROM slice_rows JOIN files USING (file_id) GROUP BY ALL"
    assert sorted(rows(full, counts)) == [("s1", 10), ("s3", 6)]
    assert rows(full, "SELECT count(*) FROM slice_rows") == [(16,)]


def test_features_of_a_scan_that_left_its_cohort_are_not_seen(full: StoreFolder) -> None:
    assert rows(full, FILES) == [("s1", 3), ("s2", 3)]
    save_cohort(scans_of_c("s2"), full)
    assert rows(full, FILES) == [("s2", 3)]
    save_cohort(scans_of_c("s1", "s2"), full)
    assert rows(full, FILES) == [("s1", 3), ("s2", 3)], "it came back"
    (full.cohorts / "c.parquet").unlink()
    assert rows(full, FILES) == [("s1", 3), ("s2", 3)], "without a cohort, nobody left it"


def test_nothing_new_writes_nothing(full: StoreFolder) -> None:
    before = refresh(full).stat().st_ino
    assert refresh(full).stat().st_ino == before
    assert refresh(full, rebuild=True).stat().st_ino != before


@pytest.mark.parametrize("ruin", ["remove", "garbage", "other tables"])
def test_the_catalogue_can_be_thrown_away(full: StoreFolder, ruin: str) -> None:
    everything = rows(full, FILES)
    if ruin == "remove":
        full.catalogue.unlink()
    elif ruin == "garbage":
        full.catalogue.write_bytes(b"no database" * 100)
    else:
        with duckdb.connect(str(full.catalogue)) as connection:
            connection.execute("UPDATE sources SET size = 1 WHERE kind = 'tables'")
            connection.execute("DROP TABLE labels")
    assert rows(full, FILES) == everything
    assert rows(full, "SELECT scan_id, label, value FROM labels") == [("s1", "x", "1")]


def test_a_damaged_feature_file_is_left_out_until_it_is_whole(
    full: StoreFolder, make_scan: MakeScan
) -> None:
    path = full.features / "enc-a-01234567" / "c" / "s2.h5"
    path.write_bytes(b"cut")
    assert rows(full, FILES) == [("s1", 3)]
    write_features(make_scan("s2"), full)
    assert rows(full, FILES) == [("s1", 3), ("s2", 3)]


@pytest.mark.parametrize(
    ("place", "lost"),
    [
        ("results/t/*.json", {"results", "predictions", "attention"}),
        ("results/t/*.predictions.parquet", {"predictions"}),
        ("results/t/*.attention.parquet", {"attention"}),
        ("cohorts/c.parquet", {"cohort_scans", "labels", "splits", "files", "slice_rows"}),
        ("features/*/encoder.json", {"encoders", "files", "slice_rows"}),
        ("features/*/runs/*.json", set()),
    ],
)
def test_a_damaged_record_costs_only_its_own_rows(
    full: StoreFolder, place: str, lost: set[str]
) -> None:
    write_run(RunRecord(9, 2, 1.0, "cpu", 2, 16), list_records(full)[0], full)
    [path] = full.root.glob(place)
    before = path.read_bytes()
    tables = ["results", "predictions", "attention", "cohort_scans", "labels", "splits"]
    tables += ["encoders", "files", "slice_rows"]

    def filled() -> set[str]:
        return {name for name in tables if rows(full, f"SELECT count(*) FROM {name}") != [(0,)]}

    assert filled() == set(tables)
    path.write_text("[1")
    assert filled() == set(tables) - lost
    [fault] = damaged_files(full)
    assert fault.startswith(f"{path}: damaged (")
    path.write_bytes(before)
    assert filled() == set(tables)
    assert damaged_files(full) == []


def test_features_without_their_record_are_left_out_and_named(full: StoreFolder) -> None:
    [path] = full.features.glob("*/encoder.json")
    path.unlink()
    assert rows(full, FILES) == []
    assert damaged_files(full) == [f"{path}: missing; {EMBED_AGAIN}"]


def test_a_damaged_catalogue_is_made_anew(full: StoreFolder) -> None:
    refresh(full)
    image = bytearray(full.catalogue.read_bytes())
    image[8192:] = bytes(len(image) - 8192)
    full.catalogue.write_bytes(image)
    assert damaged_files(full) == []
    assert rows(full, FILES) == [("s1", 3), ("s2", 3)]


def test_a_catalogue_that_is_a_folder_is_named(full: StoreFolder) -> None:
    full.catalogue.mkdir()
    with pytest.raises(BadStore, match=r"catalogue\.duckdb: a folder, .* remove it"):
        refresh(full)


def test_predictions_without_their_result_do_not_count(full: StoreFolder) -> None:
    assert rows(full, "SELECT count(*) FROM predictions") == [(1,)]
    next(full.results.glob("t/*.json")).unlink()
    assert rows(full, "SELECT count(*) FROM predictions") == [(0,)]


def test_drafts_are_not_indexed(full: StoreFolder) -> None:
    (full.results / "t" / ".draft.json").write_text("half")
    (full.features / "enc-a-01234567" / "c" / ".s4.h5.tmp").write_text("half")
    assert rows(full, FILES) == [("s1", 3), ("s2", 3)]


@pytest.mark.parametrize("room", [3_000, 20_000, 300_000])
def test_a_full_disk_keeps_the_old_catalogue(
    full: StoreFolder, add_set: Callable[..., EncoderRecord], room: int
) -> None:
    before = refresh(full).read_bytes()
    add_set("enc-b")
    code = f"""
import resource
from pathlib import Path
from clearbench.errors import StorageFull
from clearbench.store.catalogue.fold import damaged_files, refresh
from clearbench.store.folder import StoreFolder
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
try:
    refresh(StoreFolder(Path({str(full.root)!r})), rebuild=True)
except StorageFull as error:
    print("full:", error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert "full:" in done.stdout, done.stderr
    assert full.catalogue.read_bytes() == before
    assert not [path.name for path in full.root.iterdir() if path.name.startswith(".catalogue")]


def test_predictions_of_older_heads_have_no_cut(full: StoreFolder) -> None:
    [path] = full.results.rglob("*.predictions.parquet")
    table = pyarrow.parquet.read_table(path).drop_columns(["cut"])
    pyarrow.parquet.write_table(table, path)
    assert run_select(full, "SELECT score, cut FROM predictions").fetchall() == [(0.9, None)]


def test_a_table_of_other_columns_is_named(full: StoreFolder) -> None:
    [path] = full.results.rglob("*.predictions.parquet")
    pyarrow.parquet.write_table(pa.table({"task": ["t"], "odd": [1]}), path)
    [fault] = damaged_files(full)
    assert "predictions.parquet: damaged (columns of another version" in fault
    assert "it has task, odd" in fault
