"""RAD-ChestCT: chest CTs of Duke University with 84 findings, taken from their reports.

Draelos et al., "Machine-learning-based multiple abnormality prediction with large-scale chest
computed tomography volumes", Med. Image Anal. 2021, doi:10.1016/j.media.2020.101857;
Zenodo, doi:10.5281/zenodo.6406114, whose record states the licence. Expected: the tables of
that record and the .npz volumes in one folder; the volumes may be in a sub-folder `images`, the
tables in a sub-folder `tables`. Label columns are `<finding>*<location>`; a finding is present if
it is present at any location.
"""

from collections import defaultdict
from pathlib import Path

from clearbench.datasets.public.published import DataSetFolder
from clearbench.datasets.rows import TableRow, highest, public_cohort_table, read_table_rows
from clearbench.errors import BadCohort

SOURCE_URL = "https://doi.org/10.5281/zenodo.6406114"
METADATA = "CT_Scan_Metadata_Complete_35747.csv"
IDS = ("VolumeAcc_DEID", "NoteAcc_DEID", "MRN_DEID")
PARTS = {"imgtrain": "train", "imgvalid": "val", "imgtest": "test"}
FINDINGS = (
    *("nodule", "mass", "opacity", "consolidation", "atelectasis", "pleural_effusion"),
    *("pneumothorax", "pericardial_effusion", "cardiomegaly"),
)  # the nine that the paper trains on, which every label table must have


def build(root: Path) -> DataSetFolder:
    """Read the volumes `<id>.npz`, the metadata and the three label tables as a cohort.

    Labels: every finding of the tables (0, 1). The split is that of the data set's label tables:
    imgtrain, imgvalid and imgtest. Raises BadCohort for another layout.
    """
    tables = root / "tables" if (root / "tables").is_dir() else root
    images = root / "images" if (root / "images").is_dir() else root
    volumes = {path.name for path in images.glob("[!.]*.npz")}
    if not volumes:
        raise BadCohort(f"{images}: no volumes; expected e.g. trn00001.npz ({SOURCE_URL})")
    labels = _labels(tables)
    metadata = [
        row
        for row in read_table_rows(tables / METADATA, IDS, SOURCE_URL)
        if row["VolumeAcc_DEID"] in volumes and row["NoteAcc_DEID"] in labels
    ]
    prefix = "images/" if images != root else ""
    rows = [_row(prefix, row, labels[row["NoteAcc_DEID"] or ""]) for row in metadata]
    if not rows:
        raise BadCohort(f"{root}: none of its {len(volumes)} volumes has labels and metadata")
    unknown = sorted(volumes - {row["VolumeAcc_DEID"] for row in metadata})
    absent = len(labels) - len(rows)
    missing = [f"{name}: no labels or no metadata, left out" for name in unknown]
    missing += [f"{absent} labelled scans have no volume"] if absent else []
    return DataSetFolder(public_cohort_table("rad-chestct", rows), tuple(missing))


def _labels(tables: Path) -> dict[str, TableRow]:
    """Return each scan's findings and split by NoteAcc_DEID."""
    found: dict[str, TableRow] = {}
    for part, side in PARTS.items():
        path = tables / f"{part}_Abnormality_and_Location_Labels.csv"
        if path.is_file():
            for row in read_table_rows(path, ("NoteAcc_DEID",), SOURCE_URL):
                found[row.pop("NoteAcc_DEID") or ""] = {"split": side, **_findings(row, path)}
    if not found:
        raise BadCohort(
            f"{tables}: no label table; expected e.g. "
            f"imgtrain_Abnormality_and_Location_Labels.csv ({SOURCE_URL})"
        )
    return found


def _findings(row: TableRow, path: Path) -> TableRow:
    """Join a finding's locations: it is present if it is present at any of them."""
    cells: dict[str, list[str | None]] = defaultdict(list)
    for column, value in row.items():
        if "*" in column:
            cells[column.partition("*")[0].strip()].append(value)
    for name in FINDINGS:
        if name not in cells:
            raise BadCohort(f"{path}: no column {name}*<location>; expected as in {SOURCE_URL}")
    return {name: highest(values) for name, values in sorted(cells.items())}


def _row(prefix: str, row: TableRow, labels: TableRow) -> TableRow:
    """Return one volume as a cohort row."""
    volume = row["VolumeAcc_DEID"] or ""
    return {
        "scan_id": f"radchestct-{volume.removesuffix('.npz')}",
        "patient_id": row["MRN_DEID"],
        "path": f"{prefix}{volume}",
        "study_id": row["NoteAcc_DEID"],
        **labels,
    }
