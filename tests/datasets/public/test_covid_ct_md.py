"""COVID-CT-MD's class folders become one multiclass label; UIDs of its headers are hidden."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from clearbench.cohort.files import write_table
from clearbench.cohort.pseudonyms import Pseudonyms
from clearbench.datasets.public.covid_ct_md import build
from clearbench.errors import BadCohort, UnreadableScan
from clearbench.scans.slices import ScanSource, read_scan
from clearbench.scans.write import seeded_uid

Layout = Callable[[str], Path]
WriteCT = Callable[..., list[Path]]
NAMES, OTHERS = Pseudonyms(b"n" * 32), Pseudonyms(b"o" * 32)


def test_the_folder_names_class_and_patient_and_the_header_has_the_technique(
    layout: Layout,
) -> None:
    found = build(layout("covid-ct-md"))
    rows = {row["patient_id"]: row for row in found.table.to_pylist()}
    assert {name: row["diagnosis"] for name, row in rows.items()} == {
        "P001": "covid-19",
        "cap001": "cap",
        "normal001": "normal",
    }
    assert rows["P001"]["scan_id"] == "covidctmd-P001"
    assert rows["P001"]["path"] == "COVID-19 Cases/P001"
    assert rows["P001"]["kernel"] == "B30f"
    assert found.missing == ()


def test_names_of_the_description_fit_as_well_and_what_is_missing_is_named(layout: Layout) -> None:
    root = layout("covid-ct-md")
    (root / "COVID-19 Cases").rename(root / "COVID-19 subjects")
    shutil.rmtree(root / "Cap Cases")
    (root / "Normal Cases" / "normal002").mkdir()
    found = build(root)
    assert found.table["diagnosis"].to_pylist() == ["covid-19", "normal"]
    assert found.missing == (
        "no folder of the class cap",
        "normal002: no CT series in its folder",
    )


def test_two_folders_of_one_class_are_refused(layout: Layout) -> None:
    root = layout("covid-ct-md")
    (root / "Normal subjects").mkdir()
    with pytest.raises(BadCohort, match="Normal Cases and Normal subjects are both of class"):
        build(root)


@pytest.mark.parametrize("inner", ["Sample data", "any name", "COVID-CT-MD"])
def test_class_folders_one_level_down_are_found(layout: Layout, inner: str) -> None:
    root = layout("covid-ct-md")
    there = root.rename(root.with_name("moved"))
    root.mkdir()
    there.rename(root / inner)
    (root / "__MACOSX" / "Cap Cases").mkdir(parents=True)
    found = build(root)
    assert found.table["path"].to_pylist()[0].startswith(f"{inner}/")
    assert len(found.table) == 3


def test_several_folders_that_may_be_meant_are_named(layout: Layout) -> None:
    root = layout("covid-ct-md")
    for inner in ("one", "two"):
        shutil.copytree(root / "Cap Cases", root.parent / "all" / inner / "Cap Cases")
    with pytest.raises(BadCohort, match="one, two have folders of the classes; give one of them"):
        build(root.parent / "all")


def test_a_class_folder_that_was_unpacked_into_itself_is_no_patient(layout: Layout) -> None:
    root = layout("covid-ct-md")
    (root / "inner").mkdir()
    (root / "Cap Cases").rename(root / "inner" / "Cap Cases")
    (root / "inner").rename(root / "Cap Cases")
    assert set(build(root).table["patient_id"].to_pylist()) == {"P001", "cap001", "normal001"}


def test_one_name_for_patients_of_two_classes_is_refused(layout: Layout) -> None:
    root = layout("covid-ct-md")
    (root / "Cap Cases" / "cap001").rename(root / "Cap Cases" / "p001")
    with pytest.raises(BadCohort, match=r"P001 and .*p001 have the name of one patient"):
        build(root)


def test_uids_are_hidden_and_public_names_stay_the_same_for_everybody(
    layout: Layout, tmp_path: Path
) -> None:
    root = layout("covid-ct-md")
    one, two = build(root, names=NAMES), build(root, names=OTHERS)
    for name in ("scan_id", "patient_id", "study_id", "path", "diagnosis"):
        assert one.table[name].equals(two.table[name])
    assert one.table["series_id"].to_pylist() != two.table["series_id"].to_pylist()
    uid = seeded_uid("COVID-19 Cases/P001")
    assert one.keys[NAMES.series(uid)] == uid
    for ending in (".csv", ".parquet"):
        content = write_table(one.table, tmp_path / f"c{ending}").read_bytes()
        assert b"2.25." not in content
        assert NAMES.mark.encode() in content
    assert build(root).table["series_id"].to_pylist() == [None] * 3
    assert uid in build(root, names=NAMES, keep_ids=True).table["series_id"].to_pylist()


def test_a_hidden_series_is_found_among_several(
    layout: Layout, hu: NDArray[np.int16], write_ct: WriteCT
) -> None:
    root = layout("covid-ct-md")
    folder = root / "COVID-19 Cases" / "P001"
    write_ct(folder, hu[:2], series="scout", study="COVID-19 Cases/P001", patient_id="anonymous")
    rows = {row["patient_id"]: row for row in build(root, names=NAMES).table.to_pylist()}
    source = ScanSource(root / rows["P001"]["path"], rows["P001"]["series_id"])
    assert len(read_scan(source, pseudonym=NAMES.series)) == 4
    with pytest.raises(UnreadableScan, match="built with another store"):
        read_scan(source, pseudonym=OTHERS.series)
