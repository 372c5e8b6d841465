"""CT-ICH: 82 head CTs with intracranial haemorrhage labels, in brain and bone windows.

Hssayeni et al., "Computed Tomography Images for Intracranial Hemorrhage Detection and
Segmentation", v1.0.0 and later, PhysioNet, doi:10.13026/4nae-zg36, CC BY 4.0.
"""

from pathlib import Path

from clearbench.datasets.published import DataSetFolder
from clearbench.datasets.rows import Row, cohort_table, read_rows
from clearbench.errors import BadCohort

WHENCE = "https://doi.org/10.13026/4nae-zg36"
TABLE = "patient_labels.csv"
KINDS = ("intraventricular", "intraparenchymal", "subarachnoid", "epidural", "subdural", "fracture")
LABELS = (*KINDS, "hemorrhage")
WINDOWS = ("brain", "bone")


def build(root: Path) -> DataSetFolder:
    """Read `<patient>/<brain|bone>/<slice>.jpg` and `patient_labels.csv` as a cohort.

    Labels: the five kinds of haemorrhage, fracture, and `hemorrhage` (any kind).
    Raises BadCohort if the label file or every patient folder is missing.
    """
    rows = read_rows(root / TABLE, ("patient_id", *LABELS), WHENCE)
    labels = {row["patient_id"] or "": row for row in rows}
    present = {
        name for name in labels if any((root / name / window).is_dir() for window in WINDOWS)
    }
    if not present:
        raise BadCohort(
            f"{root}: no patient folders; expected e.g. {next(iter(labels))}/brain/001.jpg "
            f"({WHENCE})"
        )
    scans = [_row(name, labels[name]) for name in sorted(present)]
    missing = tuple(f"{name}: in the labels, no folder" for name in sorted(set(labels) - present))
    return DataSetFolder(cohort_table("ct-ich", scans), missing)


def _row(patient: str, labels: Row) -> Row:
    """Write one patient, who is one scan, as a cohort row."""
    return {
        "scan_id": f"ctich-{patient}",
        "patient_id": patient,
        "path": patient,
        **{name: labels[name] for name in LABELS},
    }
