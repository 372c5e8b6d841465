from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from clearbench.errors import BadStore
from clearbench.store.forgetting.result_tables import (
    OwnedRow,
    count_rows,
    keep_rows,
    owned_rows,
)


def write(path: Path, **columns: list[object]) -> Path:
    pyarrow.parquet.write_table(pa.table(columns), path)
    return path


def test_rows_go_by_ids_and_never_by_labels_or_names_of_encoders(tmp_path: Path) -> None:
    path = write(
        tmp_path / "r.predictions.parquet",
        patient_id=["p1", "p2", None],
        label=["p2", "p1", "p1"],
        encoder=["p1", "p1", "p1"],
        score=[0.1, 0.2, 0.3],
    )
    assert count_rows(path, {"p1"}) == 1
    keep_rows(path, {"p1"})
    assert pyarrow.parquet.read_table(path).column("score").to_pylist() == [0.2, 0.3]
    keep_rows(path, {"p2"})
    keep_rows(path, {"other"})
    assert count_rows(path, {"p1", "p2"}) == 0


def test_a_table_without_rows_goes(tmp_path: Path) -> None:
    path = write(tmp_path / "r.attention.parquet", patient_id=["p1"])
    keep_rows(path, {"p1"})
    assert not path.exists()


def test_a_csv_row_goes_by_a_short_id_only_in_a_column_of_ids(tmp_path: Path) -> None:
    path = tmp_path / "r.copies.csv"
    path.write_text("first_scan,times\n7,8\n9,7\nscan-77,1\n")
    assert count_rows(path, {"7"}) == 1
    keep_rows(path, {"7", "scan-77"})
    assert path.read_text() == "first_scan,times\n9,7\n"
    keep_rows(path, {"9"})
    assert not path.exists()


def test_owners_are_read_with_the_cohort_of_their_result(tmp_path: Path) -> None:
    (tmp_path / "enc.v2--h.json").write_text('{"task": "t", "encoder": "enc.v2", "cohort": "own"}')
    path = write(
        tmp_path / "enc.v2--h.attention.parquet",
        patient_id=["p1", "p1", "other/p2"],
        unit=["u1", "u1", "other/u2"],
        scan_id=["s1", "s1", "s2"],
    )
    assert set(owned_rows(path)) == {
        OwnedRow("own", "p1", "u1", "s1"),
        OwnedRow("other", "p2", "u2", "s2"),
    }
    assert list(owned_rows(write(tmp_path / "x.parquet", score=[1.0]))) == []


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.predictions.parquet"
    path.write_text("cut")
    with pytest.raises(BadStore, match=r"r\.predictions\.parquet: damaged"):
        count_rows(path, {"p1"})


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([1, 2]),
        pa.array([2**62, 1], pa.timestamp("us")),
        pa.array([["p1"], ["p2"]]),
        pa.array([b"p1", b"\xff"]),
    ],
    ids=lambda ids: str(ids.type),
)
def test_ids_that_are_no_texts_are_refused(tmp_path: Path, ids: pa.Array) -> None:
    """They can't be compared with those of a patient, so none could be found."""
    path = write(tmp_path / "r.predictions.parquet", patient_id=ids)
    with pytest.raises(BadStore, match=r"r\.predictions\.parquet: damaged \(its ids: "):
        list(owned_rows(path))
