"""Copies are a table next to results, and rows of SQL."""

from pathlib import Path

from clearbench.evaluation.guards.copies import TWO_SIDES, Copy
from clearbench.results.copies import write_copies
from clearbench.store.feature_store import FeatureStore
from clearbench.store.folder import open_store

PAIR = Copy("c", "s1", "p1", "c", "s2", "p2", 0.999, 7.5, TWO_SIDES)


def test_every_pair_is_in_sql_until_there_is_none(tmp_path: Path) -> None:
    folder = open_store(tmp_path / "store", create=True)
    assert write_copies([PAIR], "t", "", folder.results) is not None
    sql = "SELECT task, scan_id, other_patient_id, similarity, sides FROM duplicates"
    store = FeatureStore(folder.root)
    assert store.table(sql).to_pylist() == [
        {"task": "t", "scan_id": "s1", "other_patient_id": "p2", "similarity": 0.999,
         "sides": "two sides"}
    ]  # fmt: skip
    assert write_copies([], "t", "", folder.results) is None
    assert store.table(sql).num_rows == 0
