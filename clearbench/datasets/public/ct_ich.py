"""CT-ICH: 82 head CTs with intracranial haemorrhage labels, in brain and bone windows.

Hssayeni et al., "Computed Tomography Images for Intracranial Hemorrhage Detection and
Segmentation", v1.0.0 and later, PhysioNet, doi:10.13026/4nae-zg36, CC BY 4.0.
"""

from collections import defaultdict
from pathlib import Path

from clearbench.cohort.table import MARKS
from clearbench.datasets.public.published import DataSetFolder
from clearbench.datasets.rows import Row, cohort_table, read_rows, whole
from clearbench.errors import BadCohort

WHENCE = "https://doi.org/10.13026/4nae-zg36"
TABLE = "patient_labels.csv"
SLICES = "slice_labels.csv"
KINDS = ("intraventricular", "intraparenchymal", "subarachnoid", "epidural", "subdural", "fracture")
ANY = "hemorrhage"
LABELS = (*KINDS, ANY)
WINDOWS = ("brain", "bone")

Marks = dict[tuple[str, str], list[int]]  # slices by patient and label


def build(root: Path) -> DataSetFolder:
    """Read `<patient>/<brain|bone>/<slice>.jpg` and `patient_labels.csv` as a cohort.

    Labels: the five kinds of haemorrhage, fracture, and `hemorrhage` (any kind). With
    `slice_labels.csv`, key_slices are those with a haemorrhage, key_slices_<label> those of one
    label.
    Raises BadCohort if the label file or every patient folder is missing, or a slice has no number.
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
    marks = _read_marks(root / SLICES)
    scans = [_row(name, labels[name]) | _marked(name, marks) for name in sorted(present)]
    missing = tuple(f"{name}: in the labels, no folder" for name in sorted(set(labels) - present))
    notes = () if marks else (f"{SLICES}: not there, so no slice is marked",)
    return DataSetFolder(cohort_table("ct-ich", scans), missing, notes)


def _read_marks(path: Path) -> Marks:
    """Read which slices have which label; empty without the table."""
    if not path.is_file():
        return {}
    marks: Marks = defaultdict(list)
    for line, row in enumerate(read_rows(path, ("patient_id", "slice", *LABELS), WHENCE), start=2):
        number = whole(row["slice"]) or ""
        if not number.isdigit():
            raise BadCohort(f"{path}, line {line}: slice is {number or 'blank'}, no number")
        for name in LABELS:
            if whole(row[name]) == "1":
                marks[row["patient_id"] or "", name].append(int(number))
    return marks


def _marked(patient: str, marks: Marks) -> Row:
    """Write one patient's marked slices; their number in the table is that of the image."""
    if not marks:
        return {}
    cells = {name: " ".join(map(str, sorted(marks.get((patient, name), ())))) for name in LABELS}
    own = {f"{MARKS}_{name}": cell or None for name, cell in cells.items()}
    return {MARKS: cells[ANY] or None, **own}


def _row(patient: str, labels: Row) -> Row:
    """Write one patient, who is one scan, as a cohort row."""
    return {
        "scan_id": f"ctich-{patient}",
        "patient_id": patient,
        "path": patient,
        **{name: labels[name] for name in LABELS},
    }
