"""CT-RATE: non-contrast chest CTs with 18 findings, taken from their reports.

Hamamci et al., "Generalist foundation models from a multimodal dataset for 3D computed
tomography" (arXiv 2403.17834), huggingface.co/datasets/ibrahimhamamci/CT-RATE, CC BY-NC-SA 4.0,
access on request. Its first volumes (folders train, valid) have blank NIfTI headers and raw values;
train_fixed and valid_fixed have HU with geometry, and only those are read. A language model made
the labels from the reports; no reader made them from the images. The validation part is the test
side.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from clearbench.datasets.public.published import DataSetFolder
from clearbench.datasets.rows import TableRow, public_cohort_table, read_table_rows, whole
from clearbench.errors import BadCohort

SOURCE_URL = "https://huggingface.co/datasets/ibrahimhamamci/CT-RATE"
FINDINGS = (
    "Medical material", "Arterial wall calcification", "Cardiomegaly", "Pericardial effusion",
    "Coronary artery wall calcification", "Hiatal hernia", "Lymphadenopathy", "Emphysema",
    "Atelectasis", "Lung nodule", "Lung opacity", "Pulmonary fibrotic sequela", "Pleural effusion",
    "Mosaic attenuation pattern", "Peribronchial thickening", "Consolidation", "Bronchiectasis",
    "Interlobular septal thickening",
)  # fmt: skip
LABELS = {name: name.lower().replace(" ", "_") for name in FINDINGS}
SIDES = {"train": "train", "valid": "test"}
NAME = re.compile(r"(?P<study>(?P<patient>(train|valid)_\d+)_[a-z]+)_\d+")


@dataclass(frozen=True)
class _Part:
    """One part's rows, labelled volumes that are missing, and the number that aren't chests."""

    rows: list[TableRow]
    absent: list[str]
    no_chest: int


def build(root: Path) -> DataSetFolder:
    """Read `<part>_fixed/<patient>/<scan>/<volume>.nii.gz` and the label tables as a cohort.

    `root` is the download or its folder `dataset`. Labels: 18 findings. A scan's reconstructions
    are rows of one study. Volumes listed as no chest are left out. Raises BadCohort for another
    layout, or if there are only volumes that aren't in HU.
    """
    base = root / "dataset" if (root / "dataset").is_dir() else root
    parts = [part for part in SIDES if (base / f"{part}_fixed").is_dir()]
    if not parts:
        raise BadCohort(_no_volumes(base))
    found = [_part(base, "dataset/" if base != root else "", part) for part in parts]
    rows = [row for part in found for row in part.rows]
    if not rows:
        raise BadCohort(f"{base}: none of the labelled volumes is there ({SOURCE_URL})")
    missing = [f"{part}_fixed: no such folder" for part in SIDES if part not in parts]
    missing += [
        f"{len(part.absent)} labelled volumes are missing, e.g. {part.absent[0]}"
        for part in found
        if part.absent
    ]
    heads = sum(part.no_chest for part in found)
    notes = (f"{heads} volumes left out that are listed as no chest",) if heads else ()
    return DataSetFolder(public_cohort_table("ct-rate", rows), tuple(missing), notes)


def _no_volumes(base: Path) -> str:
    """Return the error text: no volumes, or only volumes in raw values."""
    raw = [part for part in SIDES if (base / part).is_dir()]
    if raw:
        return (
            f"{base}: the volumes in {' and '.join(raw)} have blank headers and no HU; "
            f"get train_fixed and valid_fixed from {SOURCE_URL}"
        )
    return (
        f"{base}: no volumes; expected e.g. train_fixed/train_1/train_1_a/train_1_a_1.nii.gz "
        f"({SOURCE_URL})"
    )


def _part(base: Path, prefix: str, part: str) -> _Part:
    """Read the labels of one part and find its volumes."""
    labels = base / "multi_abnormality_labels" / f"{part}_predicted_labels.csv"
    no_chest = _no_chest(base / "metadata" / f"no_chest_{part}.txt")
    rows, absent, heads = [], [], 0
    for row in read_table_rows(labels, ("VolumeName", *FINDINGS), SOURCE_URL):
        name = (row["VolumeName"] or "").removesuffix(".nii.gz")
        match = NAME.fullmatch(name)
        if match is None:
            raise BadCohort(f"{labels}: VolumeName {name or '(blank)'}; expected e.g. {part}_1_a_1")
        path = f"{part}_fixed/{match['patient']}/{match['study']}/{name}.nii.gz"
        if name in no_chest:
            heads += 1
        elif not (base / path).is_file():
            absent.append(path)
        else:
            rows.append(_row(match, f"{prefix}{path}", row) | {"split": SIDES[part]})
    return _Part(rows, absent, heads)


def _row(match: re.Match[str], path: str, row: TableRow) -> TableRow:
    """Return one volume as a cohort row."""
    return {
        "scan_id": f"ctrate-{match[0]}",
        "patient_id": match["patient"],
        "path": path,
        "study_id": match["study"],
        **{label: whole(row[column]) for column, label in LABELS.items()},
    }


def _no_chest(path: Path) -> frozenset[str]:
    """Read the list of volumes that aren't chests (mostly heads); empty without the file."""
    lines = path.read_text(encoding="utf-8").split() if path.is_file() else []
    return frozenset(line.rpartition("/")[2].removesuffix(".nii.gz") for line in lines)
