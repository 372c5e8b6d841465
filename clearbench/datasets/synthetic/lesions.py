"""Lesions in a body: position, brightness, and the boxes around them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearbench.arrays import Float32s
from clearbench.datasets.synthetic.anatomy import KIDNEYS, LIVER, LUNGS, MUSCLE_MM, RIB_RADIUS
from clearbench.datasets.synthetic.findings import DrawnLesion, Site
from clearbench.datasets.synthetic.grid import Grid, Shape, VoxelBox, box_of, radius_squared

Point = tuple[float, float, float]

_SCANNED_MM = (16.0, 236.0)  # the range of z that every scan covers
_SMALLEST_AREA_PX = 5
_VERTEBRA_SHARE = 0.6
_CORE = 0.6  # of the squared radius
_CALCIUM_HU = 420.0


@dataclass(frozen=True)
class LesionBox:
    """The box around a lesion in one slice, in px; x2 and y2 are one past the last voxel."""

    slice_index: int
    x1: int
    y1: int
    x2: int
    y2: int
    site: Site
    diameter_mm: float


@dataclass(frozen=True)
class Looks:
    """HU of a lesion's solid part and core, and the share of its voxels that is calcified."""

    solid_hu: float
    core_hu: float
    calcified: float = 0.0


_LOOKS: dict[Site, Looks] = {
    "bone": Looks(30, 15),
    "abdomen": Looks(80, 80, calcified=0.2),
    "mediastinum": Looks(85, 60, calcified=0.08),
    "liver": Looks(125, -20),
    "lung": Looks(40, 10, calcified=0.05),
    "kidney": Looks(230, 0),
}


@dataclass(frozen=True)
class DrawnView:
    """How a scan shows a lesion: body mm × ``scale`` are true mm; ``enhancement`` 0 is none."""

    scale: float
    thickness_mm: float
    enhancement: float


def add_lesion(
    hu: Float32s, grid: Grid, lesion: DrawnLesion, rng: np.random.Generator, view: DrawnView
) -> list[LesionBox]:
    """Draw one lesion into ``hu`` [z, y, x] in place and box it in each slice that it crosses.

    The slice thickness is added to a lesion's height, so no lesion is lost between two slices.
    """
    shape = _shape(lesion, view, rng)
    box = box_of(grid, shape)
    distance = _ragged(grid, shape, box, rng)
    _paint(hu[box], distance, _looks(lesion.site, view.enhancement, rng), rng)
    return _boxes(distance < 1, box, lesion)


def _centre(lesion: DrawnLesion) -> Point:
    """Return body coordinates (z, y, x) inside a lesion's site, from its ``place``."""
    z, y, x = _PLACES[lesion.site](*lesion.place)
    return float(np.clip(z, *_SCANNED_MM)), y, x


def _between(low: float, high: float, share: float) -> float:
    """Return the point at ``share`` (0..1) between ``low`` and ``high``."""
    return low + (high - low) * share


def _in_bone(a: float, b: float, c: float) -> Point:
    """Return a place in a vertebra, or in a rib at the side or the back."""
    z = _between(20, 236, b)
    if a < _VERTEBRA_SHARE:
        return z, 60.0, _between(-8, 8, c)
    angle = _between(-0.35, 0.9, c)
    side = 1 if a > (1 + _VERTEBRA_SHARE) / 2 else -1
    # 0.83 is 2 / 2.4, so that the place is on the body's outline (anatomy.py)
    across, back = np.cos(angle) ** 0.83, np.sign(angle) * abs(np.sin(angle)) ** 0.83
    z = _between(130, 236, b)
    return z, RIB_RADIUS * MUSCLE_MM[0] * float(back), side * RIB_RADIUS * MUSCLE_MM[1] * across


def _in_abdomen(a: float, b: float, c: float) -> Point:
    """Return a place between the loops of bowel."""
    return _between(16, 62, a), _between(-62, 6, b), _between(-62, 70, c)


def _in_mediastinum(a: float, b: float, c: float) -> Point:
    """Return a place next to the trachea and the great vessels."""
    side = -1 if a < 0.5 else 1
    # `a` chose the side; within its half it is again evenly spread over 0..1
    return _between(160, 236, (2 * a) % 1), _between(-60, 24, b), side * _between(14, 38, c)


def _in_liver(a: float, b: float, c: float) -> Point:
    """Return a place in the inner two thirds of the liver."""
    angle, middle = 2 * np.pi * a, (LIVER.low + LIVER.high) / 2
    reach = 0.66 * b**0.5  # the root spreads places evenly over the area
    return (
        middle + 0.6 * (c - 0.5) * (LIVER.high - LIVER.low),
        LIVER.y + reach * LIVER.semi_y * float(np.sin(angle)),
        LIVER.x + reach * LIVER.semi_x * float(np.cos(angle)),
    )


def _in_lung(a: float, b: float, c: float) -> Point:
    """Return a place in the outer part of one lung."""
    lung = LUNGS[0] if a < 0.5 else LUNGS[1]
    outward = -1 if a < 0.5 else 1
    x = lung.x + outward * _between(-0.3, 0.6, (2 * a) % 1) * lung.semi_x
    return _between(165, 236, b), lung.y + _between(-0.55, 0.6, c) * lung.semi_y, x


def _in_kidney(a: float, b: float, c: float) -> Point:
    """Return a place on the outer rim of one kidney, so that the lesion bulges out."""
    kidney = KIDNEYS[0] if a < 0.5 else KIDNEYS[1]
    outward = -1 if a < 0.5 else 1
    angle = _between(-1.2, 1.2, b)
    return (
        _between(kidney.low + 44, kidney.high - 24, c),
        kidney.y + 0.8 * kidney.semi_y * float(np.sin(angle)),
        kidney.x + outward * 0.8 * kidney.semi_x * float(np.cos(angle)),
    )


_PLACES = {
    "bone": _in_bone,
    "abdomen": _in_abdomen,
    "mediastinum": _in_mediastinum,
    "liver": _in_liver,
    "lung": _in_lung,
    "kidney": _in_kidney,
}


def _shape(lesion: DrawnLesion, view: DrawnView, rng: np.random.Generator) -> Shape:
    """Return a lesion's shape in body mm; ``diameter_mm`` is its longest diameter in the plane."""
    z, y, x = _centre(lesion)
    diameter, thickness = lesion.diameter_mm / view.scale, view.thickness_mm / view.scale
    flatness = rng.uniform(0.75, 1.0)
    height = diameter * rng.uniform(0.8, 1.1) + thickness
    return Shape(z - height / 2, z + height / 2, y, x, flatness * diameter / 2, diameter / 2)


def _ragged(grid: Grid, shape: Shape, box: VoxelBox, rng: np.random.Generator) -> Float32s:
    """Return the squared distance from the centre, 1 on a wavy surface. [z, y, x] of ``box``."""
    angle = np.arctan2(grid.y[box[1:]] - shape.y, grid.x[box[1:]] - shape.x)
    phases = rng.uniform(0, 2 * np.pi, 2)
    waves = 1 + 0.09 * np.sin(3 * angle + phases[0]) + 0.06 * np.sin(7 * angle + phases[1])
    ragged: Float32s = (radius_squared(grid, shape, box) * waves).astype(np.float32)
    return ragged


def _paint(region: Float32s, distance: Float32s, looks: Looks, rng: np.random.Generator) -> None:
    """Draw the solid part, core and calcifications; ``distance`` is squared, 1 at the rim."""
    region[distance < 1] = looks.solid_hu
    region[distance < _CORE] = looks.core_hu
    calcified = (distance < 1) & (rng.random(distance.shape) < looks.calcified)
    region[calcified] = _CALCIUM_HU


def _looks(site: Site, enhancement: float, rng: np.random.Generator) -> Looks:
    """Return the looks of one lesion: those of its site, changed a little at random."""
    typical = _LOOKS[site]
    shift_hu = float(rng.normal(0, 6)) + 40 * enhancement
    return Looks(typical.solid_hu + shift_hu, typical.core_hu + shift_hu / 2, typical.calcified)


def _boxes(inside: NDArray[np.bool_], box: VoxelBox, lesion: DrawnLesion) -> list[LesionBox]:
    """Return boxes for slices that show enough of the lesion. ``inside`` [z, y, x] of ``box``."""
    boxes = []
    for index in np.flatnonzero(inside.sum(axis=(1, 2)) >= _SMALLEST_AREA_PX):
        rows = inside[index].any(axis=1).nonzero()[0]
        columns = inside[index].any(axis=0).nonzero()[0]
        top, left = box[1].start, box[2].start
        boxes.append(
            LesionBox(
                slice_index=int(box[0].start + index),
                x1=int(left + columns[0]),
                y1=int(top + rows[0]),
                x2=int(left + columns[-1] + 1),
                y2=int(top + rows[-1] + 1),
                site=lesion.site,
                diameter_mm=lesion.diameter_mm,
            )
        )
    return boxes
