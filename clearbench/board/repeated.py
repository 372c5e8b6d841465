"""Predictions under other names, and how far two runs of one result differ."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from clearbench.board.predictions import Run, Spoken, predictions_path
from clearbench.board.results import Result
from clearbench.errors import BadRequest


def renamed_predictions(
    result: Result, units: Mapping[str, str], patients: Mapping[str, str]
) -> pa.Table | None:
    """Return a result's predictions under other names of units and patients.

    None if there are none, or one has no other name. Raises BadRequest if they are damaged.
    """
    path = predictions_path(result)
    if not path.is_file():
        return None
    try:
        table = pyarrow.parquet.read_table(path)
        told = {name: table.column(name).to_pylist() for name in ("unit", "patient_id")}
    except (OSError, KeyError, pa.ArrowException) as error:
        raise BadRequest(f"{path}: no predictions of this clearbench ({error})") from error
    for column, names in (("unit", units), ("patient_id", patients)):
        found = [names.get(value) for value in told[column]]
        if None in found:
            return None
        place = table.column_names.index(column)
        table = table.set_column(place, column, pa.array(found, pa.string()))
    return table


def largest_gap(
    before: Mapping[Run, Spoken], after: Mapping[Run, Spoken], *, renamed: bool
) -> float:
    """Return the largest absolute difference between the scores of two runs, by head.

    Units belong together by name; where they were `renamed`, by their order, which names keep.
    Raises BadRequest if the two don't tell of the same heads, units and truths.
    """
    same = before.keys() == after.keys() and all(
        _alike(before[run], after[run], renamed=renamed) for run in before
    )
    if not same:
        raise BadRequest(
            "the predictions beside the result are of other units, folds or truths than the pack's"
        )
    return max(float(np.abs(before[run].scores - after[run].scores).max()) for run in before)


def _alike(one: Spoken, other: Spoken, *, renamed: bool) -> bool:
    """Tell whether two heads were asked the same."""
    named = renamed or (one.units, one.patients) == (other.units, other.patients)
    shaped = one.scores.shape == other.scores.shape
    return named and shaped and np.array_equal(one.truth, other.truth, equal_nan=True)
