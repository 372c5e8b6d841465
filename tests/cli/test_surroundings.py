"""What a command is started with: a folder that is gone, and names that aren't UTF-8."""

import os
import sys
from pathlib import Path

import pytest

from clearbench.cli import main
from clearbench.cohort.table import read_cohort
from clearbench.errors import BadCohort, BadStore
from clearbench.store.folder import open_store

NO_TEXT = os.fsdecode(b"M\xfcller")


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["clearbench", *words])
        with pytest.raises(SystemExit) as done:
            main()
    assert done.value.code == 2
    return capsys.readouterr().err


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a name that isn't UTF-8, if the file system has such names."""
    monkeypatch.chdir(tmp_path)
    try:
        (tmp_path / NO_TEXT).mkdir()
    except OSError:
        pytest.skip("every name is UTF-8 here")
    return tmp_path / NO_TEXT


COMMANDS = [
    ["scans", "scans"],
    ["query", "SELECT 1"],
    ["tasks", "list"],
    ["models", "list"],
    ["scans", "scans", "-o", "new.csv"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_working_folder_that_is_gone_is_said(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert "the working folder can't be used (No such file" in refused(words, capsys)


@pytest.mark.parametrize(
    "words",
    [
        ["scans", "scans", "-o", f"{NO_TEXT}.csv"],
        ["query", "SELECT 1", "-o", f"{NO_TEXT}.parquet"],
        ["embed", f"{NO_TEXT}/own.csv", "--model", "random-vit-tiny"],
        ["evaluate", "--task", "t", "--results", NO_TEXT],
        ["store", "forget", "--patient", NO_TEXT],
    ],
    ids=lambda words: words[0],
)
def test_a_word_that_is_no_text_is_refused(
    words: list[str], named: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del named
    assert r"M\udcfcller" in (said := refused(words, capsys))
    assert "isn't text in UTF-8; rename it" in said


def test_a_store_or_working_folder_that_is_no_text_is_refused(
    named: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLEARBENCH_STORE", NO_TEXT)
    assert "$CLEARBENCH_STORE isn't text in UTF-8" in refused(["query", "SELECT 1"], capsys)
    monkeypatch.setenv("CLEARBENCH_STORE", "store")
    monkeypatch.chdir(named)
    assert "name of the working folder isn't text" in refused(["query", "SELECT 1"], capsys)


def test_an_audit_searches_files_of_any_name(
    named: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (named / "a.txt").write_text("Miller")
    monkeypatch.setattr(sys, "argv", ["clearbench", "audit", str(named), "--id", "Miller"])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 1
    assert "in 1 file" in capsys.readouterr().err


def test_python_refuses_such_names_too(named: Path) -> None:
    (named / "own.csv").write_text("scan_id,patient_id,path\ns1,p1,a.nii\n")
    with pytest.raises(BadCohort, match="isn't UTF-8, which no table holds"):
        read_cohort(named / "own.csv")
    with pytest.raises(BadStore, match="isn't UTF-8; name another place"):
        open_store(named / "store", create=True)
