"""Typed: `store gc`, `store forget`, `cohort remove`, `cohort add --replace-rows`."""

import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from clearbench.cli import main
from clearbench.store.cohorts import cohort_names, load_cohort
from clearbench.store.features import ScanFeatures, write_features
from clearbench.store.folder import ScanKey, StoreFolder, open_store
from clearbench.store.records import EncoderRecord, write_record

FP = "0123456789abcdef" * 4


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreFolder:
    """A store with the cohort mine of three scans, and their features."""
    monkeypatch.setenv("CLEARBENCH_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    folder = open_store(tmp_path / "store", create=True)
    write_record(EncoderRecord("enc", FP, 4, ("lung",), "float32", "float32", "w", {}), folder)
    for number in range(3):
        write_features(features(f"scan-{number}", f"patient-{number}"), folder)
    write_table(tmp_path / "mine.csv", 0, 1, 2)
    type_in("cohort", "add", "mine.csv")
    return folder


def features(scan: str, patient: str) -> ScanFeatures:
    return ScanFeatures(
        ScanKey("enc", FP, "mine", scan),
        patient,
        np.zeros((2, 1, 4), np.float32),
        np.ones((2, 1), bool),
        np.zeros(2, np.float32),
        np.arange(2, dtype=np.int32),
        "source",
        "pixels",
        {"fingerprint": FP, "views": [{"name": "lung"}]},
    )


def write_table(path: Path, *numbers: int) -> None:
    lines = [f"scan-{n},patient-{n},{n}.nii,{n % 2}\n" for n in numbers]
    path.write_text("scan_id,patient_id,path,ill\n" + "".join(lines))


def type_in(*words: str) -> int:
    """Run the command line; return its exit code."""
    before, sys.argv = sys.argv, ["clearbench", *words]
    try:
        main()
    except SystemExit as done:
        return int(done.code or 0)
    finally:
        sys.argv = before
    return 0


def test_a_row_that_was_taken_out_is_named_and_leaves_if_asked(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(Path("mine.csv"), 1, 2)
    assert type_in("cohort", "add", "mine.csv") == 0
    said = capsys.readouterr().err
    assert "1 scan of the stored cohort mine is not in this table any more" in said
    assert "--replace-rows" in said
    assert len(load_cohort(store, "mine").rows()) == 3
    assert type_in("cohort", "add", "mine.csv", "--replace-rows") == 0
    assert "1 scan left the cohort mine: scan-0" in capsys.readouterr().err
    assert len(load_cohort(store, "mine").rows()) == 2


def test_labels_alone_cannot_be_the_truth_about_scans(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    del store
    Path("labels.csv").write_text("patient_id,ill\npatient-0,0\n")
    assert type_in("cohort", "add", "labels.csv", "--replace-rows") == 2
    assert "--replace-rows: labels.csv has no scans of its own" in capsys.readouterr().err


def test_a_patient_leaves_only_with_yes(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("store", "forget", "--patient", "patient-0")
    assert type_in(*command) == 2
    listed = capsys.readouterr()
    assert "patient-0 in cohort mine: 1 scan (scan-0)" in listed.out
    assert re.search(r"features +1 .*deleted +features/enc-01234567/mine/scan-0\.h5", listed.out)
    assert re.search(r"cohort +1 +1 .*rows leave +cohorts/mine\.parquet", listed.out)
    assert "nothing was removed: type the same command with --yes to do it" in listed.out
    assert "not searched, as the store doesn't know where they are" in listed.err
    assert (store.features / "enc-01234567" / "mine" / "scan-0.h5").exists()
    assert type_in(*command, "--yes") == 0
    done = capsys.readouterr().out
    assert re.search(r"searched \d+ files: none has patient-0, or one of 2 other ids", done)
    assert not (store.features / "enc-01234567" / "mine" / "scan-0.h5").exists()
    assert type_in(*command, "--yes") == 2
    assert 'no patient of this store is called "patient-0"' in capsys.readouterr().err


def test_ids_of_a_file_or_of_the_input_leave(
    store: StoreFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is typed stands in the list of processes."""
    (tmp_path / "leaving.txt").write_text("patient-0\n\n")
    assert type_in("store", "forget", "--ids", str(tmp_path / "leaving.txt"), "--yes") == 0
    assert not (store.features / "enc-01234567" / "mine" / "scan-0.h5").exists()
    monkeypatch.setattr("sys.stdin", io.StringIO("patient-1\n"))
    assert type_in("store", "forget", "--ids", "-", "--yes") == 0
    assert not (store.features / "enc-01234567" / "mine" / "scan-1.h5").exists()
    assert type_in("store", "forget", "--ids", str(tmp_path / "none.txt")) == 2


def test_a_file_with_the_id_fails_the_command(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    (store.root / "notes.txt").write_text("call patient-0")
    command = ("store", "forget", "--patient", "patient-0", "--yes")
    assert type_in(*command) == 1
    said = capsys.readouterr()
    assert f"{store.root / 'notes.txt'}: has patient-0" in said.err
    assert "run the same command again" in said.out
    (store.root / "notes.txt").unlink()
    assert type_in(*command) == 0


def test_stacks_in_the_usual_folder_go_and_split_files_are_named(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    del store
    stack = Path("pretraining/lecl/slices/scan-0-0123456789ab.npy")
    stack.parent.mkdir(parents=True)
    stack.write_bytes(b"pixels")
    type_in("tasks", "new", "t", "--cohort", "mine", "--labels", "ill")
    fold = {"train": ["patient-1"], "tune": [], "test": ["patient-0"]}
    Path("tasks/t.split.json").write_text(json.dumps({"cohort": "mine", "folds": [fold]}))
    capsys.readouterr()
    assert type_in("store", "forget", "--patient", "patient-0", "--yes") == 0
    assert not stack.exists()
    assert "t.split.json lists patient-0, and stays as it is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["forget"], "--patient: name a patient"),
        (
            ["forget", "--patient", "patient-0", "--cohort", "x"],
            "--cohort x: patient-0 is not in x",
        ),
        (["forget", "--patient", "patient-0", "--results", "x"], "x: no such folder"),
        (["gc", "--results", "x"], "x: no such folder of results"),
        (["gc", "--other-sets"], "--other-sets is for --delete"),
    ],
)
def test_requests_that_cannot_be_served_say_why(
    store: StoreFolder, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    del store
    assert type_in("store", *words) == 2
    assert reason in capsys.readouterr().err


def test_garbage_is_listed_and_goes_if_asked(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert type_in("store", "gc") == 0
    assert capsys.readouterr().out == "nothing can go\n"
    write_table(Path("mine.csv"), 1, 2)
    type_in("cohort", "add", "mine.csv", "--replace-rows")
    capsys.readouterr()
    assert type_in("store", "gc") == 0
    listed = capsys.readouterr().out
    assert re.search(
        r"scans of no cohort +0\.01 +enc@01234567: scan-0 +left the cohort mine", listed
    )
    assert "0.01 MB can go; nothing was deleted: type --delete to do it" in listed
    assert type_in("store", "gc", "--delete") == 0
    assert "deleted: 0.01 MB" in capsys.readouterr().out
    assert not list(store.features.rglob("scan-0.h5"))


def test_a_cohort_is_taken_out_of_the_list_with_yes(
    store: StoreFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert type_in("cohort", "remove", "mine") == 2
    listed = capsys.readouterr().out
    assert "mine: 3 scans of 3 patients, labels ill" in listed
    assert "features of mine: 3 files" in listed
    assert "nothing was removed" in listed
    assert cohort_names(store) == ["mine"]
    assert type_in("cohort", "remove", "mine", "--yes") == 0
    assert cohort_names(store) == []
    assert len(list(store.features.rglob("*.h5"))) == 3
    assert type_in("cohort", "remove", "mine") == 2
    assert 'no cohort is called "mine"' in capsys.readouterr().err
