"""The records of a scan, and how a volume becomes axial slices in one standard orientation."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from clearbench.arrays import Float32s
from clearbench.errors import UnreadableScan
from clearbench.scans.hu import AIR_HU, Pixels
from clearbench.scans.notes import Note

OBLIQUE_LIMIT_DEG = 10.0
SAME_POSITION_MM = 0.01
ROUNDED_DIGITS = 6  # of positions in a grid; else an error of 1e-15 mm drops the last plane
ROUNDING = 10.0**-ROUNDED_DIGITS
FLAT = 0.01  # |determinant| of three unit axes; below it they are almost in one plane
SAME_DIRECTION = "two image axes have the same direction; the orientation in the file is wrong"
MOST_VOXELS = 2**30  # of a resampled scan: 4 GB; a whole body in 1 mm has a third of them
STANDARD = "SPL"  # array axes z, y, x run towards Superior, Posterior, Left


@dataclass(frozen=True)
class ScanFacts:
    """Technical facts that may predict a label, and notes on the scan; no identifiers."""

    thickness_mm: float | None = None
    kernel: str = ""
    contrast: str = ""
    manufacturer: str = ""
    model: str = ""
    kvp: float | None = None
    gantry_tilt_deg: float | None = None
    notes: tuple[Note, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """Return the notes as sentences for the screen."""
        return tuple(note.sentence for note in self.notes)

    def with_notes(self, *more: Note) -> "ScanFacts":
        """Return the same facts with more notes."""
        return replace(self, notes=(*self.notes, *more))


def facts_as_json(facts: ScanFacts) -> dict[str, Any]:
    """Return the facts as JSON values; notes as texts, without the names of files."""
    values = asdict(facts)
    notes = [{"kind": note.kind, "text": note.text, "tag": note.tag} for note in facts.notes]
    return {**values, "notes": notes, "problems": [note.text for note in facts.notes]}


@dataclass(frozen=True)
class Scan:
    """One scan: slices feet to head, row 0 anterior, column 0 the patient's right.

    pixels       [n, y, x] HU (int16 or float32), or [n, windows, y, x] uint8 for images that were
                 windowed before; `windows` has the names of those windows
    present      [n, windows] bool, False where a slice lacks a window; one column, True, for HU
    z_mm         [n] float32 along the slice normal, NaN if unknown
    slice_index  [n] int32, the slice's number in its source, from 0, feet to head; for an image,
                 the number in its file name (in DeepLesion it falls from feet to head)
    spacing_mm   (z, y, x); NaN where unknown
    """

    pixels: Pixels
    z_mm: Float32s
    slice_index: NDArray[np.int32]
    spacing_mm: tuple[float, float, float]
    present: NDArray[np.bool_]
    windows: tuple[str, ...] = ()
    facts: ScanFacts = field(default_factory=ScanFacts)

    def __len__(self) -> int:
        return int(self.pixels.shape[0])

    def __repr__(self) -> str:
        z, y, x = self.spacing_mm
        kind = f"windows: {', '.join(self.windows)}" if self.windows else "HU"
        return (
            f"Scan({self.pixels.shape}, {kind}, spacing {z:.2f} × {y:.2f} × {x:.2f} mm, {STANDARD})"
        )


@dataclass(frozen=True)
class Volume:
    """HU [a, b, c] in the file's array order, with the geometry that turns it upright.

    directions   [3, 3] unit vectors in LPS (x left, y posterior, z superior), one row per array
                 axis; slices are stacked along the first axis
    positions_mm [a] along the stack axis, ascending, from the origin's slice
    pixel_mm     (b, c) pixel distances
    origin_mm    [3] LPS position of voxel (0, 0, 0)
    normal_mm    [a] positions along the slice normal, in the unit and direction of Scan.z_mm
    """

    hu: Pixels
    directions: NDArray[np.float64]
    positions_mm: NDArray[np.float64]
    pixel_mm: tuple[float, float]
    origin_mm: NDArray[np.float64]
    normal_mm: NDArray[np.float64]
    facts: ScanFacts

    def with_notes(self, *notes: Note) -> "Volume":
        """Return the same volume with more notes."""
        return replace(self, facts=self.facts.with_notes(*notes))


def slice_distance_mm(positions_mm: NDArray[np.float64]) -> float:
    """Return the median distance of neighbouring positions, NaN if there is only one."""
    steps = np.diff(positions_mm)
    steps = steps[steps > SAME_POSITION_MM]
    return float(np.median(steps)) if len(steps) else float("nan")


def tilt_deg(directions: NDArray[np.float64]) -> float:
    """Return the angle between the slice normal and the direction of stacking, in degrees."""
    normal = np.cross(directions[1], directions[2])
    return _angle_deg(normal, directions[0])


def axial_angle_deg(directions: NDArray[np.float64]) -> float:
    """Return the largest angle between an axis and the nearest axis of the patient, in degrees."""
    return max(float(np.degrees(np.arccos(min(1.0, np.abs(axis).max())))) for axis in directions)


def turned_deg(directions: NDArray[np.float64], *, tilted: bool = False) -> float:
    """Return the angle between a stack of slices and an axial stack, in degrees.

    With a tilted gantry, only the image axis about which it tilts counts.
    """
    if tilted:
        return min(axial_angle_deg(directions[1:2]), axial_angle_deg(directions[2:]))
    return max(axial_angle_deg(directions), _angle_deg(directions[0], np.array([0.0, 0.0, 1.0])))


def plane_name(directions: NDArray[np.float64], *, tilted: bool = False) -> str:
    """Return axial, coronal, sagittal or oblique: the plane of the slices."""
    along = int(np.abs(np.cross(directions[1], directions[2])).argmax())
    turned = turned_deg(directions, tilted=True) if tilted else axial_angle_deg(directions)
    return "oblique" if turned > OBLIQUE_LIMIT_DEG else ("sagittal", "coronal", "axial")[along]


def why_not_axial(directions: NDArray[np.float64], *, tilted: bool = False) -> str:
    """Return why a stack of slices is not axial and needs resampling; "" if it is axial."""
    angle = turned_deg(directions, tilted=tilted)
    if angle <= OBLIQUE_LIMIT_DEG:
        different = len(set(np.abs(directions).argmax(axis=1))) == 3
        return "" if different else SAME_DIRECTION
    return (
        f"the series is {plane_name(directions, tilted=tilted)}: its axes are turned {angle:.0f}° "
        "away from an axial scan's; take an axial series, or interpolate it with resample=True "
        "(`clearbench embed … --resample`)"
    )


def _angle_deg(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the angle between two lines, 0 to 90 degrees."""
    # rounding may give a cosine just above 1, which has no angle
    cosine = abs(float(first @ second)) / float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def upright(volume: Volume, *, resample: bool = False) -> Scan:
    """Turn a volume into axial slices in the standard orientation.

    `resample` interpolates a tilted, oblique or non-axial volume linearly onto an axial grid first.
    Raises UnreadableScan with the angle if a volume is oblique or not axial and is not resampled.
    """
    tilted = volume.facts.gantry_tilt_deg is not None
    refusal = why_not_axial(volume.directions, tilted=tilted)
    if resample and (tilted or turned_deg(volume.directions) > 0.01):
        volume = _resampled(volume)
    elif refusal:
        raise UnreadableScan(refusal)
    return _reordered(volume)


def _reordered(volume: Volume) -> Scan:
    """Transpose and flip the array axes to S, P, L; values stay the same."""
    nearest = np.abs(volume.directions).argmax(axis=1)  # the patient axis of each array axis
    order = [int(np.flatnonzero(nearest == lps)[0]) for lps in (2, 1, 0)]
    hu = volume.hu.transpose(order)
    signs = [volume.directions[axis, lps] for axis, lps in zip(order, (2, 1, 0), strict=True)]
    hu = hu[tuple(slice(None) if sign > 0 else slice(None, None, -1) for sign in signs)]
    steps = (slice_distance_mm(volume.positions_mm), *volume.pixel_mm)
    spacing = tuple(float(steps[axis]) for axis in order)
    count = hu.shape[0]
    return Scan(
        # flips are views with negative strides, which torch refuses
        pixels=np.ascontiguousarray(hu),
        z_mm=_z_along(volume, order[0], signs[0] < 0).astype(np.float32),
        slice_index=np.arange(count, dtype=np.int32),
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
        present=np.ones((count, 1), dtype=bool),
        facts=volume.facts,
    )


def _z_along(volume: Volume, axis: int, flipped: bool) -> NDArray[np.float64]:
    """Return the axial slices' positions in mm, feet to head, if array axis `axis` becomes z."""
    if axis == 0:
        z_mm = volume.normal_mm
    else:
        step = volume.directions[axis, 2] * volume.pixel_mm[axis - 1]
        z_mm = volume.origin_mm[2] + step * np.arange(volume.hu.shape[axis])
    return z_mm[::-1] if flipped else z_mm


def _resampled(volume: Volume) -> Volume:
    """Interpolate onto the patient's axes, at the same spacing; air outside the old volume."""
    if abs(float(np.linalg.det(volume.directions))) < FLAT:
        raise UnreadableScan(SAME_DIRECTION)
    between = slice_distance_mm(volume.positions_mm)
    if not between > 0:  # NaN too: no comparison with it is true
        raise UnreadableScan("a single slice can't be resampled onto axial slices")
    scale = np.array([1.0, *volume.pixel_mm])
    basis = (volume.directions * scale[:, None]).T  # (stack mm, b, c) → LPS mm
    top = [volume.positions_mm[-1], *(count - 1 for count in volume.hu.shape[1:])]
    corners = np.array(np.meshgrid(*[(0, end) for end in top], indexing="ij")).reshape(3, -1)
    world = basis @ corners + volume.origin_mm[:, None]
    low, high = world.min(axis=1), world.max(axis=1)
    step = np.array([min(volume.pixel_mm), min(volume.pixel_mm), between])
    refuse_huge((high - low) / step)
    x, y, z = (
        low[i] + step[i] * np.arange(int((high[i] - low[i]) / step[i] + ROUNDING) + 1)
        for i in range(3)
    )
    inverse = np.linalg.inv(basis)
    # plane by plane, because three float64 coordinates per voxel are many times the volume
    slices = [_plane(volume, inverse, x, y, level) for level in z]
    return replace(
        volume,
        hu=np.stack(slices),
        directions=np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]]),
        positions_mm=z - z[0],
        pixel_mm=(float(step[1]), float(step[0])),
        origin_mm=low,
        normal_mm=z,
        facts=volume.facts.with_notes(Note("geometry", "resampled onto axial slices")),
    )


def refuse_huge(counts: Iterable[float]) -> None:
    """Refuse a grid of too many voxels before memory is asked for; raises UnreadableScan."""
    sides = [float(count) for count in counts]
    voxels = float(np.prod(sides))
    if voxels > MOST_VOXELS:
        raise UnreadableScan(
            f"resampling would need {' × '.join(f'{side:,.0f}' for side in sides)} voxels "
            f"({voxels * 4 / 2**30:,.0f} GB); check the spacing in its header"
        )


def _plane(volume: Volume, inverse: Any, x: Any, y: Any, z: float) -> Float32s:
    """Interpolate one axial plane [y, x] of a volume whose index is `inverse` @ LPS mm."""
    grid = np.stack(np.broadcast_arrays(x[None, :], y[:, None], z)).reshape(3, -1)
    stack_mm, row, column = np.round(inverse @ (grid - volume.origin_mm[:, None]), ROUNDED_DIGITS)
    known_mm = np.round(volume.positions_mm, ROUNDED_DIGITS)
    # -9 is outside the volume on both ends, so that map_coordinates fills in air there
    level = np.interp(stack_mm, known_mm, np.arange(len(known_mm)), -9, -9)
    plane = map_coordinates(
        volume.hu, [level, row, column], np.float32, order=1, mode="constant", cval=AIR_HU
    )
    result: Float32s = plane.reshape(len(y), len(x))
    return result
