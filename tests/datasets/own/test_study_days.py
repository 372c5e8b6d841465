"""Days come from the dates that tell a patient's studies apart, and a contradiction is noted."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from clearbench.cohort.pseudonyms import Pseudonyms
from clearbench.datasets.own.folder import BuiltCohort, build_folder
from clearbench.scans.inventory import find_scans
from clearbench.scans.write import seeded_uid

WriteCT = Callable[..., list[Path]]
Build = Callable[..., BuiltCohort]
HEADERS = ("20200101", "20200111", "20210505")


@pytest.fixture
def build(tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT) -> Build:
    """Build a cohort of two studies of A and one of B, with dates in headers and in a table."""

    def made(headers: tuple[str, ...], dates: tuple[str, ...], on: str = "study") -> BuiltCohort:
        root = tmp_path / "export"
        shutil.rmtree(root, ignore_errors=True)
        for number, (patient, date) in enumerate(zip("AAB", headers, strict=True)):
            edit = lambda dataset, _, date=date: setattr(dataset, "StudyDate", date)  # noqa: E731
            name = f"{number}"
            write_ct(root / name, hu[:2], patient_id=patient, study=name, series=name, edit=edit)
        keys = [seeded_uid(f"{n}") for n in range(3)] if on == "study" else list("AB")
        column = "StudyInstanceUID" if on == "study" else "PatientID"
        rows = [f"{key},{date},1\n" for key, date in zip(keys, dates, strict=True)]
        labels = tmp_path / "labels.csv"
        labels.write_text(f"{column},Study Date,y\n" + "".join(rows))
        names = Pseudonyms(b"n" * 32)
        return build_folder(find_scans(root), labels, column, tmp_path / "c.csv", names=names)

    return made


def days(built: BuiltCohort) -> list[str | None]:
    """The day of each study, in the order of their folders."""
    rows = sorted(built.table.to_pylist(), key=lambda row: str(row["path"]))
    return [row.get("day") for row in rows]


TABLE = ("2020-01-01", "2020-01-31", "2021-05-05")


@pytest.mark.parametrize("dummy", [("19000101",) * 3, ("20200101", "20200101", "20210101")])
def test_one_date_for_all_gives_way_to_the_table(build: Build, dummy: tuple[str, ...]) -> None:
    built = build(dummy, TABLE)
    assert days(built) == ["0", "30", "0"]
    assert "StudyDate tells no studies of a patient apart; column Study Date" in built.notes[0]
    assert "2020" not in str(built.table.to_pylist())


def test_no_dates_in_the_headers(build: Build) -> None:
    assert days(build(("", "", ""), TABLE)) == ["0", "30", "0"]
    assert days(build(("", "", "20210101"), TABLE)) == ["0", "30", "0"]


def test_dates_that_disagree_are_noted(build: Build) -> None:
    built = build(HEADERS, TABLE)
    assert days(built) == ["0", "10", "0"]
    assert built.notes[0].startswith("the day of 1 scan differs between the headers' StudyDate")
    agreed = build(HEADERS, ("2020-03-01", "2020-03-11", ""))
    assert days(agreed) == ["0", "10", "0"]
    assert not any("differs" in note for note in agreed.notes)


def test_a_date_per_patient_says_nothing_of_studies(build: Build) -> None:
    built = build(HEADERS, ("2020-01-01", "2021-05-05"), on="patient")
    assert days(built) == ["0", "10", "0"]
    assert not any("StudyDate" in note for note in built.notes)


def test_dates_that_can_t_be_read_leave_the_headers(build: Build) -> None:
    assert days(build(HEADERS, ("01/02/2020", "02/02/2020", ""))) == ["0", "10", "0"]
