"""A store's files as rows of the catalogue; each raises BadStore for a damaged file."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clearbench.cohort.columns import is_label
from clearbench.scans.damage import why
from clearbench.store.agreement import view_names
from clearbench.store.catalogue.schema import SCHEMAS
from clearbench.store.cohorts import stored_table
from clearbench.store.features import FeatureFile
from clearbench.store.folder import StoreFolder
from clearbench.store.json_files import (
    damaged_json,
    is_count,
    is_optional_number,
    is_optional_text,
    read_json,
    wrong_key,
)
from clearbench.store.parquet_files import damaged_parquet, read_parquet
from clearbench.store.records import EncoderRecord, measured_rate
from clearbench.store.result_columns import with_cut
from clearbench.technical import FROM_HEADER

AGAIN = "remove it and evaluate again"
Rows = list[dict[str, Any]]


def file_row(number: int, path: str, found: FeatureFile, record: EncoderRecord) -> dict[str, Any]:
    """Return one feature file, which was checked against its encoder's record, as a row."""
    facts = found.facts
    spacing = facts.about.get("spacing_mm") or [None] * 3
    technical = facts.about.get("facts", {})
    row = {
        "file_id": number, "path": path, "start": facts.offset, "dtype": facts.dtype,
        "encoder": record.name, "fingerprint": record.fingerprint,
        "cohort": facts.path.parent.name, "scan_id": facts.path.stem,
        "patient_id": facts.patient_id,
        "n_slices": facts.shape[0], "n_views": facts.shape[1], "dim": facts.shape[2],
        "spacing_z_mm": spacing[0], "spacing_y_mm": spacing[1], "spacing_x_mm": spacing[2],
        **{column.name: technical.get(column.name) for column in FROM_HEADER},
        "problems": "; ".join(technical.get("problems", [])),
    }  # fmt: skip
    return {name: _cell(value) for name, value in row.items()}


def _cell(value: Any) -> Any:
    """Return a text without halves of letters, which JSON may have and no table can."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


def slice_rows(number: int, found: FeatureFile) -> pa.Table:
    """Return a row per slice and view of a file, in the features' order, with absent ones."""
    rows = found.rows
    count, views = rows.present.shape
    z_mm = np.repeat(rows.z_mm, views)
    return pa.table(
        {
            "file_id": pa.array(np.full(count * views, number, np.int64)),
            "row_number": pa.array(np.arange(count * views, dtype=np.int32)),
            "slice_index": pa.array(np.repeat(rows.slice_index, views)),
            "view": pa.array([*view_names(found.facts.about)] * count, pa.string()),
            # NULL where unknown, because SQL sorts NaN above all numbers
            "z_mm": pa.array(z_mm, mask=np.isnan(z_mm)),
            "present": pa.array(rows.present.reshape(-1)),
        }
    )


def encoder_row(record: EncoderRecord, store: StoreFolder) -> dict[str, Any]:
    """Return an encoder with features in the store as a row."""
    card = record.card
    return {
        "encoder": record.name,
        "fingerprint": record.fingerprint,
        "title": card.get("title"),
        "family": card.get("family"),
        "dim": record.dim,
        "pooling": card.get("pooling"),
        "views": list(record.views),
        "precision": record.precision,
        "store_dtype": record.store_dtype,
        "weights_sha256": record.weights_sha256,
        "licence": (card.get("weights") or {}).get("licence"),
        "parameters_m": (card.get("facts") or {}).get("parameters_m"),
        "slices_per_s": measured_rate(record, store),
    }


def cohort_rows(store: StoreFolder, name: str) -> dict[str, Rows]:
    """Return the rows of a cohort by table: scans, labels (one row each) and splits."""
    scans, labels, splits = Rows(), Rows(), Rows()
    for row in stored_table(store, name).to_pylist():
        owner = {"cohort": name, "scan_id": row["scan_id"], "patient_id": row["patient_id"]}
        more = (column for column in SCHEMAS["cohort_scans"].names if column not in owner)
        scans.append({**owner, **{column: row.get(column) for column in more}})
        labels += [
            {**owner, "label": column, "value": value}
            for column, value in row.items()
            if is_label(column) and value is not None
        ]
        splits += [{**owner, "split": row["split"]}] if row.get("split") else []
    return {"cohort_scans": scans, "labels": labels, "splits": splits}


RESULT_KEYS: Mapping[str, Any] = MappingProxyType(
    {
        **dict.fromkeys(
            ("task", "encoder", "fingerprint", "head", "preset", "created"), is_optional_text
        ),
        **dict.fromkeys(("patients", "forgotten"), lambda value: value is None or is_count(value)),
        "scores": lambda value: value is None or isinstance(value, dict),
    }
)


def result_rows(path: Path) -> Rows:
    """Return a row per metric of a result file."""
    result = read_json(path, AGAIN)
    scores = result.get("scores") or {}
    wrong = wrong_key(result, RESULT_KEYS) or next(
        (name for name, score in scores.items() if not _is_score(score)), ""
    )
    if wrong:
        raise damaged_json(path, f"{wrong} is of another type", AGAIN)
    names = ("task", "encoder", "fingerprint", "head", "preset", "created", "patients")
    facts = {name: result.get(name) for name in names}
    facts["forgotten"] = result.get("forgotten") or 0
    return [
        {**facts, "metric": _cell(name), **{part: score[part] for part in ("value", "low", "high")}}
        for name, score in scores.items()
    ]


def _is_score(score: object) -> bool:
    """Tell whether a score has a value and its interval; each may be null."""
    return isinstance(score, dict) and all(
        part in score and is_optional_number(score[part]) for part in ("value", "low", "high")
    )


def result_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Return a table next to results, in the columns of SQL."""
    table = with_cut(read_parquet(path, AGAIN))
    try:
        if schema is not SCHEMAS["duplicates"]:
            table = table.filter(pc.equal(table.column("draw"), 0))  # heads of all patients
        table = table.select(schema.names)
        other = [field.name for field in table.schema if not _fits(field, schema)]
        if other:
            raise TypeError(f"{other[0]} is of another type")
        return table.cast(schema)
    except (KeyError, ValueError, TypeError, pa.ArrowException) as error:
        names = ", ".join(table.column_names[:40])
        reason = f"columns of another version: {why(error)}; it has {names}"
        raise damaged_parquet(path, reason, AGAIN) from error


def _fits(field: pa.Field, schema: pa.Schema) -> bool:
    """Tell whether a column has texts or numbers as it should: Arrow makes texts of anything."""
    if pa.types.is_null(field.type):
        return True
    texts = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    if pa.types.is_string(schema.field(field.name).type):
        return bool(texts)
    return bool(pa.types.is_integer(field.type) or pa.types.is_floating(field.type))
