"""The positions of a scan's voxels in the body, and the voxels inside a shape.

Body coordinates are mm in a body of average size: z from the lower kidneys (0) to the lung
tips (about 300), y towards the back, x towards the patient's left, 0 in the middle.
"""

from dataclasses import dataclass

import numpy as np

from clearbench.arrays import Float32s

VoxelBox = tuple[slice, slice, slice]

_WARP_MM = 8.0


@dataclass(frozen=True)
class Grid:
    """Voxel centres in body coordinates: z [z]; y and x [y, x], bent a little."""

    z: Float32s
    y: Float32s
    x: Float32s

    @property
    def shape(self) -> tuple[int, int, int]:
        """The number of voxels along (z, y, x)."""
        return len(self.z), self.y.shape[0], self.y.shape[1]


@dataclass(frozen=True)
class Shape:
    """A ball (ellipsoid) or, if ``is_tube``, an elliptic cylinder from ``low`` to ``high`` in z.

    ``y`` and ``x`` are its centre, ``semi_y`` and ``semi_x`` its half axes, all in body mm.
    """

    low: float
    high: float
    y: float
    x: float
    semi_y: float
    semi_x: float
    is_tube: bool = False


def make_grid(
    z: Float32s, size_px: int, spacing: float, phases: tuple[float, float, float, float]
) -> Grid:
    """Make a grid of ``size_px`` x ``size_px`` voxels per slice, bent by waves of four phases."""
    flat = (np.arange(size_px, dtype=np.float32) - (size_px - 1) / 2) * spacing
    y, x = np.meshgrid(flat, flat, indexing="ij")
    bent_y = y + 2.5 * np.sin(x / 55 + phases[0]) + 2 * np.sin(y / 38 + phases[1])
    bent_x = x + 2.5 * np.sin(y / 50 + phases[2]) + 2 * np.sin(x / 42 + phases[3])
    return Grid(z, bent_y.astype(np.float32), bent_x.astype(np.float32))


def box_of(grid: Grid, shape: Shape) -> VoxelBox:
    """Return a small box of slices, rows and columns that contains all of ``shape``."""
    z = _span(grid.z, shape.low, shape.high)
    y = _span(grid.y[:, 0], shape.y - shape.semi_y, shape.y + shape.semi_y, _WARP_MM)
    x = _span(grid.x[0], shape.x - shape.semi_x, shape.x + shape.semi_x, _WARP_MM)
    return z, y, x


def radius_squared(grid: Grid, shape: Shape, box: VoxelBox) -> Float32s:
    """Return the squared distance from the centre, 1 at the surface. [z, y, x] of ``box``."""
    in_plane = np.square((grid.y[box[1:]] - shape.y) / shape.semi_y)
    in_plane += np.square((grid.x[box[1:]] - shape.x) / shape.semi_x)
    z = grid.z[box[0]]
    if shape.is_tube:
        # 9 is outside, for any number above 1
        along = np.where((z >= shape.low) & (z <= shape.high), 0, 9)
    else:
        along = np.square((2 * z - shape.low - shape.high) / (shape.high - shape.low))
    whole: Float32s = (in_plane[None] + along[:, None, None]).astype(np.float32)
    return whole


def _span(axis: Float32s, low: float, high: float, margin: float = 0.0) -> slice:
    """Return the range of an axis between two coordinates; bends make it only roughly ascending."""
    inside = np.flatnonzero((axis >= low - 2 * margin) & (axis <= high + 2 * margin))
    return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)
