"""A series whose header doesn't say how to get HU is refused, with its files and the way out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from clearbench.errors import UnreadableScan
from clearbench.scans.hu import NO_RULES, HuRules
from clearbench.scans.inventory import find_scans
from clearbench.scans.slices import ScanSource, read_scan
from clearbench.scans.volume import Scan

WriteCT = Callable[..., list[Path]]
Edit = Callable[[pydicom.FileDataset, int], None]
HU = np.arange(4 * 40 * 40, dtype=np.int16).reshape(4, 40, 40) % 1800 - 1000
RESCALE = ("RescaleSlope", "RescaleIntercept", "RescaleType")


@pytest.fixture
def series(tmp_path: Path, write_ct: WriteCT) -> Callable[[Edit], Path]:
    """Write a series of four slices, edited."""

    def write(edit: Edit) -> Path:
        write_ct(tmp_path / "scan", HU, edit=edit)
        return tmp_path / "scan"

    return write


def read(folder: Path, rules: HuRules = NO_RULES) -> Scan:
    """Read a scan as a user who gives `rules` for it."""
    return read_scan(ScanSource(folder, rules=rules))


def texts(folder: Path) -> list[str]:
    """The notes on a scan whose values are accepted as they are."""
    return list(read(folder, HuRules(accept_hu=True)).facts.problems)


def without(dataset: pydicom.FileDataset) -> None:
    """Take the scale out of a slice."""
    for name in RESCALE:
        if name in dataset:
            delattr(dataset, name)


def stored(
    dataset: pydicom.FileDataset, values: NDArray[np.integer], *, signed: bool = False
) -> None:
    """Put other stored values into a slice."""
    dataset.PixelRepresentation = int(signed)
    dataset.PixelData = values.astype(np.int16 if signed else np.uint16).tobytes()


def test_unsigned_pixels_without_a_scale_are_refused_with_their_files(
    series: Callable[[Edit], Path],
) -> None:
    def edit(dataset: pydicom.FileDataset, index: int) -> None:
        without(dataset)
        stored(dataset, HU[index] + 1024)

    folder = series(edit)
    (found,) = find_scans(folder).scans
    with pytest.raises(UnreadableScan, match="no RescaleIntercept, and stored values") as refused:
        read(folder)
    assert found.error == str(refused.value)
    assert ".dcm" in str(refused.value)
    mended = read(folder, HuRules(hu_offset=-1024))
    np.testing.assert_array_equal(mended.pixels, HU)
    assert "hu_offset -1024 is added" in mended.facts.problems[0]
    taken = " ".join(texts(folder))
    assert "stored values are taken as HU" in taken
    assert "hu_offset" not in taken


def test_signed_pixels_without_a_scale_are_taken_and_noted(series: Callable[[Edit], Path]) -> None:
    def edit(dataset: pydicom.FileDataset, index: int) -> None:
        without(dataset)
        stored(dataset, HU[index], signed=True)

    scan = read(series(edit))
    np.testing.assert_array_equal(scan.pixels, HU)
    assert "no RescaleIntercept in the header" in scan.facts.problems[0]


def test_a_scale_that_some_slices_lack_is_refused(series: Callable[[Edit], Path]) -> None:
    def edit(dataset: pydicom.FileDataset, index: int) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        if index % 2:
            without(dataset)
        stored(dataset, HU[index] + 1024)

    folder = series(edit)
    with pytest.raises(UnreadableScan, match="2 of 4 slices have no RescaleIntercept"):
        read(folder)
    mended = read(folder, HuRules(hu_offset=-1024))
    np.testing.assert_array_equal(mended.pixels, HU)


@pytest.mark.parametrize("slope", [0, -1])
def test_a_slope_that_is_not_above_0_is_refused(series: Callable[[Edit], Path], slope: int) -> None:
    with pytest.raises(UnreadableScan, match=f"RescaleSlope is {slope}: it must be above 0"):
        read(series(lambda dataset, _: setattr(dataset, "RescaleSlope", slope)))


def test_scales_that_differ_between_slices_are_noted(series: Callable[[Edit], Path]) -> None:
    def edit(dataset: pydicom.FileDataset, index: int) -> None:
        dataset.RescaleSlope = 2 if index else 1

    assert "RescaleSlope differs between slices (1, 2)" in read(series(edit)).facts.problems


@pytest.mark.parametrize("kind", ["OW", "US", "SS"])
def test_a_modality_lut_is_applied(series: Callable[[Edit], Path], kind: str) -> None:
    entries = np.arange(2000) - 1000  # stored values 0, 1, 2 … are HU -1000, -999, -998 …

    def edit(dataset: pydicom.FileDataset, index: int) -> None:
        without(dataset)
        stored(dataset, HU[index] + 1000)
        table = Dataset()
        table.LUTDescriptor = [2000, 0, 16]
        table.ModalityLUTType = "HU"
        signed = entries if kind == "SS" else entries % 2**16
        data = signed.astype(np.uint16).tobytes() if kind == "OW" else signed.tolist()
        table.add_new("LUTData", kind, data)
        dataset.ModalityLUTSequence = [table]

    scan = read(series(edit))
    np.testing.assert_array_equal(scan.pixels, HU)
    assert scan.facts.problems == ()


def test_eight_bits_with_a_scale_are_noted(series: Callable[[Edit], Path]) -> None:
    def edit(dataset: pydicom.FileDataset, index: int) -> None:
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.PixelRepresentation = 0
        dataset.RescaleSlope, dataset.RescaleIntercept = 8, -1024
        dataset.PixelData = ((HU[index].astype(int) + 1024) // 8).astype(np.uint8).tobytes()

    scan = read(series(edit))
    assert "pixels of 8 bits, in steps of 8 HU" in scan.facts.problems
    assert np.abs(scan.pixels.astype(int) - HU).max() < 8


def test_eight_bits_without_a_scale_are_refused(series: Callable[[Edit], Path]) -> None:
    def edit(dataset: pydicom.FileDataset, index: int) -> None:
        without(dataset)
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.PixelData = ((HU[index].astype(int) + 1024) // 8).astype(np.uint8).tobytes()

    with pytest.raises(UnreadableScan, match="8-bit pixels without RescaleSlope"):
        read(series(edit))


@pytest.mark.parametrize(("unit", "words"), [("HU_MOD", "modified"), ("US", "not stated")])
def test_units_that_may_be_hu_are_noted(
    series: Callable[[Edit], Path], unit: str, words: str
) -> None:
    scan = read(series(lambda dataset, _: setattr(dataset, "RescaleType", unit)))
    (note,) = scan.facts.notes
    assert words in note.text
    assert (note.kind, note.tag) == ("values", "RescaleType")


def test_a_slope_that_is_missing_alone_is_noted(series: Callable[[Edit], Path]) -> None:
    scan = read(series(lambda dataset, _: delattr(dataset, "RescaleSlope")))
    np.testing.assert_array_equal(scan.pixels, HU)
    assert scan.facts.problems == ("no RescaleSlope in the header; 1 is taken",)
