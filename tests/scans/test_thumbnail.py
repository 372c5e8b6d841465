"""A scan's sketch: thumbnails that stay the same, and a histogram."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clearbench.scans.slices import ScanSource, read_scan, take_every
from clearbench.scans.thumbnail import BROAD_HU, GREY, histogram, take_sketch, thumbnail
from clearbench.scans.volume import Scan
from clearbench.scans.write import write_nifti


def scan_of(pixels: NDArray[np.generic], windows: tuple[str, ...] = ()) -> Scan:
    count = len(pixels)
    return Scan(
        pixels=pixels,
        z_mm=np.arange(count, dtype=np.float32),
        slice_index=np.arange(count, dtype=np.int32),
        spacing_mm=(1.0, 1.0, 1.0),
        present=np.ones((count, max(1, len(windows))), bool),
        windows=windows,
    )


def smooth(slices: int, size: int = 64) -> NDArray[np.int16]:
    """A volume that changes slowly along every axis."""
    z, y, x = ((np.arange(n) + 0.5) / n for n in (slices, size, size + 16))
    hu: NDArray[np.float64] = 900 * np.sin(3 * z[:, None, None] + 4 * y[:, None] + 2 * x)
    return hu.astype(np.int16)


def test_a_picture_holds_area_means_of_the_window() -> None:
    blocks = np.arange(32 * 32).reshape(32, 32) % 7 * 250 - 1000
    hu = np.repeat(np.repeat(blocks, 3, axis=0), 2, axis=1)[None].astype(np.int16)
    found = thumbnail(np.repeat(hu, 5, axis=0), BROAD_HU)
    assert found.shape == (8, 32, 32)
    assert found.dtype == np.uint8
    wanted = np.rint((np.clip(blocks, -1000, 1000) + 1000) * 255 / 2000)
    np.testing.assert_array_equal(found, np.broadcast_to(wanted, found.shape))


def test_values_outside_the_window_are_clipped_before_averaging() -> None:
    hu = np.zeros((1, 64, 64), np.float32)
    hu[:, ::2] = 30_000
    assert (thumbnail(hu, BROAD_HU) == round((500 + 1000) * 255 / 2000)).all()


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_any_shape_keeps_its_mean(slices: int, rows: int, columns: int, seed: int) -> None:
    grey = np.random.default_rng(seed).integers(0, 256, (1, rows, columns), np.uint8)
    found = thumbnail(np.repeat(grey, slices, axis=0), GREY)
    assert found.shape == (8, 32, 32)
    assert abs(found.mean() - grey.mean()) < 0.5


def test_another_slice_distance_shows_the_same_places() -> None:
    thick, thin = (thumbnail(smooth(count), BROAD_HU).astype(float) for count in (24, 120))
    assert np.abs(thick - thin).max() < 4
    assert np.abs(thick[0] - thick[-1]).max() > 100


@pytest.mark.parametrize("size", [64, 512])
def test_another_size_shows_the_same_picture(size: int) -> None:
    usual = thumbnail(smooth(16, 200), BROAD_HU).astype(float)
    assert np.abs(thumbnail(smooth(16, size), BROAD_HU) - usual).max() <= 2


def test_the_file_format_does_not_matter(
    tmp_path: Path, write_ct: Callable[..., list[Path]]
) -> None:
    hu, spacing_mm = smooth(12), (5.0, 0.7, 0.7)
    write_ct(tmp_path / "dicom", hu, spacing_mm)
    write_nifti(tmp_path / "a.nii.gz", hu, spacing_mm)
    one, other = (
        take_sketch(read_scan(ScanSource(tmp_path / name))) for name in ("dicom", "a.nii.gz")
    )
    np.testing.assert_array_equal(one.thumbnail, other.thumbnail)
    np.testing.assert_array_equal(one.histogram, other.histogram)
    assert (one.slices, one.source) == (other.slices, other.source) == (12, "HU")


def test_of_several_windows_the_first_that_is_there_is_taken() -> None:
    grey = np.stack([np.full((6, 2, 40, 40), 9), np.full((6, 2, 40, 40), 200)], axis=1)[:, :, 0]
    scan = scan_of(grey.astype(np.uint8), ("bone", "brain"))
    both = take_sketch(scan)
    assert (both.source, both.slices) == ("bone", 6)
    assert (both.thumbnail == 9).all()
    gaps = np.array([[False, True]] * 6)
    brain = take_sketch(replace(scan, present=gaps))
    assert brain.source == "brain"
    assert (brain.thumbnail == 200).all()


def test_a_slice_that_lacks_the_window_is_not_looked_at() -> None:
    grey = np.full((6, 1, 40, 40), 90, np.uint8)
    grey[2] = 0
    present = np.ones((6, 1), bool)
    present[2] = False
    sketch = take_sketch(replace(scan_of(grey, ("brain",)), present=present))
    assert (sketch.thumbnail == 90).all()
    assert sketch.histogram[90 * 64 // 255] == 1


def test_the_histogram_counts_shares_and_keeps_the_outermost() -> None:
    hu = np.zeros((2, 8, 8), np.int16)
    hu[0] = -2000
    found = histogram(hu, BROAD_HU)
    assert found.dtype == np.float32
    assert found[0] == found[32] == 0.5
    assert histogram(np.full((1, 4, 4), 30_000, np.int16), BROAD_HU)[-1] == 1
    assert histogram(np.full((1, 4, 4), 255, np.uint8), GREY)[-1] == 1


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 40))
def test_a_histogram_sums_to_one(seed: int, slices: int, size: int) -> None:
    hu = np.random.default_rng(seed).normal(0, 900, (slices, size, size)).astype(np.float32)
    found = histogram(hu, BROAD_HU)
    assert found.sum() == pytest.approx(1, abs=1e-6)
    assert (found >= 0).all()


def test_choosing_slices_afterwards_changes_nothing() -> None:
    scan = scan_of(smooth(30))
    assert len(take_every(scan, 7.0)) < 10
    assert take_sketch(scan).slices == 30


def test_a_real_head_scan_in_windows_has_its_source(shared_data: Path) -> None:
    sketch = take_sketch(read_scan(ScanSource(shared_data / "ct-ich" / "049")))
    assert sketch.source == "bone"
    assert sketch.thumbnail[3].std() > 20
    assert 0.2 < sketch.histogram[0] < 0.95
