"""RAD-ChestCT's volumes: head first on disk, feet first as slices; anything else is refused."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from clearbench.errors import UnreadableScan
from clearbench.scans.inventory import find_scans
from clearbench.scans.npz import ASSUMED
from clearbench.scans.slices import ScanSource, read_scan
from clearbench.scans.volume import Scan


@pytest.fixture
def clipped(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """A volume [4, 6, 5], feet first, in which nearly every voxel differs, within ±1000 HU."""
    return (hu * 0.6).astype(np.int16)


def write(path: Path, **arrays: NDArray[np.generic]) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def read(path: Path) -> Scan:
    return read_scan(ScanSource(path))


def test_slices_run_from_feet_to_head_at_0_8_mm(tmp_path: Path, clipped: NDArray[np.int16]) -> None:
    scan = read(write(tmp_path / "trn00001.npz", ct=clipped[::-1]))
    np.testing.assert_array_equal(scan.pixels, clipped)
    np.testing.assert_allclose(scan.z_mm, 0.8 * np.arange(4), atol=1e-6)
    assert scan.spacing_mm == pytest.approx((0.8, 0.8, 0.8))
    assert scan.facts.notes == (ASSUMED,)


def test_it_is_found_by_its_header(tmp_path: Path, clipped: NDArray[np.int16]) -> None:
    write(tmp_path / "a.npz", ct=clipped)
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04 cut")
    good, bad = find_scans(tmp_path).scans
    assert (good.kind, good.shape, good.orientation) == ("npz", (4, 6, 5), "IPL")
    assert good.spacing_mm == pytest.approx((0.8, 0.8, 0.8))
    assert "not a readable .npz file" in bad.error


def test_another_layout_is_refused_in_words(tmp_path: Path, clipped: NDArray[np.int16]) -> None:
    objects = np.array([[[{}]]], object)
    for arrays, said in (
        ({"arr_0": clipped}, r"holds arr_0\.npy; .* one array called ct"),
        ({"ct": clipped, "mask": clipped}, r"holds ct\.npy, mask\.npy"),
        ({"ct": clipped.astype(np.float32)}, "is float32 of shape"),
        ({"ct": clipped[0]}, r"int16 of shape \(6, 5\)"),
        ({"ct": clipped * 3}, r"clipped to ±1000 HU.* save it as NIfTI"),
        ({"ct": objects}, "is object of shape"),
    ):
        with pytest.raises(UnreadableScan, match=said):
            read(write(tmp_path / "a.npz", **arrays))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_cut_file_is_damaged(tmp_path: Path, clipped: NDArray[np.int16], share: float) -> None:
    path = write(tmp_path / "a.npz", ct=clipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UnreadableScan, match=r"not a readable \.npz file"):
        read(path)


def test_garbage_within_the_voxels_is_damage_too(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(-1000, 1000, (12, 12, 12)).astype(np.int16)
    path = write(tmp_path / "a.npz", ct=noise)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = b"\xff" * 40
    path.write_bytes(content)
    with pytest.raises(UnreadableScan, match=r"not a readable \.npz file"):
        read(path)


def test_an_archive_after_a_program_is_still_an_archive(
    tmp_path: Path, clipped: NDArray[np.int16]
) -> None:
    """Not a pickle: numpy's advice to load one must reach nobody."""
    path = write(tmp_path / "a.npz", ct=clipped)
    path.write_bytes(b"MZ" * 500 + path.read_bytes())
    np.testing.assert_array_equal(read(path).pixels, clipped[::-1])
