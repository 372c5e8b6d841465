"""The user's SQL that ranks series ends by itself, whatever it computes."""

import pyarrow as pa
import pytest

from clearbench.cohort import ranking
from clearbench.cohort.ranking import best_series
from clearbench.errors import BadQuery

TABLE = pa.table(
    {"study_id": ["a", "a"], "scan_id": ["s1", "s2"], "n_slices": [3, 5], "error": [None, None]}
)
ENDLESS = "(SELECT count(*) FROM range(1000000000000) t, range(10000) u) > 0"


def test_the_most_slices_come_first() -> None:
    assert best_series(TABLE, "true", "n_slices DESC") == {"a": ("s2",)}


def test_a_condition_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ranking.ALONE, "max_execution_time", "200")
    with pytest.raises(BadQuery, match=r"pick: stopped after 10 s; rank by columns"):
        best_series(TABLE, ENDLESS, "n_slices")
