"""Whatever a volume's array order, its slices have one orientation, or it is refused."""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from numpy.typing import NDArray

from clearbench.errors import UnreadableScan
from clearbench.scans.volume import (
    Scan,
    ScanFacts,
    Volume,
    axial_angle_deg,
    plane_name,
    slice_distance_mm,
    tilt_deg,
    upright,
)

AXIAL = np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]])  # stacked to the head; down; right, in LPS
CORONAL = np.array([[0.0, 1, 0], [0, 0, -1], [1, 0, 0]])
SAGITTAL = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def turned(directions: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """Turn directions about the patient's left-right axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return directions @ np.array([[1.0, 0, 0], [0, c, s], [0, -s, c]])


def volume(hu: NDArray[np.generic], directions: NDArray[np.float64] = AXIAL) -> Volume:
    """A volume with slices 5 mm apart and pixels of 0.8 × 0.7 mm."""
    positions = 5.0 * np.arange(len(hu))
    return Volume(
        hu=hu,
        directions=directions,
        positions_mm=positions,
        pixel_mm=(0.8, 0.7),
        origin_mm=np.zeros(3),
        normal_mm=positions,
        facts=ScanFacts(),
    )


def placed(order: tuple[int, ...], flips: tuple[int, ...]) -> NDArray[np.float64]:
    """Directions of array axes in one of the 48 orders."""
    return np.eye(3)[list(order)] * np.array(flips)[:, None]


UPRIGHT = [
    (order, flips)
    for order, flips in product(permutations(range(3)), product((1, -1), repeat=3))
    if order[0] == 2 and flips[0] == 1  # a stack of slices runs along the body, upwards
]


@pytest.mark.parametrize(("order", "flips"), UPRIGHT)
def test_flipped_and_transposed_slices_become_the_same(
    hu: NDArray[np.int16], order: tuple[int, ...], flips: tuple[int, ...]
) -> None:
    stored = hu.transpose([2 - axis for axis in order])[tuple(slice(None, None, f) for f in flips)]
    scan = upright(volume(stored, placed(order, flips)))
    np.testing.assert_array_equal(scan.pixels, hu)
    expected = (5.0, 0.8, 0.7) if order == (2, 1, 0) else (5.0, 0.7, 0.8)
    assert scan.spacing_mm == expected


@pytest.mark.parametrize(
    ("directions", "name", "angle"),
    [
        (CORONAL, "coronal", "90°"),
        (SAGITTAL, "sagittal", "90°"),
        (turned(AXIAL, 25), "oblique", "25°"),
    ],
)
def test_what_is_not_axial_is_refused_with_its_angle(
    hu: NDArray[np.int16], directions: NDArray[np.float64], name: str, angle: str
) -> None:
    with pytest.raises(UnreadableScan, match=f"is {name}: .*turned {angle}.*resample=True"):
        upright(volume(hu, directions))


def test_a_slightly_turned_head_is_read_as_it_is(hu: NDArray[np.int16]) -> None:
    np.testing.assert_array_equal(upright(volume(hu, turned(AXIAL, 6))).pixels, hu)


def test_a_tilted_gantry_excuses_the_tilt_and_nothing_else(hu: NDArray[np.int16]) -> None:
    tilted = ScanFacts(gantry_tilt_deg=20.0)
    leaning = np.stack([AXIAL[0], *turned(AXIAL, 20)[1:]])
    made = volume(hu, leaning)
    assert len(upright(Volume(**{**made.__dict__, "facts": tilted}))) == len(hu)
    c = np.sqrt(0.5)
    twisted = np.array([[0.0, 0, 1], [-c, c, 0], [c, c, 0]])
    made = volume(hu, twisted)
    with pytest.raises(UnreadableScan, match=r"oblique: .*turned 45°"):
        upright(Volume(**{**made.__dict__, "facts": tilted}))


def test_two_axes_of_one_direction_are_refused(hu: NDArray[np.int16]) -> None:
    flat = volume(hu, np.array([[0.0, 0, 1], [0, 1, 0], [0, 1, 0]]))
    tilted = Volume(**{**flat.__dict__, "facts": ScanFacts(gantry_tilt_deg=20.0)})
    for made, resample in ((flat, False), (tilted, True)):
        with pytest.raises(UnreadableScan, match="two image axes have the same direction"):
            upright(made, resample=resample)


def test_a_coronal_series_is_resampled_without_loss_on_its_own_grid() -> None:
    """Isotropic, so that every axial voxel is a stored one; the top and last planes stay too."""
    axial = np.random.default_rng(1).integers(-1000, 1500, (7, 6, 5)).astype(np.int16)
    coronal = axial.transpose(1, 0, 2)[:, ::-1]  # slices front to back, rows from the head down
    made = volume(coronal, CORONAL)
    even = Volume(
        **{
            **made.__dict__,
            "positions_mm": np.arange(6.0),
            "normal_mm": np.arange(6.0),
            "pixel_mm": (1.0, 1.0),
            "origin_mm": np.array([0.0, 0.0, 106.0]),
        }
    )
    scan = upright(even, resample=True)
    np.testing.assert_allclose(scan.pixels, axial, atol=0.01)
    np.testing.assert_allclose(scan.z_mm, np.arange(100, 107))
    assert scan.facts.problems == ("resampled onto axial slices",)


@pytest.mark.parametrize("degrees", [25.0, -40.0])
def test_resampling_an_oblique_series_puts_hu_where_they_were(degrees: float) -> None:
    """HU that grow evenly along the patient's axes grow evenly in the resampled slices."""
    directions = turned(AXIAL, degrees)
    index = np.indices((24, 20, 20)).reshape(3, -1)
    world = (directions.T * [2.0, 1.0, 1.0]) @ index
    hu = (10 * world[2] + 3 * world[1] - 2 * world[0]).reshape(24, 20, 20).astype(np.float32)
    made = volume(hu, directions)
    positions = 2.0 * np.arange(24)
    oblique = Volume(
        **{
            **made.__dict__,
            "positions_mm": positions,
            "normal_mm": positions,
            "pixel_mm": (1.0, 1.0),
        }
    )
    scan = upright(oblique, resample=True)
    inside = scan.pixels > -900
    assert 0.3 < inside.mean() < 1
    z, y, x = np.indices(scan.pixels.shape)
    origin = world.min(axis=1)
    expected = 10 * scan.z_mm[z] + 3 * (origin[1] + y) - 2 * (origin[0] + x)
    middle = np.s_[:, :, 5]
    np.testing.assert_allclose(
        scan.pixels[middle][inside[middle]], expected[middle][inside[middle]], atol=0.05
    )


def test_a_single_oblique_slice_is_not_resampled(hu: NDArray[np.int16]) -> None:
    with pytest.raises(UnreadableScan, match="a single slice can't be resampled"):
        upright(volume(hu[:1], turned(AXIAL, 25)), resample=True)


def test_an_axial_series_is_not_touched_by_resample(hu: NDArray[np.int16]) -> None:
    scan = upright(volume(hu), resample=True)
    np.testing.assert_array_equal(scan.pixels, hu)
    assert not scan.facts.problems


def test_angles_and_distances() -> None:
    assert axial_angle_deg(turned(AXIAL, 25)) == pytest.approx(25)
    assert tilt_deg(np.stack([AXIAL[0], *turned(AXIAL, 20)[1:]])) == pytest.approx(20)
    assert [plane_name(d) for d in (AXIAL, CORONAL, SAGITTAL)] == ["axial", "coronal", "sagittal"]
    assert slice_distance_mm(np.array([0.0, 0.0, 2.0, 4.0, 9.0])) == 2.0
    assert np.isnan(slice_distance_mm(np.array([3.0])))


def test_a_scan_describes_itself(hu: NDArray[np.int16]) -> None:
    scan: Scan = upright(volume(hu))
    assert repr(scan) == "Scan((4, 6, 5), HU, spacing 5.00 × 0.80 × 0.70 mm, SPL)"
    assert len(scan) == 4


def test_a_grid_that_is_too_large_is_refused_before_memory_is_asked_for() -> None:
    thin = replace(volume(np.zeros((4, 6, 5), np.int16), turned(AXIAL, 25)), pixel_mm=(1e-4, 1e4))
    with pytest.raises(UnreadableScan, match=r"resampling would need .* voxels"):
        upright(thin, resample=True)
