from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from clearbench.errors import BadRequest
from clearbench.results.predictions import (
    HeadKey,
    StoredPredictions,
    largest_difference,
    renamed_predictions,
)


def predictions(
    units: tuple[str, ...], scores: list[float], truth: tuple[float, ...] = ()
) -> StoredPredictions:
    known = np.array(truth or [1.0] * len(units))[:, None]
    return StoredPredictions(units, units, known, np.array(scores)[:, None])


ONE, TWO = HeadKey(0, 0, 0), HeadKey(0, 1, 0)


def test_the_furthest_unit_of_any_head_counts() -> None:
    before = {ONE: predictions(("a", "b"), [0.1, 0.9]), TWO: predictions(("c",), [0.5])}
    after = {ONE: predictions(("a", "b"), [0.1, 0.8]), TWO: predictions(("c",), [0.8])}
    assert largest_difference(before, after, renamed=False) == pytest.approx(0.3)


def test_renamed_units_belong_together_by_their_order() -> None:
    before, after = (
        predictions(("a", "b"), [0.1, 0.9]),
        predictions(("unit-1", "unit-2"), [0.1, 0.9]),
    )
    assert largest_difference({ONE: before}, {ONE: after}, renamed=True) == 0
    with pytest.raises(BadRequest, match="other units"):
        largest_difference({ONE: before}, {ONE: after}, renamed=False)


PLAIN = predictions(("a", "b"), [0.1, 0.9], (1.0, np.nan))


@pytest.mark.parametrize(
    "other",
    [
        {ONE: predictions(("a",), [0.1])},
        {ONE: replace(PLAIN, truth=np.array([[1.0], [0.0]]))},
        {ONE: replace(PLAIN, scores=np.zeros((2, 2)))},
        {TWO: PLAIN},
        {},
    ],
)
@pytest.mark.parametrize("renamed", [True, False])
def test_other_heads_units_or_truths_are_refused(
    other: dict[HeadKey, StoredPredictions], *, renamed: bool
) -> None:
    assert largest_difference({ONE: PLAIN}, {ONE: PLAIN}, renamed=renamed) == 0
    with pytest.raises(BadRequest, match="other units"):
        largest_difference({ONE: PLAIN}, other, renamed=renamed)


def test_an_unknown_unit_is_not_given_away(tmp_path: Path) -> None:
    place, result = (
        tmp_path / "r.predictions.parquet",
        SimpleNamespace(path=str(tmp_path / "r.json")),
    )
    names = {"a": "unit-1"}
    assert renamed_predictions(result, names, names) is None
    for units in (["a"], ["a", "b"]):
        pyarrow.parquet.write_table(pa.table({"unit": units, "patient_id": units}), place)
        found = renamed_predictions(result, names, names)
        assert (None if found is None else found.column("unit").to_pylist()) == (
            ["unit-1"] if units == ["a"] else None
        )
