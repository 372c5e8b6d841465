"""The columns of the tables beside a result, predictions and attention: on disk and in SQL.

Both tables say which head each row is from: the fold of a repeat, the seed, and the draw (0 for a
head of all training patients, n for the n-th bootstrap sample of them).
"""

import pyarrow as pa

HEAD_KEY = ("repeat", "fold", "seed", "draw")
RESULT_KEY = ("task", "encoder", "fingerprint", "head", "preset")
UNIT = ("unit", "patient_id")

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


def without_draw(schema: pa.Schema) -> pa.Schema:
    """Return the columns that SQL shows: it leaves out the heads of bootstrap samples."""
    return schema.remove(schema.get_field_index("draw"))
