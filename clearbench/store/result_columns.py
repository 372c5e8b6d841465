"""The columns of the tables next to results: predictions, attention, copies; on disk and in SQL.

Each row has its head: repeat, fold, seed and draw (0: trained on all training patients, n:
retrained on the n-th bootstrap sample of them). `cut` is where a score becomes a decision.
"""

import pyarrow as pa

HEAD_KEY = ("repeat", "fold", "seed", "draw")
RESULT_KEY = ("task", "encoder", "fingerprint", "head", "preset")
UNIT = ("unit", "patient_id")
CUT = "cut"  # predictions of older versions lack it: their scores are balanced already

_KEYS = [
    *((name, pa.string()) for name in RESULT_KEY),
    *((name, pa.int64()) for name in HEAD_KEY),
    *((name, pa.string()) for name in UNIT),
]

PREDICTIONS = pa.schema(
    [
        *_KEYS,
        ("label", pa.string()),
        ("truth", pa.float64()),
        ("time", pa.float64()),
        ("score", pa.float64()),
        (CUT, pa.float64()),
    ]
)
ATTENTION = pa.schema(
    [
        *_KEYS,
        ("scan_id", pa.string()),
        ("slice_index", pa.int32()),
        ("view", pa.string()),
        ("weight", pa.float32()),
    ]
)
COPIES = pa.schema(
    [
        *((name, pa.string()) for name in ("task", "test_cohort", "cohort", "scan_id")),
        *((name, pa.string()) for name in ("patient_id", "other_cohort", "other_scan_id")),
        ("other_patient_id", pa.string()),
        ("similarity", pa.float64()),
        ("times_nearer", pa.float64()),
        ("sides", pa.string()),
    ]
)


def without_draw(schema: pa.Schema) -> pa.Schema:
    """Return the columns of SQL, which shows only heads of all training patients (draw 0)."""
    return schema.remove(schema.get_field_index("draw"))


def with_cut(predictions: pa.Table) -> pa.Table:
    """Return predictions with a column of cuts, empty in those of older versions."""
    if CUT in predictions.column_names or "score" not in predictions.column_names:
        return predictions
    return predictions.append_column(CUT, pa.nulls(predictions.num_rows, pa.float64()))
