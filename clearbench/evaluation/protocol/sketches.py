"""The sketches of a task's scans: thumbnails and histograms, stored when they were embedded."""

from pathlib import Path

from clearbench.errors import BadStore
from clearbench.evaluation.guards.copies import Sketches
from clearbench.evaluation.task.units import Units
from clearbench.scans.thumbnail import Sketch
from clearbench.store.features import read_file
from clearbench.store.folder import StoreFolder
from clearbench.store.records import EncoderRecord


def read_sketches(units: Units, record: EncoderRecord, store: StoreFolder) -> Sketches:
    """Read the sketch of each unit's scans, stored when they were embedded; some may be missing."""
    root = store.encoder(record.name, record.fingerprint)
    found = {}
    for cohort, scans in zip(units.cohorts, units.scans, strict=True):
        for scan in scans:
            sketch = _sketch(root / cohort / f"{scan}.h5")
            if sketch is not None:
                found[cohort, scan] = sketch
    return found


def _sketch(path: Path) -> Sketch | None:
    """Read one scan's sketch; None if the scan is not embedded, or its file is damaged."""
    try:
        return read_file(path).sketch
    except BadStore:
        return None
