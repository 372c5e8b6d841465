"""The synthetic cohort as files: DICOM folders, NIfTI files, cohort.csv and lesions.csv."""

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from clearbench.cohort.columns import MARKS
from clearbench.cores import usable_cores
from clearbench.datasets.synthetic.findings import SITES, Patient, draw_patients
from clearbench.datasets.synthetic.lesions import LesionBox
from clearbench.datasets.synthetic.scan import DrawnScan, Seeds, draw_scan
from clearbench.datasets.synthetic.technique import Technique, draw_technique
from clearbench.errors import BadRequest
from clearbench.files import write_folder
from clearbench.scans.write import DicomHeader, seeded_uid, write_dicom_series, write_nifti

COHORT_FILE = "cohort.csv"
LESIONS_FILE = "lesions.csv"
COHORT_COLUMNS = (
    *("scan_id", "patient_id", "path", "cohort", "study_id", "day", "split"),
    *("thickness_mm", "kernel", "contrast", "manufacturer"),
    *SITES,
    *("lung_disease", "stage"),
    *(MARKS, *(f"{MARKS}_{site}" for site in SITES)),
)
LESION_COLUMNS = ("scan_id", "slice_index", "x1", "y1", "x2", "y2", "site", "diameter_mm")

_STAMP_FILE = "synthetic.json"
_DRAWING_VERSION = 3  # raised when the same seed gives other files
_SECOND_SCAN_EVERY = 15
_WORKERS = 4


@dataclass(frozen=True)
class PlannedScan:
    """One scan before it is drawn: patient, day, technique, and its path under the root."""

    scan_id: str
    patient: Patient
    technique: Technique
    seeds: Seeds
    day: int
    path: str


def write_cohort(
    root: Path,
    *,
    patients: int = 60,
    seed: int = 2411,
    on_event: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the cohort under ``root``, unless it is there already, and return cohort.csv.

    Half of the scans are DICOM folders, half .nii.gz files; lesions.csv is next to cohort.csv.
    ``on_event(done, total)`` is called after each scan. ``root`` appears complete or not at all.
    Raises BadRequest if ``root`` has other contents, or for too few patients.
    """
    stamp = {"patients": patients, "seed": seed, "version": _DRAWING_VERSION}
    if _is_complete(root, stamp):
        return root / COHORT_FILE
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise BadRequest(f"{root} has other contents; name an empty or a new folder")
    plan = plan_scans(patients, seed)
    write_folder(root, lambda draft: _write_draft(draft, plan, stamp, on_event))
    return root / COHORT_FILE


def plan_scans(patients: int, seed: int) -> tuple[PlannedScan, ...]:
    """Choose everything of the cohort except its pixels.

    Raises BadRequest for too few patients.
    """
    plan: list[PlannedScan] = []
    for index, patient in enumerate(draw_patients(patients, seed)):
        gap_days = int(np.random.default_rng([seed, 7, index]).integers(30, 400))
        days = (0, gap_days) if index % _SECOND_SCAN_EVERY == 7 else (0,)
        for number, day in enumerate(days):
            scan_id = f"{patient.patient_id}-{'ab'[number]}"
            ending = "" if len(plan) % 2 == 0 else ".nii.gz"
            technique = draw_technique(seed, index, number)
            seeds = Seeds(seed, index, number)
            path = f"scans/{scan_id}{ending}"
            plan.append(PlannedScan(scan_id, patient, technique, seeds, day, path))
    return tuple(plan)


def _is_complete(root: Path, stamp: dict[str, int]) -> bool:
    """Return True if ``root`` is a complete cohort of exactly these parameters."""
    try:
        found = json.loads((root / _STAMP_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found == stamp and (root / COHORT_FILE).is_file())


def _write_draft(
    draft: Path,
    plan: Sequence[PlannedScan],
    stamp: dict[str, int],
    on_event: Callable[[int, int], None] | None,
) -> None:
    """Write scans, tables and stamp into a new folder."""
    boxes = _write_scans(draft, plan, on_event)
    rows = (_cohort_row(scan) | _mark_cells(boxes[scan.scan_id]) for scan in plan)
    _write_table(draft / COHORT_FILE, COHORT_COLUMNS, rows)
    lesions = (_lesion_row(scan.scan_id, box) for scan in plan for box in boxes[scan.scan_id])
    _write_table(draft / LESIONS_FILE, LESION_COLUMNS, lesions)
    (draft / _STAMP_FILE).write_text(json.dumps(stamp) + "\n", encoding="utf-8")


def _write_scans(
    folder: Path, plan: Sequence[PlannedScan], on_event: Callable[[int, int], None] | None
) -> dict[str, tuple[LesionBox, ...]]:
    """Draw and write every scan in a few threads; return its lesion boxes by scan id."""
    boxes: dict[str, tuple[LesionBox, ...]] = {}
    with ThreadPoolExecutor(min(_WORKERS, usable_cores())) as workers:
        futures = {workers.submit(_write_scan, folder, scan): scan for scan in plan}
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                boxes[futures[future].scan_id] = future.result()
                if on_event is not None:
                    on_event(done, len(plan))
        finally:
            # after an error or Ctrl-C, scans that have not begun are not drawn
            workers.shutdown(cancel_futures=True)
    return boxes


def _write_scan(folder: Path, scan: PlannedScan) -> tuple[LesionBox, ...]:
    """Draw one scan and write it as .nii.gz or DICOM, by the ending of its path."""
    drawn = draw_scan(scan.patient, scan.technique, scan.seeds)
    path = folder / scan.path
    if path.name.endswith(".nii.gz"):
        write_nifti(path, drawn.hu, drawn.spacing_mm, _centred_mm(drawn))
    else:
        write_dicom_series(path, drawn.hu, drawn.spacing_mm, header=_header(scan))
    return drawn.boxes


def _centred_mm(drawn: DrawnScan) -> tuple[float, float, float]:
    """Return the first voxel's position with the middle of the lowest slice at 0, as in DICOM.

    (x, y, z) in LPS mm.
    """
    _, rows, columns = drawn.hu.shape
    _, dy, dx = drawn.spacing_mm
    return -(columns - 1) / 2 * dx, -(rows - 1) / 2 * dy, 0.0


def _header(scan: PlannedScan) -> DicomHeader:
    """Return the DICOM header of a scan."""
    technique, seed = scan.technique, str(scan.seeds.cohort)
    return DicomHeader(
        patient_id=scan.patient.patient_id,
        study_uid=seeded_uid("synthetic", seed, scan.scan_id, "study"),
        series_uid=seeded_uid("synthetic", seed, scan.scan_id, "series"),
        accession_number=f"study-{scan.scan_id}",
        thickness_mm=technique.thickness_mm,
        kernel=technique.kernel,
        contrast=technique.contrast,
        manufacturer=technique.manufacturer,
        model=technique.model,
        kvp=technique.kvp,
        series_description="synthetic, axial",
    )


def _cohort_row(scan: PlannedScan) -> dict[str, object]:
    """Return one scan's row of cohort.csv, without marked slices."""
    patient, technique = scan.patient, scan.technique
    return {
        "scan_id": scan.scan_id,
        "patient_id": patient.patient_id,
        "path": scan.path,
        "cohort": "synthetic",
        "study_id": f"study-{scan.scan_id}",
        "day": scan.day,
        "split": patient.side,
        "thickness_mm": technique.thickness_mm,
        "kernel": technique.kernel,
        "contrast": int(technique.contrast),
        "manufacturer": technique.manufacturer,
        **{site: int(patient.has(site)) for site in SITES},
        "lung_disease": int(patient.disease_extent > 0),
        "stage": patient.stage,
    }


def _mark_cells(boxes: Sequence[LesionBox]) -> dict[str, object]:
    """Return the cells of slices with any lesion, and with a lesion of each site."""
    slices = {site: {box.slice_index for box in boxes if box.site == site} for site in SITES}
    cells = {f"{MARKS}_{site}": indices for site, indices in slices.items()}
    every = {MARKS: set().union(*slices.values()), **cells}
    return {name: " ".join(map(str, sorted(indices))) for name, indices in every.items()}


def _lesion_row(scan_id: str, box: LesionBox) -> dict[str, object]:
    """Return the row of lesions.csv for one lesion in one slice."""
    return {"scan_id": scan_id, **asdict(box), "diameter_mm": round(box.diameter_mm, 1)}


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[dict[str, object]]) -> None:
    """Write rows as CSV with a header line."""
    with path.open("w", encoding="utf-8", newline="") as file:
        # csv's own line end is \r\n
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
