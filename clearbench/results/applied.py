"""What a bundle's heads say of scans, as tables: their predictions, and their attention."""

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
    same = _source(applied) | {"label": name}
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


def _source(applied: Applied) -> dict[str, Any]:
    """Return task, encoder and head, the same in every row."""
    facts = applied.facts
    return {
        "task": facts.task,
        "encoder": facts.encoder.name,
        "fingerprint": facts.encoder.fingerprint,
        "head": facts.head,
        "preset": facts.preset,
    }


def applied_attention(applied: Applied) -> pa.Table | None:
    """Return the attention on every instance: unit, scan_id, slice_index, view, weight.

    The weight is the mean over heads, and sums to 1 over a unit. None for heads without attention.
    """
    if not applied.attention:
        return None
    units, parts = applied.units, []
    for row, (bag, weights) in enumerate(zip(applied.bags, applied.attention, strict=True)):
        same = {
            "cohort": units.cohorts[row],
            "unit": units.ids[row],
            "patient_id": units.patients[row],
            **_source(applied),
        }
        parts.append(
            pa.table(
                {
                    **{name: [value] * len(weights) for name, value in same.items()},
                    "scan_id": list(bag.scan_ids),
                    "slice_index": pa.array(bag.slice_index, pa.int32()),
                    "view": list(bag.views),
                    "weight": pa.array(weights, pa.float32()),
                }
            )
        )
    return pa.concat_tables(parts)
