"""The predictions beside a result, as arrays that can be scored again."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from clearbench.board.results import Result
from clearbench.errors import BadRequest

Floats = NDArray[np.float64]


class Run(NamedTuple):
    """Which head spoke: one fold of one repeat, and one seed; draw 0 learnt from all of its
    training patients, the others from patients drawn with replacement.
    """

    repeat: int
    fold: int
    seed: int
    draw: int = 0


@dataclass(frozen=True)
class Spoken:
    """What one head said of its test units, in the order of their names.

    truth [n, labels] as metrics take it (class number, or time and event), scores [n, outputs]
    """

    units: tuple[str, ...]
    patients: tuple[str, ...]
    truth: Floats
    scores: Floats

    def among(self, units: Collection[str]) -> "Spoken":
        """Return what was said of some units."""
        if len(units) == len(self.units) and set(units) == set(self.units):
            return self
        rows = [row for row, unit in enumerate(self.units) if unit in units]
        return Spoken(
            tuple(self.units[row] for row in rows),
            tuple(self.patients[row] for row in rows),
            self.truth[rows],
            self.scores[rows],
        )


def predictions_path(result: Result) -> Path:
    """Return where a result's predictions lie."""
    return Path(f"{result.path.removesuffix('.json')}.predictions.parquet")


def read_predictions(result: Result) -> dict[Run, Spoken]:
    """Read the predictions that lie beside a result, by head.

    Raises BadRequest if they are missing or of another clearbench.
    """
    path = predictions_path(result)
    try:
        table = pyarrow.parquet.read_table(path)
        columns = {name: table.column(name).to_numpy() for name in _WANTED}
        return _by_run(columns, result)
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
        raise BadRequest(f"{path}: no predictions of this clearbench ({error})") from error


def _by_run(columns: dict[str, NDArray[np.generic]], result: Result) -> dict[Run, Spoken]:
    """Gather rows by head."""
    runs = np.stack([columns[name] for name in Run._fields], axis=1)
    found = {}
    for run in np.unique(runs, axis=0):
        rows = (runs == run).all(axis=1)
        mine = {name: values[rows] for name, values in columns.items()}
        found[Run(*(int(number) for number in run))] = _spoken(mine, result)
    return found


_WANTED = (*Run._fields, "unit", "patient_id", "label", "truth", "time", "score")


def _spoken(columns: dict[str, NDArray[np.generic]], result: Result) -> Spoken:
    """Gather one head's rows, one per unit and output, into arrays."""
    units, place = np.unique(columns["unit"].astype(str), return_inverse=True)
    column = [result.outputs.index(str(label)) for label in columns["label"]]

    def laid_out(name: str) -> Floats:
        values: Floats = np.full((len(units), len(result.outputs)), np.nan)
        values[place, column] = columns[name].astype(np.float64)
        return values

    truth = laid_out("truth")
    if result.target == "survival":
        truth = np.hstack([laid_out("time"), truth])
    patients = np.empty(len(units), object)
    patients[place] = columns["patient_id"]
    return Spoken(
        tuple(map(str, units)),
        tuple(map(str, patients)),
        _as_scored(truth, result.target),
        laid_out("score"),
    )


def _as_scored(values: Floats, target: str) -> Floats:
    """Turn truth per output into truth as metrics take it."""
    if target == "multiclass":
        classes: Floats = values.argmax(axis=1)[:, None].astype(np.float64)
        return classes
    if target == "ordinal":
        passed: Floats = values.sum(axis=1, keepdims=True)
        return passed
    return values
