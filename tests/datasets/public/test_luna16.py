"""LUNA16: a scan is as malignant as its worst nodule, and on one side of the split."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clearbench.datasets.public.luna16 import build
from clearbench.errors import BadCohort

Layout = Callable[[str], Path]
FIRST, SECOND, PLAIN = "1.3.6.1.100", "1.3.6.1.200", "1.3.6.1.300"


def test_the_worst_nodule_counts_and_masks_are_not_scans(layout: Layout) -> None:
    found = build(layout("luna16"))
    rows = {row["scan_id"]: row for row in found.table.to_pylist()}
    assert set(rows) == {FIRST, SECOND, PLAIN}
    assert [rows[name]["malignancy"] for name in (FIRST, SECOND, PLAIN)] == ["1", "0", None]
    assert [rows[name]["split"] for name in (FIRST, SECOND, PLAIN)] == ["train", "test", None]
    assert rows[FIRST]["path"] == f"subset0/{FIRST}.mhd"
    assert found.missing == ("1.3.6.1.999.mhd: labelled, but missing",)
    assert found.notes == ("1 scans have no labelled nodule: malignancy is blank",)


def test_a_missing_table_is_named_with_its_source(layout: Layout) -> None:
    root = layout("luna16")
    (root / "luna16_malignancy_val.csv").unlink()
    with pytest.raises(BadCohort, match=r"luna16_malignancy_val\.csv: no such file; get it from"):
        build(root)


def test_the_real_split_divides_scans_and_repair_keeps_every_nodule(
    layout: Layout, shared_data: Path
) -> None:
    root = layout("luna16")
    folder = shared_data / "metadata"
    with pytest.raises(BadCohort, match=r"115 scans are on two sides .*all rows of a scan"):
        build(root, splits=folder)
    found = build(root, splits=folder, repair_split=True)
    assert "of 677 rows" in found.notes[0]
    assert len(found.missing) == 433
