"""The predictions and the attention next to a result: make, read and rename them.

`store.result_columns` has their columns.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clearbench.arrays import Floats
from clearbench.errors import BadRequest
from clearbench.metrics.cuts import balanced
from clearbench.metrics.outputs import truth_of_output
from clearbench.parquet import read_parquet
from clearbench.results.record import MOST, Result
from clearbench.store.result_columns import (
    ATTENTION,
    CUT,
    HEAD_KEY,
    PREDICTIONS,
    RESULT_KEY,
)

if TYPE_CHECKING:  # boards read predictions without loading torch
    from clearbench.evaluation.protocol.evaluate import Evaluation, FoldResult
    from clearbench.evaluation.task.units import Units


UNKNOWN = ("truth", "time")  # columns that may be blank


class HeadKey(NamedTuple):
    """The head of a row; draw 0 is trained on all training patients, others on resampled ones."""

    repeat: int
    fold: int
    seed: int
    draw: int = 0


@dataclass(frozen=True)
class StoredPredictions:
    """The predictions of one head for its test units, in the order of the units' names.

    truth [n, labels] as metrics take it (class number, or time and event); scores [n, outputs]
    balanced, so that metrics decide at 0.5 (see `metrics.cuts`): the order is that of the
    probabilities on disk, the numbers are others
    """

    units: tuple[str, ...]
    patients: tuple[str, ...]
    truth: Floats
    scores: Floats

    def among(self, units: Collection[str]) -> "StoredPredictions":
        """Return the predictions for some units."""
        if len(units) == len(self.units) and set(units) == set(self.units):
            return self
        rows = [row for row, unit in enumerate(self.units) if unit in units]
        return StoredPredictions(
            tuple(self.units[row] for row in rows),
            tuple(self.patients[row] for row in rows),
            self.truth[rows],
            self.scores[rows],
        )


def predictions_path(result: Result) -> Path:
    """Return where a result's predictions are, or would be."""
    return Path(f"{result.path.removesuffix('.json')}.predictions.parquet")


def predictions_table(result: Result, evaluation: "Evaluation") -> pa.Table:
    """Return truth and score of every test unit, one row per head, unit and output."""
    heads = [
        _HeadScores(_key(each), each.units, each.predictions.scores, each.predictions.cuts)
        for each in evaluation.fold_results
    ]
    heads += [
        _HeadScores(HeadKey(0, 0, 0, each.draw), each.units, each.scores, each.cuts)
        for each in evaluation.retrained
    ]
    return pa.concat_tables(_head_rows(head, result, evaluation.units) for head in heads)


class _HeadScores(NamedTuple):
    """The scores [n, outputs] and cuts [outputs] of one head for some rows of units."""

    key: HeadKey
    rows: tuple[int, ...]
    scores: Floats
    cuts: Floats


def _key(one: "FoldResult") -> HeadKey:
    """Return the key of a fold's head."""
    return HeadKey(one.fold.repeat, one.fold.number, one.seed)


def _key_columns(key: HeadKey, result: Result, count: int) -> dict[str, list[Any]]:
    """Return the columns that name the result and head of each row."""
    facts = {name: getattr(result, name) for name in RESULT_KEY} | key._asdict()
    return {name: [value] * count for name, value in facts.items()}


def _head_rows(head: _HeadScores, result: Result, units: "Units") -> pa.Table:
    """Return the rows of one head, output by output."""
    rows, survival = list(head.rows), result.target == "survival"
    truth = units.targets[rows]
    return pa.concat_tables(
        pa.table(
            _key_columns(head.key, result, len(rows))
            | {
                "unit": [units.ids[row] for row in rows],
                "patient_id": [units.patients[row] for row in rows],
                "label": [output] * len(rows),
                "truth": pa.array(truth_of_output(truth, column, result.target), from_pandas=True),
                "time": pa.array(_times(truth, result.target), from_pandas=True),
                "score": head.scores[:, column],
                "cut": [None if survival else float(head.cuts[column])] * len(rows),
            },
            schema=PREDICTIONS,
        )
        for column, output in enumerate(result.outputs)
    )


def _as_scored(values: Floats, target: str) -> Floats:
    """Turn truth per output into truth as metrics take it; the inverse of `truth_of_output`."""
    if target == "multiclass":
        classes: Floats = values.argmax(axis=1)[:, None].astype(np.float64)
        return classes
    if target == "ordinal":
        passed: Floats = values.sum(axis=1, keepdims=True)
        return passed
    return values


def _times(targets: Floats, target: str) -> Floats:
    """Return each unit's time; NaN unless the target is survival."""
    return targets[:, 0] if target == "survival" else np.full(len(targets), np.nan)


def attention_table(result: Result, evaluation: "Evaluation") -> pa.Table:
    """Return the attention on every instance of every test unit; no rows for heads without it."""
    units, parts = evaluation.units, []
    for one in evaluation.fold_results if evaluation.bags else ():
        # Not strict: a head without attention has none for any unit.
        for row, weights in zip(one.units, one.predictions.attention, strict=False):
            bag = evaluation.bags[row]
            parts.append(
                pa.table(
                    _key_columns(_key(one), result, len(weights))
                    | {
                        "unit": [units.ids[row]] * len(weights),
                        "patient_id": [units.patients[row]] * len(weights),
                        "scan_id": list(bag.scan_ids),
                        "slice_index": pa.array(bag.slice_index, pa.int32()),
                        "view": list(bag.views),
                        "weight": pa.array(weights, pa.float32()),
                    },
                    schema=ATTENTION,
                )
            )
    return pa.concat_tables(parts) if parts else ATTENTION.empty_table()


def read_predictions(result: Result) -> dict[HeadKey, StoredPredictions]:
    """Read the predictions next to a result, by head.

    Raises BadRequest if they are missing, damaged or of another clearbench version.
    """
    wanted = [name for name in PREDICTIONS.names if name not in (*RESULT_KEY, CUT)]
    table = _read_table(predictions_path(result), wanted)
    present = [*wanted, *({CUT} & set(table.column_names))]
    try:
        columns = {name: _values(table, name) for name in present}
        _check_values(columns, result)
        return _by_head(columns, result)
    except (ValueError, TypeError, KeyError) as error:
        raise _unreadable(predictions_path(result), error) from error


def _values(table: pa.Table, name: str) -> NDArray[np.generic]:
    """Return a column in the type that results have; raises ValueError for another one."""
    kind = PREDICTIONS.field(name).type
    column = table.column(name)
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_null)
    like = any(is_kind(column.type) for is_kind in numbers) and not pa.types.is_string(kind)
    if column.type != kind and not like:
        raise ValueError(f"{name} has {column.type}, not {kind}")
    if column.null_count and name not in (*UNKNOWN, CUT):
        raise ValueError(f"{name} has a blank")
    found: NDArray[np.generic] = column.cast(kind).to_numpy()
    return found


def _check_values(columns: Mapping[str, NDArray[np.generic]], result: Result) -> None:
    """Raise ValueError for numbers that no evaluation writes."""
    if not len(columns["unit"]):
        raise ValueError("it has no rows")
    for name in HEAD_KEY:
        if not columns[name].min() >= 0 or not columns[name].max() <= MOST:
            raise ValueError(f"{name} is from {columns[name].min()} to {columns[name].max()}")
    _check_scores(columns, result)
    key = [columns[name].astype(str) for name in (*HEAD_KEY, "unit", "label")]
    if len(set(zip(*key, strict=True))) < len(columns["unit"]):
        raise ValueError("a head has a unit twice")


def _check_scores(columns: Mapping[str, NDArray[np.generic]], result: Result) -> None:
    """Raise ValueError for scores, truths and labels that no evaluation writes."""
    scores, truth = columns["score"].astype(float), columns["truth"].astype(float)
    if not np.isfinite(scores).all():
        raise ValueError("score is not a number everywhere")
    if not np.isin(truth[~np.isnan(truth)], (0, 1)).all():
        raise ValueError("truth is 0 or 1")
    labels = set(columns["label"].tolist()) - set(result.outputs)
    if labels:
        raise ValueError(f"label {min(labels)} is none of the result's outputs")


def _read_table(path: Path, columns: Collection[str]) -> pa.Table:
    """Read a table that has at least these columns; raises BadRequest."""
    try:
        table = read_parquet(path)
        for name in columns:
            # Only for its KeyError if the column is missing, or there twice.
            table.column(name)
    except (OSError, KeyError, ValueError) as error:
        raise _unreadable(path, error) from error
    return table


def _unreadable(path: Path, error: Exception) -> BadRequest:
    """Return the error for predictions that can't be read."""
    return BadRequest(
        f"{path}: not predictions of this clearbench version ({error}); evaluate again"
    )


def _by_head(
    columns: Mapping[str, NDArray[np.generic]], result: Result
) -> dict[HeadKey, StoredPredictions]:
    """Group rows by head."""
    keys = np.stack([columns[name] for name in HEAD_KEY], axis=1)
    found = {}
    for key in np.unique(keys, axis=0):
        rows = (keys == key).all(axis=1)
        head = {name: values[rows] for name, values in columns.items()}
        found[HeadKey(*(int(number) for number in key))] = _one_head(head, result)
    return found


def _one_head(columns: Mapping[str, NDArray[np.generic]], result: Result) -> StoredPredictions:
    """Turn one head's rows, one per unit and output, into arrays."""
    units, row = np.unique(columns["unit"].astype(str), return_inverse=True)
    column = [result.outputs.index(str(label)) for label in columns["label"]]

    def by_unit(name: str) -> Floats:
        values: Floats = np.full((len(units), len(result.outputs)), np.nan)
        values[row, column] = columns[name].astype(np.float64)
        return values

    truth = by_unit("truth")
    if result.target == "survival":
        truth = np.hstack([by_unit("time"), truth])
    patients = np.empty(len(units), object)
    patients[row] = columns["patient_id"]
    return StoredPredictions(
        tuple(map(str, units)),
        tuple(map(str, patients)),
        _as_scored(truth, result.target),
        balanced(result.target, by_unit("score"), by_unit(CUT) if CUT in columns else None),
    )


def renamed_predictions(
    result: Result, units: Mapping[str, str], patients: Mapping[str, str]
) -> pa.Table | None:
    """Return a result's predictions with new names of units and patients.

    None without predictions, or if a unit or patient has no new name. Raises BadRequest if they are
    damaged.
    """
    path = predictions_path(result)
    if not path.is_file():
        return None
    table = _read_table(path, ("unit", "patient_id"))
    for column, names in (("unit", units), ("patient_id", patients)):
        renamed = [names.get(value) for value in table.column(column).to_pylist()]
        if None in renamed:
            return None
        place = table.column_names.index(column)
        table = table.set_column(place, column, pa.array(renamed, pa.string()))
    return table


def largest_difference(
    before: Mapping[HeadKey, StoredPredictions],
    after: Mapping[HeadKey, StoredPredictions],
    *,
    renamed: bool,
) -> float:
    """Return the largest absolute difference between the scores of two runs, head by head.

    Units are matched by name; if they were `renamed`, by their order, which new names keep. Raises
    BadRequest if the two runs differ in heads, units or truths.
    """
    same = before.keys() == after.keys() and all(
        _same_units(before[key], after[key], renamed=renamed) for key in before
    )
    if not same:
        raise BadRequest(
            "the predictions next to the result have other units, folds or truths than the pack"
        )
    return max(float(np.abs(before[key].scores - after[key].scores).max()) for key in before)


def _same_units(one: StoredPredictions, other: StoredPredictions, *, renamed: bool) -> bool:
    """Tell whether two heads were tested on the same units and truths."""
    same_names = renamed or (one.units, one.patients) == (other.units, other.patients)
    same_shape = one.scores.shape == other.scores.shape
    return same_names and same_shape and np.array_equal(one.truth, other.truth, equal_nan=True)
