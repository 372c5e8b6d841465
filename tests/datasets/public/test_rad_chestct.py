"""RAD-ChestCT's volumes take their findings at any location."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clearbench.datasets.public.rad_chestct import build
from clearbench.errors import BadCohort

Layout = Callable[[str], Path]


def test_a_finding_at_any_location_is_present(layout: Layout) -> None:
    found = build(layout("rad-chestct"))
    rows = {row["scan_id"]: row for row in found.table.to_pylist()}
    first, second, test = (rows[f"radchestct-{n}"] for n in ("trn00001", "trn00002", "tst00001"))
    assert [row["nodule"] for row in (first, second, test)] == ["1", "0", "1"]
    assert first["mass"] == "0"
    assert first["patient_id"] == second["patient_id"] == "mrn00000"
    assert [row["split"] for row in (first, second, test)] == ["train", "train", "test"]
    assert found.missing == ()


def test_volumes_and_tables_may_lie_in_folders_of_their_own(layout: Layout) -> None:
    root = layout("rad-chestct")
    for name, pattern in (("images", "*.npz"), ("tables", "*.csv")):
        files = list(root.glob(pattern))
        (root / name).mkdir()
        for file in files:
            file.rename(root / name / file.name)
    (root / "images" / "tst00001.npz").rename(root / "images" / "tst00009.npz")
    found = build(root)
    assert found.table["path"].to_pylist() == ["images/trn00001.npz", "images/trn00002.npz"]
    assert found.missing == (
        "tst00009.npz: no labels or no metadata, left out",
        "1 labelled scans have no volume",
    )


def test_another_table_is_refused_by_its_column(layout: Layout) -> None:
    root = layout("rad-chestct")
    table = root / "imgtest_Abnormality_and_Location_Labels.csv"
    table.write_text(table.read_text().replace("mass*", "lump*"))
    with pytest.raises(BadCohort, match=r"imgtest_.*: no column mass\*<location>"):
        build(root)
    (root / "CT_Scan_Metadata_Complete_35747.csv").unlink()
    table.write_text(table.read_text().replace("lump*", "mass*"))
    with pytest.raises(BadCohort, match=r"CT_Scan_Metadata_Complete_35747\.csv: no such file"):
        build(root)
