"""MetaImage volumes: any axes give the same slices; cut files and other types are refused."""

import zlib
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from clearbench.errors import UnreadableScan
from clearbench.scans.inventory import find_scans
from clearbench.scans.slices import ScanSource, read_scan, source_signature
from clearbench.scans.volume import Scan

SPACING_MM = np.array([5.0, 0.8, 0.7])  # z, y, x
TOWARDS = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]])  # z, y, x as LPS directions
FIRST_MM = np.array([10.0, 20.0, 30.0])  # LPS of the lowest, most anterior, rightmost voxel
ORDERS = [
    (order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)
]
PLAIN = ((2, 1, 0), (1, 1, 1))


def write(
    path: Path,
    hu: NDArray[np.generic],
    order: tuple[int, ...] = PLAIN[0],
    signs: tuple[int, ...] = PLAIN[1],
    **fields: str,
) -> Path:
    """Write HU [z, y, x] with its axes in another order and direction; `fields` replace ours."""
    data = hu.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]
    directions = TOWARDS[list(order)] * np.array(signs)[:, None]
    spacing = SPACING_MM[list(order)]
    last = (np.array(data.shape) - 1) * spacing * (np.array(signs) < 0)
    offset = FIRST_MM - last @ directions
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": " ".join(map(str, directions.ravel())),
        "Offset": " ".join(map(str, offset)),
        "ElementSpacing": " ".join(map(str, spacing)),
        "DimSize": " ".join(map(str, data.shape)),
        "ElementType": "MET_SHORT",
    } | fields
    local = path.suffix == ".mha"
    name = header.pop("ElementDataFile", "LOCAL" if local else f"{path.stem}.raw")
    lines = [f"{key} = {value}" for key, value in header.items() if value]
    text = "\n".join([*lines, f"ElementDataFile = {name}\n"]).encode()
    voxels = data.tobytes(order="F")
    voxels = zlib.compress(voxels) if header["CompressedData"] == "True" else voxels
    path.write_bytes(text + (voxels if local else b""))
    if not local:
        (path.parent / name).write_bytes(voxels)
    return path


def read(path: Path) -> Scan:
    return read_scan(ScanSource(path))


@pytest.mark.parametrize(("order", "signs"), ORDERS)
def test_all_48_axis_orders_give_the_same_slices(
    tmp_path: Path, hu: NDArray[np.int16], order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    scan = read(write(tmp_path / "a.mhd", hu, order, signs))
    np.testing.assert_array_equal(scan.pixels, hu)
    np.testing.assert_allclose(scan.z_mm, 30 + 5 * np.arange(4))
    assert scan.spacing_mm == pytest.approx(SPACING_MM)
    assert scan.slice_index.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("ending", [".mhd", ".mha"])
@pytest.mark.parametrize("compressed", ["True", "False"])
def test_data_may_be_compressed_and_lie_in_the_same_file(
    tmp_path: Path, hu: NDArray[np.int16], ending: str, compressed: str
) -> None:
    path = write(tmp_path / f"a{ending}", hu, CompressedData=compressed)
    np.testing.assert_array_equal(read(path).pixels, hu)


def test_other_types_and_byte_orders_are_read(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    swapped = {"ElementType": "MET_INT", "BinaryDataByteOrderMSB": "True"}
    path = write(tmp_path / "a.mha", hu.astype(">i4"), **swapped)
    np.testing.assert_array_equal(read(path).pixels, hu)
    halves = hu.astype("<f4") + 0.5
    path = write(tmp_path / "b.mha", halves, ElementType="MET_FLOAT")
    np.testing.assert_array_equal(read(path).pixels, halves)


def test_padding_becomes_air(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    hu[0, 0, 0] = -3024
    assert read(write(tmp_path / "a.mha", hu)).pixels[0, 0, 0] == -1024


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"NDims": "4"}, "4 dimensions with 1 channels; a scan has three"),
        ({"ElementNumberOfChannels": "3"}, "3 dimensions with 3 channels"),
        ({"BinaryData": "False"}, "written as text"),
        ({"ElementType": "MET_OTHER"}, "ElementType is MET_OTHER, not HU"),
        ({"ElementSpacing": "1 1"}, "no usable ElementSpacing"),
        ({"ElementSpacing": ""}, r"no usable ElementSpacing \(missing\)"),
        ({"ElementSpacing": "1 0 1"}, "no usable axes"),
        ({"ElementSpacing": "0.001 0.001 0.003"}, r"a CT has 0\.05 to 20 mm"),
        ({"ElementSpacing": "1 1 3000"}, r"a CT has 0\.05 to 20 mm"),
        ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "no usable axes"),
        ({"Offset": "nan 0 0"}, "no usable Offset"),
        ({"DimSize": "5 6 9"}, "240 bytes of voxels, expected 540"),
        ({"DimSize": "0 6 4"}, "image is empty"),
        ({"HeaderSize": "-1"}, "HeaderSize is negative"),
        ({"Offset": "0 0 1e30"}, r"first voxel is at 0 \\ 0 \\ 1e\+30 mm, where no scanner"),
        ({"NDims": "\x003"}, r"^\\x003 dimensions"),
        ({"Offset": "\x070 0 0"}, r"no usable Offset \(\\x070 0 0\)"),
        ({"ElementType": "\x1b[31m"}, r"ElementType is \\x1b\[31m, not HU"),
        ({"DimSize": "5.5 6 4"}, r"DimSize is 5\.5 6 4, not whole numbers"),
        ({"BinaryDataByteOrderMSB": "yes"}, "is 'yes', neither True nor False"),
        ({"Orientation": "0 1 0 1 0 0 0 0 1"}, "its header says TransformMatrix twice"),
        ({"ElementByteOrderMSB": "True"}, "its header says BinaryDataByteOrderMSB twice"),
        ({"ElementDataFile": "LIST"}, "one file per slice"),
        ({"ElementDataFile": "%03d.raw"}, "one file per slice"),
    ],
)
def test_a_file_without_a_volume_is_refused(
    tmp_path: Path, hu: NDArray[np.int16], fields: dict[str, str], said: str
) -> None:
    with pytest.raises(UnreadableScan, match=said):
        read(write(tmp_path / "a.mhd", hu, **fields))


def test_damaged_files_are_refused(tmp_path: Path, hu: NDArray[np.int16]) -> None:
    path = write(tmp_path / "a.mhd", hu, CompressedData="True")
    raw = tmp_path / "a.raw"
    whole = raw.read_bytes()
    for content, said in (
        (whole[:-2], "its checksum is incomplete"),
        (whole[:40], "bytes of voxels, expected 240"),
        (b"none" + whole, "is damaged"),
    ):
        raw.write_bytes(content)
        with pytest.raises(UnreadableScan, match=said):
            read(path)
    raw.unlink()
    with pytest.raises(UnreadableScan, match=r"data file a\.raw is missing"):
        read(path)
    path.write_bytes(b"NDims = 3\nno header")
    with pytest.raises(UnreadableScan, match="not a readable MetaImage"):
        read(path)


def test_a_segmentation_is_refused(tmp_path: Path) -> None:
    lungs = np.zeros((4, 6, 5), "u1")
    lungs[1:3, 2:4] = 3
    with pytest.raises(UnreadableScan, match="looks like a segmentation"):
        read(write(tmp_path / "a.mhd", lungs, ElementType="MET_UCHAR"))


def test_it_is_found_with_its_geometry_and_its_data_file_is_part_of_it(
    tmp_path: Path, hu: NDArray[np.int16]
) -> None:
    write(tmp_path / "a.mhd", hu, (1, 2, 0), (1, -1, -1))
    (tmp_path / "b.mhd").write_text("NDims = 3\n")
    found = find_scans(tmp_path)
    good, bad = found.scans
    assert (good.kind, good.shape, good.orientation, good.error) == (
        "metaimage",
        (4, 6, 5),
        "PRI",
        "",
    )
    assert good.spacing_mm == pytest.approx(tuple(SPACING_MM))
    assert "not a readable MetaImage" in bad.error
    assert not found.left_out


def test_other_voxels_under_the_same_header_are_another_source(
    tmp_path: Path, hu: NDArray[np.int16]
) -> None:
    path = write(tmp_path / "a.mhd", hu)
    before = source_signature(path)
    (tmp_path / "a.raw").write_bytes(b"\0" * 241)
    assert source_signature(path) != before


def test_a_data_file_may_have_any_letters_in_its_name(
    tmp_path: Path, hu: NDArray[np.int16]
) -> None:
    path = write(tmp_path / "a.mhd", hu)
    (tmp_path / "a.raw").rename(tmp_path / "Müller.raw")
    path.write_bytes(path.read_bytes().replace(b"a.raw", "Müller.raw".encode()))
    np.testing.assert_array_equal(read(path).pixels, hu)
