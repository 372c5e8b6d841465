"""COVID-CT-MD's class folders become one multiclass label."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from clearbench.datasets.public.covid_ct_md import build
from clearbench.errors import BadCohort

Layout = Callable[[str], Path]


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
