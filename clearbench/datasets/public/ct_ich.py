"""CT-ICH: 82 head CTs with intracranial haemorrhage labels, in brain and bone windows.

Hssayeni et al., "Computed Tomography Images for Intracranial Hemorrhage Detection and
Segmentation", v1.0.0 and later, PhysioNet, doi:10.13026/4nae-zg36, CC BY 4.0.
"""

from collections import defaultdict
from pathlib import Path

from clearbench.cohort.columns import MARKS
from clearbench.datasets.public.published import DataSetFolder
from clearbench.datasets.rows import TableRow, public_cohort_table, read_table_rows, whole
from clearbench.errors import BadCohort

SOURCE_URL = "https://doi.org/10.13026/4nae-zg36"
TABLE = "patient_labels.csv"
SLICES = "slice_labels.csv"
TYPES = ("intraventricular", "intraparenchymal", "subarachnoid", "epidural", "subdural", "fracture")
ANY = "hemorrhage"
LABELS = (*TYPES, ANY)
WINDOWS = ("brain", "bone")

MarkedSlices = dict[tuple[str, str], list[int]]  # by patient and label


def build(root: Path) -> DataSetFolder:
    """Read `<patient>/<brain|bone>/<slice>.jpg` and `patient_labels.csv` as a cohort.

    Labels: five types of haemorrhage, fracture, and `hemorrhage` (any type). With
    `slice_labels.csv`, key_slices has the slices with a haemorrhage, key_slices_<label> those of
    one label.
    Raises BadCohort if the label file or every patient folder is missing, or a slice has no number.
    """
    rows = read_table_rows(root / TABLE, ("patient_id", *LABELS), SOURCE_URL)
    labels = {row["patient_id"] or "": row for row in rows}
    present = {
        name for name in labels if any((root / name / window).is_dir() for window in WINDOWS)
    }
    if not present:
        raise BadCohort(
            f"{root}: no patient folders; expected e.g. {next(iter(labels))}/brain/001.jpg "
            f"({SOURCE_URL})"
        )
    marked = _read_marked(root / SLICES)
    scans = [_row(name, labels[name]) | _mark_cells(name, marked) for name in sorted(present)]
    missing = tuple(f"{name}: has labels but no folder" for name in sorted(set(labels) - present))
    notes = () if marked else (f"{SLICES}: no such file, so no slice is marked",)
    return DataSetFolder(public_cohort_table("ct-ich", scans), missing, notes)


def _read_marked(path: Path) -> MarkedSlices:
    """Read the slices of each patient and label; {} without the table."""
    if not path.is_file():
        return {}
    marked: MarkedSlices = defaultdict(list)
    rows = read_table_rows(path, ("patient_id", "slice", *LABELS), SOURCE_URL)
    for line, row in enumerate(rows, start=2):
        number = whole(row["slice"]) or ""
        if not number.isdigit():
            raise BadCohort(f"{path}, line {line}: slice is {number or 'blank'}, not a number")
        for name in LABELS:
            if whole(row[name]) == "1":
                marked[row["patient_id"] or "", name].append(int(number))
    return marked


def _mark_cells(patient: str, marked: MarkedSlices) -> TableRow:
    """Return the cells of one patient's marked slices, which have the numbers of the images."""
    if not marked:
        return {}
    cells = {name: " ".join(map(str, sorted(marked.get((patient, name), ())))) for name in LABELS}
    own = {f"{MARKS}_{name}": cell or None for name, cell in cells.items()}
    return {MARKS: cells[ANY] or None, **own}


def _row(patient: str, labels: TableRow) -> TableRow:
    """Return one patient, who has one scan, as a cohort row."""
    return {
        "scan_id": f"ctich-{patient}",
        "patient_id": patient,
        "path": patient,
        **{name: labels[name] for name in LABELS},
    }
