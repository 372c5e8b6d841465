"""Public data sets are built by name; another name or folder is refused in words."""

from pathlib import Path

import pytest

from clearbench.cohort.table import check_cohort
from clearbench.datasets.published import BUILDERS, build_published
from clearbench.errors import BadCohort, UnknownName


def test_an_unknown_data_set_is_met_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match='no data set is called "ctich"; did you mean ct-ich'):
        build_published("ctich", tmp_path, tmp_path / "c.csv")


@pytest.mark.parametrize("name", BUILDERS)
def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadCohort, match="no such folder"):
        build_published(name, tmp_path / "nowhere", tmp_path / "c.csv")


def test_paths_lead_from_the_table_to_the_scans(tmp_path: Path) -> None:
    root = tmp_path / "data"
    (root / "049" / "brain").mkdir(parents=True)
    kinds = "intraventricular,intraparenchymal,subarachnoid,epidural,subdural,fracture,hemorrhage"
    (root / "patient_labels.csv").write_text(f"patient_id,{kinds}\n049,0,0,0,0,1,0,1\n")
    target = tmp_path / "tables" / "c.csv"
    found = build_published("ct-ich", root, target)
    assert found.table["path"].to_pylist() == ["../data/049"]
    assert check_cohort(found.table, "", target).problems == ()
