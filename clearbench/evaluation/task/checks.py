"""Check numbers of what a task needs: labels, scans and their pixels. Two results with other
numbers are not of one question.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence

from clearbench.evaluation.task.units import Units

LABEL_DIGITS = 4  # hexadecimal, 16 bits: one change in 65,536 is missed
DIGITS = 16


def labels_check(units: Units) -> str:
    """Return a check number of all units' labels; it almost certainly changes with any label.

    It is short on purpose: a long digest would let others find patients' labels by trying all.
    """
    rows = sorted(zip(units.ids, units.targets.tolist(), strict=True))
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:LABEL_DIGITS]


def scans_check(units: Units) -> str:
    """Return a check number of the scans of every unit, and of the slices that the task takes."""
    keys = units.key_slices or ((),) * len(units.ids)
    scans = [
        sorted(zip(some, marks or [None] * len(some), strict=True), key=lambda each: each[0])
        for some, marks in zip(units.scans, keys, strict=True)
    ]
    return _digest(zip(units.ids, scans, strict=True))


def units_check(ids: Sequence[str]) -> str:
    """Return a check number of the units that an encoder has features of."""
    return _digest(ids)


def pixels_check(ids: Sequence[str], pixels: Sequence[Sequence[str]]) -> str:
    """Return a check number of the pixels from which the features of every unit were made."""
    return _digest(zip(ids, map(sorted, pixels), strict=True))


def _digest(rows: Iterable[object]) -> str:
    """Return the digest of some rows, whatever their order."""
    text = json.dumps(sorted(json.dumps(row) for row in rows))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
