"""One drawn scan: a patient's body and findings, with one technique."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearbench.arrays import Float32s
from clearbench.datasets.synthetic.anatomy import Body, Map, draw_body, draw_tissues
from clearbench.datasets.synthetic.findings import Patient
from clearbench.datasets.synthetic.grid import Grid, make_grid
from clearbench.datasets.synthetic.lesions import DrawnView, LesionBox, add_lesion
from clearbench.datasets.synthetic.lungs import add_disease, add_vessels
from clearbench.datasets.synthetic.technique import Technique
from clearbench.datasets.synthetic.textures import smooth_field, soften
from clearbench.datasets.synthetic.tissues import Tissue, brightness, coarseness

SIZE_PX = 192
LOWEST_HU, HIGHEST_HU = -1024, 3071

_COARSE_PX = 2.5
_BLUR_PX = 0.6


@dataclass(frozen=True)
class DrawnScan:
    """A volume [z, y, x] int16 in HU, feet to head, with its spacing (z, y, x) and lesion boxes."""

    hu: NDArray[np.int16]
    spacing_mm: tuple[float, float, float]
    boxes: tuple[LesionBox, ...]


@dataclass(frozen=True)
class Seeds:
    """The seeds of a scan's random numbers: cohort seed, patient number, scan number."""

    cohort: int
    patient: int
    scan: int


def draw_scan(patient: Patient, technique: Technique, seeds: Seeds) -> DrawnScan:
    """Draw one scan; scans of a patient share body and findings, but not position and noise."""
    body = draw_body(seeds.cohort, seeds.patient)
    spacing_mm = _spacing(body, technique)
    grid = scan_grid(body, technique, spacing_mm)
    scan_rng = np.random.default_rng([seeds.cohort, 4, seeds.patient, seeds.scan])
    tissues = draw_tissues(body, grid, technique.has_table)
    hu = _textured(tissues, technique, scan_rng)
    _fill_lungs(hu, tissues == Tissue.LUNG, grid, patient, seeds, scan_rng)
    boxes = _add_lesions(hu, grid, patient, seeds, technique, body)
    soften(hu, _BLUR_PX)
    # after the blur, which would change the grain of the noise
    hu += technique.noise_hu * smooth_field(scan_rng, grid.shape, technique.grain_px)
    return DrawnScan(
        np.clip(np.rint(hu), LOWEST_HU, HIGHEST_HU).astype(np.int16), spacing_mm, tuple(boxes)
    )


def _spacing(body: Body, technique: Technique) -> tuple[float, float, float]:
    """Return the spacing whose field of view fits the body, in steps of 0.01 mm. (z, y, x)."""
    in_plane_mm = round(2 * (body.half_width_mm + technique.margin_mm) / SIZE_PX, 2)
    return technique.thickness_mm, in_plane_mm, in_plane_mm


def scan_grid(body: Body, technique: Technique, spacing_mm: tuple[float, float, float]) -> Grid:
    """Return the scan's voxels in body coordinates."""
    steps = np.arange(technique.slices, dtype=np.float32)
    z = (technique.start_mm + steps * np.float32(spacing_mm[0])) / np.float32(body.scale)
    return make_grid(z, SIZE_PX, spacing_mm[1] / body.scale, body.phases)


def _textured(tissues: Map, technique: Technique, rng: np.random.Generator) -> Float32s:
    """Return the HU of tissues, with their coarse texture. [z, y, x]."""
    hu = brightness(technique.enhancement)[tissues]
    hu += coarseness()[tissues] * smooth_field(rng, tissues.shape, _COARSE_PX)
    return hu


def _fill_lungs(
    hu: Float32s,
    lung: NDArray[np.bool_],
    grid: Grid,
    patient: Patient,
    seeds: Seeds,
    rng: np.random.Generator,
) -> None:
    """Draw vessels, and lung disease if the patient has it, in place."""
    add_vessels(hu, lung, grid, rng)
    if patient.disease_extent > 0 and lung.any():
        # seeded without the scan's number: the disease is the same in all scans of a patient
        patient_rng = np.random.default_rng([seeds.cohort, 5, seeds.patient])
        add_disease(hu, lung, grid, patient.disease_extent, patient_rng)


def _add_lesions(
    hu: Float32s, grid: Grid, patient: Patient, seeds: Seeds, technique: Technique, body: Body
) -> list[LesionBox]:
    """Draw every lesion in place, each with its own random numbers; return the boxes."""
    boxes: list[LesionBox] = []
    for index, lesion in enumerate(patient.lesions):
        boxes += add_lesion(
            hu,
            grid,
            lesion,
            np.random.default_rng([seeds.cohort, 6, seeds.patient, index]),
            DrawnView(body.scale, technique.thickness_mm, technique.enhancement),
        )
    return boxes
