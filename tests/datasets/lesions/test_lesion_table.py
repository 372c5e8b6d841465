"""The lesion table of a cohort: boxes by scan and slice, and rows that can't be used."""

from pathlib import Path

import numpy as np
import pytest

from clearbench.datasets.lesions.lesion_table import Lesion, read_lesions
from clearbench.errors import BadCohort

HEADER = "scan_id,slice_index,x1,y1,x2,y2"


def table(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "lesions.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_boxes_are_found_by_scan_and_slice(tmp_path: Path) -> None:
    path = table(tmp_path, "s1,4,1,2,3.5,4", "s1,4,5,6,7,8", "s2,0,0,0,1,1")
    lesions, problems = read_lesions(path, {"s1", "s2"})
    assert problems == ()
    assert lesions == {
        "s1": {4: [Lesion((1.0, 2.0, 3.5, 4.0)), Lesion((5.0, 6.0, 7.0, 8.0))]},
        "s2": {0: [Lesion((0.0, 0.0, 1.0, 1.0))]},
    }


def test_a_site_labels_them_where_it_is_known(tmp_path: Path) -> None:
    path = table(tmp_path, "s,1,0,0,1,1,lung", "s,2,0,0,1,1,", header=f"{HEADER},site")
    lesions, _ = read_lesions(path, {"s"})
    assert lesions["s"][1][0].label == "lung"
    assert lesions["s"][2][0].label == ""


def test_further_columns_and_another_order_do_no_harm(tmp_path: Path) -> None:
    path = table(tmp_path, "9;4;3;2;1;7;s", header="diameter_mm;y2;x2;y1;x1;slice_index;scan_id")
    lesions, problems = read_lesions(path, {"s"})
    assert lesions == {"s": {7: [Lesion((1.0, 2.0, 3.0, 4.0))]}}
    assert problems == ()


def test_rows_without_numbers_are_named_and_the_rest_is_kept(tmp_path: Path) -> None:
    """A box without numbers is kept: its slice must not count as one without a lesion."""
    path = table(tmp_path, "s,one,0,0,1,1", "s,1.0,0,0,1,1", "s,2.5,0,0,1,1", "s,3,0,zero,,1")
    lesions, problems = read_lesions(path, {"s"})
    assert lesions["s"][1] == [Lesion((0.0, 0.0, 1.0, 1.0))]
    assert np.isnan(lesions["s"][3][0].box[1:3]).all()
    assert problems == tuple(
        f"lesions.csv, line {line}: slice_index isn't a whole number" for line in (2, 4)
    )


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("scan_id,sliceindex,x1,y1,x2,y2", r"no column slice_index; did you mean sliceindex\?"),
        ("scan,slice_index,x1,y1,x2,y2", r"no column scan_id; did you mean scan\?"),
        ("scan_id,slice_index,left,y1,x2,y2", r"no column x1\."),
    ],
)
def test_a_wrong_column_is_named_with_its_neighbour(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(
        BadCohort, match=rf"lesions.csv: {said} A lesion table has scan_id, slice_index, x1"
    ):
        read_lesions(table(tmp_path, "s,1,0,0,1,1", header=header), {"s"})


def test_lesions_of_an_unknown_or_no_scan_are_named(tmp_path: Path) -> None:
    path = table(tmp_path, "s,1,0,0,1,1", "S,1,0,0,2,2", ",4,0,0,1,1")
    lesions, problems = read_lesions(path, {"s"})
    assert lesions == {"s": {1: [Lesion((0.0, 0.0, 1.0, 1.0))]}}
    assert problems == (
        "lesions.csv, line 3: no scan S",
        "lesions.csv, line 4: no scan (blank)",
    )


def test_lesions_of_another_cohort_are_refused(tmp_path: Path) -> None:
    path = table(tmp_path, "t,1,0,0,1,1", "u,1,0,0,1,1", "v,x,0,0,1,1")
    with pytest.raises(BadCohort, match=r"lesions.csv: no row is a lesion of this cohort"):
        read_lesions(path, {"s"})


def test_a_missing_and_an_empty_table_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCohort, match=r"lesions.csv: no such file"):
        read_lesions(tmp_path / "lesions.csv", {"s"})
    with pytest.raises(BadCohort, match=r"the table has no rows"):
        read_lesions(table(tmp_path), {"s"})
