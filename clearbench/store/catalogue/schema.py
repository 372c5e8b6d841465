"""The catalogue's tables, and the views of SQL."""

from types import MappingProxyType

import pyarrow as pa

from clearbench.store.result_columns import (
    ATTENTION,
    COPIES,
    PREDICTIONS,
    RESULT_KEY,
    without_draw,
)
from clearbench.technical import FROM_HEADER

_T, _I, _D, _B = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_TECHNICAL = [(column.name, _D if column.number else _T) for column in FROM_HEADER]
_SCAN_KEY = [("cohort", _T), ("scan_id", _T), ("patient_id", _T)]

_FILE = [
    ("file_id", _I),
    ("path", _T),
    ("start", _I),
    ("dtype", _T),
    ("encoder", _T),
    ("fingerprint", _T),
    *_SCAN_KEY,
    ("n_slices", _I),
    ("n_views", _I),
    ("dim", _I),
    ("spacing_z_mm", _D),
    ("spacing_y_mm", _D),
    ("spacing_x_mm", _D),
    *_TECHNICAL,
    ("problems", _T),
]
_SLICE = [
    ("file_id", _I),
    ("row_number", pa.int32()),
    ("slice_index", pa.int32()),
    ("view", _T),
    ("z_mm", pa.float32()),
    ("present", _B),
]
_ENCODER = [
    ("encoder", _T),
    ("fingerprint", _T),
    ("title", _T),
    ("family", _T),
    ("dim", _I),
    ("pooling", _T),
    ("views", pa.list_(_T)),
    ("precision", _T),
    ("store_dtype", _T),
    ("weights_sha256", _T),
    ("licence", _T),
    ("parameters_m", _D),
    ("slices_per_s", _D),
]
_RESULT = [
    *((name, _T) for name in RESULT_KEY),
    ("metric", _T),
    ("value", _D),
    ("low", _D),
    ("high", _D),
    ("patients", _I),
    ("created", _T),
    ("forgotten", _I),
]
SCHEMAS = MappingProxyType(
    {
        "sources": pa.schema([("path", _T), ("kind", _T), ("size", _I), ("mtime_ns", _I)]),
        "damaged": pa.schema([("path", _T), ("reason", _T)]),
        "files": pa.schema(_FILE),
        "slice_rows": pa.schema(_SLICE),
        "encoders": pa.schema(_ENCODER),
        # without paths, which may hold names of patients
        "cohort_scans": pa.schema([*_SCAN_KEY, ("study_id", _T), ("day", _T), ("site", _T)]),
        "labels": pa.schema([*_SCAN_KEY, ("label", _T), ("value", _T)]),
        "splits": pa.schema([*_SCAN_KEY, ("split", _T)]),
        "results": pa.schema(_RESULT),
        "predictions": without_draw(PREDICTIONS),
        "attention": without_draw(ATTENTION),
        "duplicates": COPIES,
    }
)

_TYPES = {
    _T: "VARCHAR",
    _I: "BIGINT",
    _D: "DOUBLE",
    _B: "BOOLEAN",
    pa.int32(): "INTEGER",
    pa.float32(): "FLOAT",
    pa.list_(_T): "VARCHAR[]",
}

CREATE = ";\n".join(
    f"CREATE TABLE {table} ("
    + ", ".join(f'"{field.name}" {_TYPES[field.type]}' for field in schema)
    + ")"
    for table, schema in SCHEMAS.items()
)

SCANS_VIEW = f"""
CREATE VIEW scans AS
SELECT c.cohort, c.scan_id, c.patient_id, c.study_id, try_cast(c.day AS DOUBLE) AS day, c.site,
       s.split, f.n_slices, f.spacing_z_mm, f.spacing_y_mm, f.spacing_x_mm,
       {", ".join(f"f.{column.name}" for column in FROM_HEADER)}, f.problems,
       coalesce(e.encoders, []) AS encoders
FROM catalogue.cohort_scans c
LEFT JOIN catalogue.splits s USING (cohort, scan_id)
LEFT JOIN (
    SELECT cohort, scan_id, list(encoder || '@' || fingerprint[:8] ORDER BY encoder) AS encoders
    FROM catalogue.files GROUP BY ALL
) e USING (cohort, scan_id)
LEFT JOIN (
    SELECT DISTINCT ON (cohort, scan_id) * FROM catalogue.files ORDER BY file_id DESC
) f USING (cohort, scan_id)
"""

PLAIN_VIEWS = (
    "encoders", "labels", "splits", "results", "predictions", "attention", "duplicates",
)  # fmt: skip

SLICES_VIEW = """
CREATE VIEW slices AS
SELECT f.encoder, f.fingerprint, f.cohort, f.scan_id, r.slice_index, r.view, r.z_mm
FROM catalogue.slice_rows r JOIN catalogue.files f USING (file_id) WHERE r.present
"""

# for a store without features: there the length of an embedding is unknown
EMPTY_SLICES_VIEW = SLICES_VIEW.replace("r.z_mm\n", "r.z_mm, NULL::FLOAT[] AS embedding\n")

ROWS_OF = """
SELECT f.encoder, f.fingerprint, f.cohort, f.scan_id, r.slice_index, r.view, r.z_mm, r.present
FROM catalogue.slice_rows r JOIN catalogue.files f USING (file_id)
WHERE f.encoder = ? AND f.fingerprint = ? ORDER BY r.file_id, r.row_number
"""

# in the order of ROWS_OF: embeddings are put next to those rows without a join
FILES_OF = """
SELECT path, "start", dtype, n_slices, n_views, dim FROM catalogue.files
WHERE encoder = ? AND fingerprint = ? ORDER BY file_id
"""
