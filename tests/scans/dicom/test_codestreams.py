"""Compressed pixel data is decoded only if it has the size that its header has."""

from pathlib import Path

import pydicom
import pytest
from pydicom.encaps import generate_frames

from clearbench.errors import UnreadableScan
from clearbench.scans.dicom.codestreams import Stated, stated_size
from clearbench.scans.slices import ScanSource, read_scan

CORNERSTONE = Path("dicom/small/cornerstone3d")


@pytest.mark.parametrize("ending", [".4.50", ".4.57", ".4.70", ".4.80", ".4.81", ".4.90", ".4.91"])
def test_each_codec_states_the_size_of_the_real_slice(shared_data: Path, ending: str) -> None:
    (path,) = (shared_data / CORNERSTONE).glob(f"CTImage.dcm_*_1.2.840.10008.1.2{ending}.dcm")
    dataset = pydicom.dcmread(path)
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    found = stated_size(frame)
    assert found is not None
    assert (found.rows, found.columns, found.samples) == (dataset.Rows, dataset.Columns, 1)
    assert found.bits <= dataset.BitsAllocated


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xc3",
        b"\xff\xd8\xff\xff\xff\xff",
        b"\xff\xd8\xff\xe0\x00\x00" * 9,
        b"\xff\xd8\xff\xda\x00\x08",
        b"\xff\x4f\xff\x51\x00\x29",
        b"a text",
    ],
)
def test_damaged_data_states_nothing(frame: bytes) -> None:
    assert stated_size(frame) is None


def test_filling_bytes_and_tables_come_before_the_frame() -> None:
    frame = b"\xff\xd8\xff\xff\xc4\x00\x04ab\xff\xf7\x00\x0b\x10\x00\x14\x00\x10\x01\x01\x11\x00"
    assert stated_size(frame) == Stated(rows=20, columns=16, bits=16, samples=1)


def changed(shared_data: Path, tmp_path: Path, **tags: object) -> Path:
    """The real slice in JPEG 2000, whose header says something else."""
    (path,) = (shared_data / CORNERSTONE).glob("CTImage.dcm_*_1.2.840.10008.1.2.4.90.dcm")
    dataset = pydicom.dcmread(path)
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.save_as(tmp_path / "slice.dcm")
    return tmp_path / "slice.dcm"


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"Columns": 256}, r"compressed pixels of 512 × 512 × 1, but its header has 512 × 256 × 1"),
        ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, "of 16 bits, but its header has 8"),
        ({"Rows": 65535, "Columns": 65535}, "would unpack to 8 GB"),
    ],
)
def test_another_size_than_the_header_s_is_refused(
    shared_data: Path, tmp_path: Path, tags: dict[str, object], words: str
) -> None:
    with pytest.raises(UnreadableScan, match=words):
        read_scan(ScanSource(changed(shared_data, tmp_path, **tags)))


def test_damaged_data_of_a_known_codec_is_called_damaged(shared_data: Path, tmp_path: Path) -> None:
    path = changed(shared_data, tmp_path)
    dataset = pydicom.dcmread(path)
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    dataset.PixelData = pydicom.encaps.encapsulate([frame[: len(frame) // 4 * 2]])
    dataset.save_as(path)
    with pytest.raises(UnreadableScan, match=r"its JPEG 2000 .* is damaged"):
        read_scan(ScanSource(path))
