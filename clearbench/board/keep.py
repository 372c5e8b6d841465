"""An evaluation → the result that is kept: JSON, with predictions and attention as Parquet."""

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from clearbench.board.predictions import Run
from clearbench.board.results import Result
from clearbench.evaluation.efficiency import CurvePoint
from clearbench.evaluation.guards.report import Finding
from clearbench.evaluation.protocol import Evaluation, FoldAnswer
from clearbench.evaluation.targets import Floats
from clearbench.evaluation.tasks import TaskCard
from clearbench.evaluation.units import Units
from clearbench.evaluation.versions import installed_versions
from clearbench.store.folder import write_whole


def make_result(
    evaluation: Evaluation,
    slices_per_s: float | None,
    guards: Sequence[Finding] = (),
    curve: Sequence[CurvePoint] = (),
) -> Result:
    """Turn an evaluation, what the guards say of it and its curve into the published record."""
    task, record, units = evaluation.prepared.task, evaluation.record, evaluation.units
    card = record.card
    return Result(
        task=task.name,
        task_title=task.card.title,
        task_version=task.card.version,
        task_sha256=task.sha256,
        cohort=task.card.cohort,
        target=task.card.target,
        metric=task.card.primary,
        outputs=task.card.outputs,
        encoder=record.name,
        encoder_title=card.get("title", record.name),
        fingerprint=record.fingerprint,
        views=record.views,
        precision=record.precision,
        head=evaluation.head,
        declared_head=task.card.head,
        head_precision=evaluation.precision,
        test_cohort=evaluation.test_cohort,
        preset=evaluation.preset,
        seeds=evaluation.seeds,
        draws=len(evaluation.redrawn),
        folds=len({fold.number for fold in evaluation.prepared.folds}),
        repeats=len({fold.repeat for fold in evaluation.prepared.folds}),
        crossed=task.card.split.crossed,
        split_sha256=evaluation.prepared.split_sha256,
        patients=len(set(units.patients)),
        units=len(units.ids),
        test_patients=len({p for fold in evaluation.prepared.folds for p in fold.test}),
        excluded=units.excluded,
        not_scored=evaluation.prepared.skipped + evaluation.attention_notes,
        scores={
            _named(name, task.card): _numbers(asdict(score))
            for name, score in (evaluation.scores | evaluation.attention_scores).items()
        },
        fold_scores=[_fold_row(answer, task.card) for answer in evaluation.answers],
        guards=[asdict(finding) for finding in guards],
        curve=[_point_row(point) for point in curve],
        floor=record.floor,
        licence=card.get("weights", {}).get("licence", ""),
        parameters_m=card.get("facts", {}).get("parameters_m"),
        slices_per_s=slices_per_s,
        seconds=round(evaluation.seconds, 2),
        versions=installed_versions(),
        cores=os.cpu_count() or 1,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def _named(metric: str, card: TaskCard) -> str:
    """Name an output's score by its label or class: auroc/2 becomes auroc/liver."""
    name, _, number = metric.partition("/")
    return f"{name}/{card.outputs[int(number)]}" if number else name


def _numbers(score: dict[str, float]) -> dict[str, float | None]:
    """Round a score for JSON, which has no NaN: a missing value is null."""
    return {name: None if math.isnan(value) else round(value, 6) for name, value in score.items()}


def _fold_row(answer: FoldAnswer, card: TaskCard) -> dict[str, Any]:
    """Tell one fold: which head, how many patients, and what was left out in turn, if anything."""
    fold = answer.fold
    left_out = {"left_out": card.split.group} if card.split.group else {}
    return {
        "repeat": fold.repeat,
        "fold": fold.number,
        "seed": answer.seed,
        "train": len(fold.train),
        "tune": len(fold.tune),
        "test": len(fold.test),
        **left_out,
        **answer.settings,
    }


def _point_row(point: CurvePoint) -> dict[str, Any]:
    """Tell one point of a label-efficiency curve."""
    return {
        "patients": point.patients,
        "whole": point.whole,
        "draws": point.draws,
        **_numbers(asdict(point.score) | {"spread": point.spread}),
    }


def write_result(result: Result, evaluation: Evaluation, folder: Path) -> Path:
    """Write a result, predictions and attention first: the JSON means that all is there."""
    place = folder / result.task
    path = place / f"{result.stem}.json"
    tables = {
        "predictions": _predictions(result, evaluation),
        "attention": _attention(result, evaluation),
    }
    for name, table in tables.items():
        beside = place / f"{result.stem}.{name}.parquet"
        if table.num_rows:
            write_whole(beside, partial(pyarrow.parquet.write_table, table, compression="zstd"))
    facts = {name: value for name, value in asdict(result).items() if name != "path"}
    text = json.dumps(facts, indent=1, sort_keys=True) + "\n"
    write_whole(path, lambda draft: draft.write_text(text, encoding="utf-8"))
    return path


def _run_columns(run: Run, result: Result, count: int) -> dict[str, list[Any]]:
    """Return the columns that say which head spoke."""
    facts = {
        "task": result.task,
        "encoder": result.encoder,
        "fingerprint": result.fingerprint,
        "head": result.head,
        "preset": result.preset,
        **run._asdict(),
    }
    return {name: [value] * count for name, value in facts.items()}


def _predictions(result: Result, evaluation: Evaluation) -> pa.Table:
    """Tell every test unit's truth and score, one row per output; then what redrawn heads said."""
    heads = [(_run_of(each), each.units, each.judged.scores) for each in evaluation.answers]
    heads += [(Run(0, 0, 0, each.draw), each.units, each.scores) for each in evaluation.redrawn]
    return pa.concat_tables(
        _said(run, list(rows), scores, result, evaluation.units) for run, rows, scores in heads
    )


def _run_of(answer: FoldAnswer) -> Run:
    """Name a fold's head."""
    return Run(answer.fold.repeat, answer.fold.number, answer.seed)


def _said(run: Run, rows: list[int], scores: Floats, result: Result, units: Units) -> pa.Table:
    """Tell what one head said of its test units, output by output."""
    truth = units.targets[rows]
    return pa.concat_tables(
        pa.table(
            _run_columns(run, result, len(rows))
            | {
                "unit": [units.ids[row] for row in rows],
                "patient_id": [units.patients[row] for row in rows],
                "label": [output] * len(rows),
                "truth": pa.array(_truth(truth, column, result.target), from_pandas=True),
                "time": pa.array(_time(truth, result.target), from_pandas=True),
                "score": scores[:, column],
            }
        )
        for column, output in enumerate(result.outputs)
    )


def _truth(targets: Floats, column: int, target: str) -> Floats:
    """Return whether each unit has an output: its label, class, class at or above a cut, event."""
    if target == "multiclass":
        return np.equal(targets[:, 0], column).astype(float)
    if target == "ordinal":
        return np.where(np.isnan(targets[:, 0]), np.nan, targets[:, 0] > column)
    found: Floats = targets[:, 1] if target == "survival" else targets[:, column]
    return found


def _time(targets: Floats, target: str) -> Floats:
    """Return each unit's time; NaN unless the target is survival."""
    return targets[:, 0] if target == "survival" else np.full(len(targets), np.nan)


def _attention(result: Result, evaluation: Evaluation) -> pa.Table:
    """Tell the attention on every instance of every test unit; no rows for heads without any."""
    units, parts = evaluation.units, []
    for answer in evaluation.answers if evaluation.bags else ():
        for row, weights in zip(answer.units, answer.judged.attention, strict=False):
            bag = evaluation.bags[row]
            parts.append(
                pa.table(
                    _run_columns(_run_of(answer), result, len(weights))
                    | {
                        "unit": [units.ids[row]] * len(weights),
                        "patient_id": [units.patients[row]] * len(weights),
                        "scan_id": list(bag.scan_ids),
                        "slice_index": pa.array(bag.slice_index, pa.int32()),
                        "view": list(bag.views),
                        "weight": pa.array(weights, pa.float32()),
                    }
                )
            )
    return pa.concat_tables(parts) if parts else pa.table({})
