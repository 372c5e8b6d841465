"""A cohort table and the store whose secret made its ids belong together, and commands say so."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from clearbench.cli import main
from clearbench.cohort.pseudonyms import read_keys
from clearbench.cohort.table import read_cohort
from clearbench.scans.write import seeded_uid

WriteCT = Callable[..., list[Path]]


def run(*arguments: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["clearbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
    return int(done.value.code or 0)


@pytest.fixture
def export(tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT) -> Path:
    """One patient of a hospital, and labels; the working folder is the one above."""
    write_ct(tmp_path / "export" / "a", hu, patient_id="MRN-1", series="a")
    (tmp_path / "labels.csv").write_text("PatientID,ill\nMRN-1,1\n")
    return tmp_path / "export"


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def build_folder(export: Path, *options: object) -> None:
    command = ("cohort", "build", "folder", export, "--labels", "labels.csv", "-o", "mine.csv")
    assert run(*command, "--store", "one", *options) == 0


@pytest.mark.parametrize("command", [("cohort", "add"), ("embed",)])
def test_a_cohort_of_one_store_is_refused_by_another_at_once(
    export: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    build_folder(export)
    model = ("--model", "random-vit-tiny") if command == ("embed",) else ()
    assert run(*command, "mine.csv", "--store", "two", *model) == 2
    assert "mine.csv: 1 of 1 rows have pseudonyms of another store" in capsys.readouterr().err
    assert not list(Path("two").rglob("*.parquet"))
    assert not list(Path("two").rglob("*.h5"))


def test_its_own_store_and_a_store_with_a_copy_of_the_secret_take_it(export: Path) -> None:
    build_folder(export)
    assert run("cohort", "add", "mine.csv", "--store", "one") == 0
    Path("two").mkdir()
    shutil.copy("one/secret.key", "two/secret.key")
    assert run("cohort", "add", "mine.csv", "--store", "two") == 0


def test_tables_without_pseudonyms_go_into_any_store(export: Path) -> None:
    build_folder(export, "--keep-ids")
    assert "secret_mark" not in Path("mine.csv").read_text()
    assert run("cohort", "add", "mine.csv", "--store", "two") == 0
    Path("own.csv").write_text("scan_id,patient_id,path,ill\ns1,p1,export/a,1\n")
    assert run("cohort", "add", "own.csv", "--store", "two") == 0


def test_a_mark_is_no_label(export: Path) -> None:
    build_folder(export)
    assert read_cohort(Path("mine.csv")).labels == ("ill",)


def test_uids_of_a_public_set_are_in_the_key_table_only(
    tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    write_ct(tmp_path / "data" / "Cap Cases" / "cap001", hu, series="s")
    build = ("cohort", "build", "covid-ct-md", "data", "-o", "c.csv")
    assert run(*build, "--store", "one") == 0
    assert seeded_uid("s") not in Path("c.csv").read_text()
    assert list(read_keys(Path("one")).values()) == [seeded_uid("s")]
    assert run("cohort", "add", "c.csv", "--store", "two") == 2
    assert run(*build, "--store", "one", "--keep-ids") == 0
    assert seeded_uid("s") in Path("c.csv").read_text()
