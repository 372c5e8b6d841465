"""One body: a map of tissues, one number per voxel."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clearbench.arrays import Float32s
from clearbench.datasets.synthetic.grid import Grid, Shape, box_of, radius_squared
from clearbench.datasets.synthetic.tissues import Tissue

Map = NDArray[np.uint8]

CHEST_FROM_MM = 95.0
RIB_RADIUS = 0.91
MUSCLE_MM = (104.0, 148.0)  # half axes (y, x) of the body under its fat

_SKIN_MM = 3.0
_CAVITY = 0.86
_RIB_STEP_MM = 30.0
_DISC_STEP_MM = 31.0

LUNGS = (Shape(84, 306, -2, -74, 82, 58), Shape(80, 306, 2, 77, 80, 56))
LIVER = Shape(22, 158, -8, -64, 78, 74)
KIDNEYS = (Shape(-28, 86, 52, -62, 27, 25), Shape(-22, 96, 54, 62, 27, 25))
MEDIASTINUM = Shape(110, 330, -8, 4, 74, 36, is_tube=True)
SPINE = Shape(-99, 399, 62, 0, 17, 21, is_tube=True)

# later shapes are drawn over earlier ones
_TRUNK: tuple[tuple[Tissue, Shape], ...] = (
    (Tissue.LUNG, LUNGS[0]),
    (Tissue.LUNG, LUNGS[1]),
    (Tissue.FAT, MEDIASTINUM),
    (Tissue.BLOOD, Shape(118, 222, -32, 22, 46, 56)),
    (Tissue.BLOOD, Shape(195, 262, -26, -14, 15, 15, is_tube=True)),
    (Tissue.BLOOD, Shape(244, 266, 4, 6, 42, 17)),
    (Tissue.BLOOD, Shape(-99, 252, 40, 20, 11, 11, is_tube=True)),
    (Tissue.BLOOD, Shape(-99, 120, 34, -18, 9, 12, is_tube=True)),
    (Tissue.BLOOD, Shape(205, 330, -12, -28, 8, 9, is_tube=True)),
    (Tissue.AIRWAY, Shape(216, 330, 10, -2, 9, 9, is_tube=True)),
    (Tissue.AIRWAY, Shape(200, 218, 12, -16, 7, 14)),
    (Tissue.AIRWAY, Shape(200, 218, 14, 18, 7, 14)),
    (Tissue.SOFT, Shape(110, 330, 30, 2, 6, 8, is_tube=True)),
    (Tissue.SPLEEN, Shape(48, 142, 38, 92, 46, 30)),
    (Tissue.SOFT, Shape(52, 136, -34, 60, 44, 42)),
    (Tissue.FLUID, Shape(56, 132, -34, 60, 38, 36)),
    (Tissue.GAS, Shape(80, 134, -58, 58, 14, 24)),
    (Tissue.LIVER, LIVER),
    (Tissue.LIVER, Shape(70, 140, -40, -6, 40, 56)),
    (Tissue.KIDNEY, KIDNEYS[0]),
    (Tissue.KIDNEY, KIDNEYS[1]),
    (Tissue.FAT, Shape(8, 50, 46, -52, 9, 10)),
    (Tissue.FAT, Shape(14, 58, 48, 52, 9, 10)),
    (Tissue.MUSCLE, Shape(-99, 60, 62, -36, 24, 16, is_tube=True)),
    (Tissue.MUSCLE, Shape(-99, 60, 62, 36, 24, 16, is_tube=True)),
    (Tissue.MUSCLE, Shape(-99, 399, 90, -32, 14, 27, is_tube=True)),
    (Tissue.MUSCLE, Shape(-99, 399, 90, 32, 14, 27, is_tube=True)),
    (Tissue.CORTEX, Shape(-99, 399, 92, 0, 15, 17, is_tube=True)),
    (Tissue.CORD, Shape(-99, 399, 87, 0, 8, 10, is_tube=True)),
    (Tissue.CORTEX, SPINE),
    (Tissue.MARROW, replace(SPINE, semi_y=14, semi_x=18)),
    (Tissue.CORTEX, Shape(150, 290, -96, 0, 6, 17, is_tube=True)),
    (Tissue.MARROW, Shape(152, 288, -96, 0, 3, 13, is_tube=True)),
)


@dataclass(frozen=True)
class Body:
    """The properties of one body: size, fat, bends and organs."""

    scale: float
    fat_mm: float
    phases: tuple[float, float, float, float]
    rib_phase: float
    organs: tuple[tuple[Tissue, Shape], ...]

    @property
    def half_width_mm(self) -> float:
        """Half the body's width with skin, in true mm."""
        return self.scale * (MUSCLE_MM[1] + self.fat_mm + _SKIN_MM)


def draw_body(seed: int, patient: int) -> Body:
    """Make one patient's random body; it is the same in all of the patient's scans."""
    rng = np.random.default_rng([seed, 3, patient])
    moved = tuple((tissue, _jitter(rng, shape)) for tissue, shape in _TRUNK)
    bowel = _draw_bowel(rng)
    # bowel is drawn before the solid organs, which then cover it
    cut = next(i for i, (tissue, _) in enumerate(moved) if tissue == Tissue.SPLEEN)
    first, second, third, fourth = (float(phase) for phase in rng.uniform(0, 2 * np.pi, 4))
    return Body(
        scale=float(rng.uniform(0.97, 1.03)),
        fat_mm=float(rng.uniform(11, 17)),
        phases=(first, second, third, fourth),
        rib_phase=float(rng.uniform(0, 2 * np.pi)),
        organs=(*moved[:cut], *bowel, *moved[cut:]),
    )


def draw_tissues(body: Body, grid: Grid, has_table: bool) -> Map:
    """Return the tissue of every voxel of ``grid``. [z, y, x] uint8."""
    radius = _body_radius(grid, 0.0)
    tissues = np.empty(grid.shape, dtype=np.uint8)
    tissues[:] = _outline(grid, body, radius)
    tissues[_ribs(grid, body, radius)] = Tissue.CORTEX
    for tissue, shape in body.organs:
        _fill(tissues, grid, tissue, shape, radius)
    _add_discs(tissues, grid, body)
    if has_table:
        _add_table(tissues, grid, body)
    return tissues


def _jitter(rng: np.random.Generator, shape: Shape) -> Shape:
    """Move and resize one organ a little, at random."""
    up, back, left = rng.normal(0, (2, 1.0, 1.0))
    wider, deeper = rng.uniform(0.97, 1.03, 2)
    return replace(
        shape,
        low=shape.low + up,
        high=shape.high + up,
        y=shape.y + back,
        x=shape.x + left,
        semi_y=shape.semi_y * deeper,
        semi_x=shape.semi_x * wider,
    )


def _draw_bowel(rng: np.random.Generator) -> list[tuple[Tissue, Shape]]:
    """Return random loops of bowel: a wall, filled with fluid, gas or soft tissue."""
    loops: list[tuple[Tissue, Shape]] = []
    for _ in range(int(rng.integers(9, 12))):
        z, y, x = rng.uniform((-30, -62, -90), (62, 16, 95))
        across, half_height = rng.uniform((12, 14), (20, 26))
        wall = Shape(z - half_height, z + half_height, y, x, across, across * 1.2)
        loops.append((Tissue.SOFT, wall))
        filling = rng.choice([Tissue.FLUID, Tissue.GAS, Tissue.SOFT], p=[0.6, 0.1, 0.3])
        inner = replace(wall, semi_y=across - 4, semi_x=across * 1.2 - 4)
        loops.append((Tissue(filling), inner))
    return loops


def _body_radius(grid: Grid, extra_mm: float) -> Float32s:
    """Return the distance from the middle, 1 where muscle plus ``extra_mm`` ends. [y, x]."""
    semi_y, semi_x = (half + extra_mm for half in MUSCLE_MM)
    y, x = np.abs(grid.y / semi_y), np.abs(grid.x / semi_x)
    radius: Float32s = ((y**2.4 + x**2.4) ** (1 / 2.4)).astype(np.float32)
    return radius


def _outline(grid: Grid, body: Body, radius: Float32s) -> Map:
    """Draw skin, fat, the muscle wall and the fat inside it, the same in all slices. [y, x]."""
    plane = np.full(radius.shape, Tissue.AIR, dtype=np.uint8)
    plane[_body_radius(grid, body.fat_mm + _SKIN_MM) < 1] = Tissue.SKIN
    plane[_body_radius(grid, body.fat_mm) < 1] = Tissue.FAT
    plane[radius < 1] = Tissue.MUSCLE
    plane[radius < _CAVITY] = Tissue.FAT
    return plane


def _ribs(grid: Grid, body: Body, radius: Float32s) -> NDArray[np.bool_]:
    """Return True in ribs: rings in the chest wall that slope down to the front. [z, y, x]."""
    slope_mm = 26 * (1 - grid.y / MUSCLE_MM[0])
    height = (grid.z[:, None, None] + slope_mm) * (2 * np.pi / _RIB_STEP_MM) + body.rib_phase
    wall = (np.abs(radius - RIB_RADIUS) < 0.028) & (np.abs(grid.x) > 18)
    chest = (grid.z > CHEST_FROM_MM)[:, None, None]
    found: NDArray[np.bool_] = (np.cos(height) > 0.45) & wall & chest
    return found


def _fill(tissues: Map, grid: Grid, tissue: Tissue, shape: Shape, radius: Float32s) -> None:
    """Set the voxels inside ``shape`` to ``tissue``; soft organs stay within the body cavity."""
    box = box_of(grid, shape)
    held = radius_squared(grid, shape, box) < 1
    if tissue not in (Tissue.MUSCLE, Tissue.CORTEX, Tissue.MARROW, Tissue.CORD):
        held &= radius[box[1:]] < _CAVITY
    tissues[box][held] = tissue


def _add_discs(tissues: Map, grid: Grid, body: Body) -> None:
    """Turn marrow into disc in every slice between two vertebrae."""
    between = np.cos(grid.z * (2 * np.pi / _DISC_STEP_MM) + body.rib_phase) > 0.85
    # indexing by a mask copies, so the slab is written back
    slab = tissues[between]
    slab[(slab == Tissue.MARROW) & (grid.y > 0)] = Tissue.DISC
    tissues[between] = slab


def _add_table(tissues: Map, grid: Grid, body: Body) -> None:
    """Draw a curved table under the patient."""
    back_mm = MUSCLE_MM[0] + body.fat_mm + 8
    depth = grid.y + np.square(grid.x / 150) * 14 - back_mm
    tissues[:, (np.abs(depth) < 3) & (np.abs(grid.x) < 150)] = Tissue.TABLE
