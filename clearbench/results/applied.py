"""The predictions of a bundle's heads as a table: one row per unit and output."""

from typing import Any

import pyarrow as pa

from clearbench.evaluation.bundles.apply import Applied


def applied_table(applied: Applied) -> pa.Table:
    """Return task, encoder, head, unit, patient_id, label, score, spread, threshold, decision.

    `spread` is the standard deviation over heads. `threshold` is null for a multiclass target,
    whose decision is the most probable class; both are null for an output without a threshold.
    """
    columns = enumerate(applied.facts.outputs)
    return pa.concat_tables([_output_rows(applied, column, name) for column, name in columns])


def _output_rows(applied: Applied, column: int, name: str) -> pa.Table:
    """Return the rows of one output."""
    facts, units = applied.facts, applied.units
    same: dict[str, Any] = {
        "task": facts.task,
        "encoder": facts.encoder.name,
        "fingerprint": facts.encoder.fingerprint,
        "head": facts.head,
        "preset": facts.preset,
        "label": name,
    }
    # from_pandas turns NaN into null; an integer column has no NaN.
    decisions = pa.array(applied.decisions[:, column], from_pandas=True)
    return pa.table(
        {
            "cohort": list(units.cohorts),
            "unit": list(units.ids),
            "patient_id": list(units.patients),
            **{key: [value] * len(units.ids) for key, value in same.items()},
            "score": applied.scores[:, column],
            "spread": applied.spread[:, column],
            "threshold": pa.array([facts.thresholds[column]] * len(units.ids), pa.float64()),
            "decision": decisions.cast(pa.int8()),
        }
    )
