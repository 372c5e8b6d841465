"""An evaluation → a result on disk: JSON, with predictions and attention as Parquet."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet

from clearbench.cores import usable_cores
from clearbench.evaluation.guards.report import GuardFinding
from clearbench.evaluation.heads.presets import HEADS_VERSION
from clearbench.evaluation.protocol.evaluate import Evaluation, FoldResult
from clearbench.evaluation.protocol.learning_curve import CurvePoint
from clearbench.evaluation.task.card import TaskCard
from clearbench.evaluation.task.checks import units_check
from clearbench.files import write_text, write_whole
from clearbench.results.predictions import attention_table, predictions_table
from clearbench.results.record import Result
from clearbench.store.records import EncoderRecord
from clearbench.versions import SCORE_LIBRARIES, library_versions


def make_result(
    evaluation: Evaluation,
    slices_per_s: float | None,
    guards: Sequence[GuardFinding] = (),
    curve: Sequence[CurvePoint] = (),
) -> Result:
    """Turn an evaluation, its guards' findings and its curve into a result record."""
    task, record, units = evaluation.prepared.task, evaluation.record, evaluation.units
    card = record.card
    return Result(
        task=task.name,
        task_title=task.card.title,
        task_version=task.card.version,
        task_sha256=task.sha256,
        content_sha256=task.card.content_sha256,
        labels_check=evaluation.prepared.labels_check,
        scans_check=evaluation.prepared.scans_check,
        units_check=units_check(units.ids),
        pixels_check=evaluation.prepared.pixels_check,
        cohort=task.card.cohort,
        target=task.card.target,
        metric=task.card.primary,
        outputs=task.card.outputs,
        encoder=record.name,
        encoder_title=card.get("title", record.name),
        fingerprint=record.fingerprint,
        dim=record.dim,
        views=record.views,
        stored_views=record.stored_views,
        precision=record.precision,
        head=evaluation.head,
        declared_head=task.card.head,
        head_precision=evaluation.precision,
        test_cohort=evaluation.test_cohort,
        preset=evaluation.preset,
        seeds=evaluation.seeds,
        draws=len(evaluation.retrained),
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
        fold_scores=[_fold_row(one, task.card) for one in evaluation.fold_results],
        guards=[asdict(finding) for finding in guards],
        curve=[_point_row(point) for point in curve],
        floor=record.floor,
        gates=gates(record, evaluation.head, task.card),
        licence=card.get("weights", {}).get("licence", ""),
        parameters_m=card.get("facts", {}).get("parameters_m"),
        slices_per_s=slices_per_s,
        seconds=round(evaluation.seconds, 2),
        versions=library_versions(SCORE_LIBRARIES),
        cores=usable_cores(),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        seed_spread=_number(evaluation.seed_spread),
        heads_version=HEADS_VERSION,
    )


def gates(record: EncoderRecord, head: str, card: TaskCard) -> bool:
    """Tell whether an encoder must beat these features and head to be ranked.

    A floor that is an encoder, such as a random network, counts under the declared head only, as
    encoders do: its best of many heads is no fair bar. Floors without heads of their own count.
    """
    return record.floor and (not record.embeds or head == card.head)


def _named(metric: str, card: TaskCard) -> str:
    """Name an output's score by its label or class: auroc/2 becomes auroc/liver."""
    name, _, number = metric.partition("/")
    return f"{name}/{card.outputs[int(number)]}" if number else name


def _numbers(score: dict[str, float]) -> dict[str, float | None]:
    """Round a score for JSON."""
    return {name: _number(value) for name, value in score.items()}


def _number(value: float) -> float | None:
    """Round a number for JSON, which has no NaN: a missing value is null."""
    return None if math.isnan(value) else round(value, 6)


def _fold_row(one: FoldResult, card: TaskCard) -> dict[str, Any]:
    """Return the row of one head: its fold, numbers of patients, the group column, its settings."""
    fold = one.fold
    left_out = {"left_out": card.split.group} if card.split.group else {}
    return {
        "repeat": fold.repeat,
        "fold": fold.number,
        "seed": one.seed,
        "train": len(fold.train),
        "tune": len(fold.tune),
        "test": len(fold.test),
        **left_out,
        **one.settings,
    }


def _point_row(point: CurvePoint) -> dict[str, Any]:
    """Return one point of a label-efficiency curve."""
    return {
        "patients": point.patients,
        "whole": point.whole,
        "draws": point.draws,
        **_numbers(asdict(point.score) | {"spread": point.spread}),
    }


def write_result(result: Result, evaluation: Evaluation, folder: Path) -> Path:
    """Write a result; the JSON last, so that a result always has its predictions."""
    task_folder = folder / result.task
    path = task_folder / f"{result.stem}.json"
    tables = {
        "predictions": predictions_table(result, evaluation),
        "attention": attention_table(result, evaluation),
    }
    for name, table in tables.items():
        table_path = task_folder / f"{result.stem}.{name}.parquet"
        if table.num_rows:
            write_whole(table_path, partial(pyarrow.parquet.write_table, table, compression="zstd"))
    facts = {name: value for name, value in asdict(result).items() if name != "path"}
    text = json.dumps(facts, indent=1, sort_keys=True) + "\n"
    write_text(path, text)
    return path
