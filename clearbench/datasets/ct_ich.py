"""CT-ICH: 82 head CTs with intracranial haemorrhage labels, in brain and bone windows.

Hssayeni et al., "Computed Tomography Images for Intracranial Hemorrhage Detection and
Segmentation", v1.0.0 and later, PhysioNet, doi:10.13026/4nae-zg36, CC BY 4.0.
"""

from pathlib import Path

import pyarrow as pa

from clearbench.cohort.files import read_table
from clearbench.datasets.published import DataSetFolder
from clearbench.errors import BadCohort

KINDS = ("intraventricular", "intraparenchymal", "subarachnoid", "epidural", "subdural", "fracture")
WINDOWS = ("brain", "bone")


def build(root: Path) -> DataSetFolder:
    """Read `<patient>/<brain|bone>/<slice>.jpg` and `patient_labels.csv` as a cohort.

    Labels: the five kinds of haemorrhage, fracture, and `hemorrhage` (any kind).
    Raises BadCohort if the label file or every patient folder is missing.
    """
    labels = {
        str(row["patient_id"]): row for row in read_table(root / "patient_labels.csv").to_pylist()
    }
    present = {
        name for name in labels if any((root / name / window).is_dir() for window in WINDOWS)
    }
    if not present:
        raise BadCohort(
            f"{root}: no patient folders; expected e.g. {next(iter(labels))}/brain/001.jpg "
            "(https://doi.org/10.13026/4nae-zg36)"
        )
    rows = [_row(name, labels[name]) for name in sorted(present)]
    missing = tuple(f"{name}: in the labels, no folder" for name in sorted(set(labels) - present))
    return DataSetFolder(pa.Table.from_pylist(rows), missing)


def _row(patient: str, labels: dict[str, str | None]) -> dict[str, str | None]:
    """Write one patient, who is one scan, as a cohort row."""
    try:
        values = {name: labels[name] for name in (*KINDS, "hemorrhage")}
    except KeyError as error:
        raise BadCohort(f"patient_labels.csv: no column {error}") from error
    return {
        "scan_id": f"ctich-{patient}",
        "patient_id": patient,
        "path": patient,
        "cohort": "ct-ich",
        "public": "1",
        **values,
    }
