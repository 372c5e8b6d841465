"""Malformed scans: DICOM, NIfTI, MetaImage, npz, PNG and JPEG."""

import gzip
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel
import numpy as np
import pydicom
from PIL import Image
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from clearbench.scans.write import DicomHeader, seeded_uid, write_dicom_series, write_nifti
from hostile.cases import Case, damaged, damaged_bytes, put, random_damage, write_files

HU = np.random.default_rng(0).integers(-1000, 1000, (4, 20, 16)).astype(np.int16)
SPACING_MM = (3.0, 0.8, 0.7)
HEADER = DicomHeader(
    "p", seeded_uid("study"), seeded_uid("series"), "a", 3.0, "B30f", False, "M", "O", 120.0, "d"
)
ABSURD = (
    "",
    "nan",
    "inf",
    "-inf",
    "1e308",
    "-1e308",
    "1e-320",
    "0",
    "-1",
    "abc",
    "1\\2",
    "9" * 400,
)
TEXTS = {
    **{"ImageOrientationPatient": 6, "ImagePositionPatient": 3, "PixelSpacing": 2},
    **{"RescaleSlope": 1, "RescaleIntercept": 1, "SliceThickness": 1, "KVP": 1},
    **{"PatientID": 1, "SOPClassUID": 1, "SeriesInstanceUID": 1, "ImageType": 3},
}  # by tag, how many values it has
SHORTS = (
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("SamplesPerPixel", "PixelRepresentation"),
)


UNDEFINED = 2**32 - 1  # a length in DICOM


def good_dicom() -> dict[str, bytes]:
    """Return the files of a good series, by name."""
    with TemporaryDirectory() as folder:
        write_dicom_series(Path(folder), HU, SPACING_MM, header=HEADER)
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def good_nifti(name: str = "scan.nii") -> bytes:
    """Return a good NIfTI file."""
    with TemporaryDirectory() as folder:
        write_nifti(Path(folder) / name, HU, SPACING_MM)
        return (Path(folder) / name).read_bytes()


def meta(**fields: object) -> bytes:
    """Return a MetaImage header, with some fields changed; None leaves one out."""
    usual: dict[str, object] = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": True,
        "BinaryDataByteOrderMSB": False,
        "CompressedData": False,
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "0 0 0",
        "ElementSpacing": "0.7 0.8 3",
        "DimSize": "16 20 4",
        "ElementType": "MET_SHORT",
    }
    last = fields.pop("ElementDataFile", "LOCAL")
    written = {key: value for key, value in (usual | fields).items() if value is not None}
    return "".join(f"{key} = {value}\n" for key, value in written.items()).encode() + (
        f"ElementDataFile = {last}\n".encode()
    )


def npz_of(shape: str, data: bytes = b"", descr: str = "'<i2'", tail: str = "}") -> bytes:
    """Return an archive whose array has any header."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, {tail}".encode()
    text += b" " * (64 - (10 + len(text) + 1) % 64) + b"\n"
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("ct.npy", head + data)
    return file.getvalue()


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    """Return an image file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def edited(good: bytes, name: str, value: bytes) -> bytes:
    """Return a DICOM file (explicit VR, little endian) whose tag has other bytes."""
    group, element = divmod(tag_for_keyword(name), 2**16)
    start = good.find(struct.pack("<HH", group, element))
    (length,) = struct.unpack_from("<H", good, start + 6)
    value += b" " * (len(value) % 2)
    head = good[: start + 6] + struct.pack("<H", len(value))
    return head + value + good[start + 8 + length :]


def saved(dataset: FileDataset, **how: object) -> bytes:
    """Return a data set as a file."""
    file = io.BytesIO()
    dataset.save_as(file, **how)
    return file.getvalue()


def dicom_cases() -> Iterator[Case]:
    """Yield a file at fault, alone and as one of a series whose other files are good."""
    files = good_dicom()
    first, *others = files
    good = files[first]
    header = good.find(struct.pack("<HH", 0x7FE0, 0x0010))
    yield from damaged("dicom", first, good, header)
    for name, content in [*damaged_bytes(good, header, seed=1), *edits(good)]:
        series = {other: files[other] for other in others} | {first: content}
        yield Case(f"dicom/{name}, in a series", partial(write_files, series))
    yield from odd_dicom(good, first)


def edits(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what is wrong, and the file, for tags with absurd values."""
    for (name, count), value in product(TEXTS.items(), ABSURD):
        yield f"{name} is {value[:20]!r}", edited(good, name, "\\".join([value] * count).encode())
    for name, number in product(SHORTS, (0, 1, 7, 255, 65_535)):
        yield f"{name} is {number}", edited(good, name, struct.pack("<H", number))
    for name in SHORTS:
        yield f"{name} has no bytes", edited(good, name, b"")


def odd_dicom(good: bytes, name: str) -> Iterator[Case]:
    """Yield other syntaxes, bombs, and objects within objects."""
    dataset = pydicom.dcmread(io.BytesIO(good))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    deflated = saved(dataset)
    yield from damaged("deflated dicom", name, deflated, min(600, len(deflated)))
    meta_end = 132 + 12 + int.from_bytes(deflated[140:144], "little")
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = bomb.compress(b"\0" * 2**20)
    body = zeros + b"".join(bomb.compress(b"\0" * 2**20) for _ in range(600)) + bomb.flush()
    yield Case("deflated dicom/bomb", put(name, deflated[:meta_end] + body))
    plain = pydicom.dcmread(io.BytesIO(good))
    plain.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    yield from damaged("implicit dicom", name, saved(plain), 700)
    patient = good.find(struct.pack("<HH", 0x0010, 0x0010))
    for depth in (50, 5000):
        opened = struct.pack("<HH2sHI", 0x0008, 0x1110, b"SQ", 0, UNDEFINED)
        opened += struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
        closed = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
        nested = good[:patient] + opened * depth + closed * depth + good[patient:]
        yield Case(f"dicom/{depth} sequences in each other", put(name, nested))
    start = good.find(struct.pack("<HH", 0x7FE0, 0x0010))
    for length in (0, 1, 2**31, 2**32 - 2, 2**32 - 1):
        wrong = good[: start + 8] + struct.pack("<I", length) + good[start + 12 :]
        yield Case(f"dicom/pixel data of {length} bytes", put(name, wrong))


def nifti_cases() -> Iterator[Case]:
    """Yield NIfTI files at fault."""
    good = good_nifti()
    yield from damaged("nifti", "scan.nii", good, 352)
    packed = good_nifti("scan.nii.gz")
    yield from damaged("nifti.gz", "scan.nii.gz", packed, 200)

    def field(offset: int, form: str, *values: float) -> bytes:
        part = struct.pack("<" + form * len(values), *values)
        return good[:offset] + part + good[offset + len(part) :]

    inf, nan, huge = float("inf"), float("nan"), 1e30
    fields: Mapping[str, tuple[int, str, list[tuple[float, ...]]]] = {
        "dim": (40, "h", [(-1,), (0,), (8,), (3, -16), (3, 16, -20), (3, 0, 20, 4), (7, 16, 20),
                          (3, 32767, 32767, 32767), (3, -32768, -32768, -32768), (2, 16, 20)]),
        "datatype": (70, "h", [(-1,), (0,), (1,), (9999,), (32,), (128,), (1536,), (2048,)]),
        "bitpix": (72, "h", [(0,), (-16,), (32767,)]),
        "pixdim": (76, "f", [(nan, nan, nan, nan), (1, inf, 1, 1), (1, 0, 0, 0), (1, -1, -1, -1),
                             (1, 1e-45, 1, 1), (1, huge, huge, huge), (9, 1, 1, 1)]),
        "vox_offset": (108, "f", [(inf,), (nan,), (-1,), (huge,), (-huge,), (0,), (351,), (1e9,)]),
        "scl_slope": (112, "f", [(nan, nan), (inf, 0), (huge, huge), (1, inf), (-1, 0), (0, 5)]),
        "quaternion": (256, "f", [(nan,) * 6, (2, 2, 2, 0, 0, 0), (inf,) * 6, (huge,) * 6]),
        "srow": (280, "f", [(nan,) * 12, (0,) * 12, (inf,) * 12, (huge,) * 12, (1,) * 12]),
        "codes": (252, "h", [(-1, -1), (99, 99), (0, 0), (32767, -32768)]),
        "magic": (344, "b", [(0, 0, 0, 0), (110, 105, 49, 0), (-1, -1, -1, -1)]),
        "sizeof_hdr": (0, "i", [(0,), (-1,), (540,), (2**31 - 1,)]),
        "extension": (348, "b", [(1, 0, 0, 0), (-1, -1, -1, -1)]),
    }  # fmt: skip
    for name, (offset, form, several) in fields.items():
        for values in several:
            text = " ".join(f"{value:g}" for value in values[:4])
            yield Case(f"nifti/{name} is {text}", put("scan.nii", field(offset, form, *values)))
            yield Case(
                f"nifti.gz/{name} is {text}",
                put("scan.nii.gz", gzip.compress(field(offset, form, *values))),
            )
    big = gzip.compress(good + b"\0" * 2**26, 9)
    yield Case("nifti.gz/64 MB beyond its header's size", put("scan.nii.gz", big))
    yield Case("nifti.gz/a bomb of 8 GB", lambda folder: gzip_bomb(folder / "scan.nii.gz", good))
    yield Case("nifti.gz/gzip in gzip", put("scan.nii.gz", gzip.compress(packed)))
    empty = gzip.compress(b"") * 100_000
    for what, content in {
        "100,000 empty members before it": empty + packed,
        "100,000 empty members after it": packed + empty,
        "100,000 members of 1 byte": packed + gzip.compress(b"x") * 100_000,
    }.items():
        yield Case(f"nifti.gz/{what}", put("scan.nii.gz", content), refused=True)
    halves = (gzip.compress(good[: len(good) // 2]), gzip.compress(good[len(good) // 2 :]))
    yield Case("nifti.gz/two members", put("scan.nii.gz", b"".join(halves)), refused=False)
    yield Case("nifti/gzip without its suffix", put("scan.nii", packed))
    yield Case("nifti.gz/not packed", put("scan.nii.gz", good))
    complex_ = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.complex64), np.eye(4))
    yield Case("nifti/complex values", put("scan.nii", complex_.to_bytes()))
    not_hu = nibabel.Nifti1Image(np.full((4, 4, 4), np.nan, np.float32), np.eye(4))
    yield Case("nifti/nothing but NaN", put("scan.nii", not_hu.to_bytes()))


def gzip_bomb(path: Path, head: bytes) -> None:
    """Write 8 GB of zeros after a good file, as members of one gzip file."""
    member = gzip.compress(b"\0" * 2**26, 9)
    with path.open("wb") as file:
        file.write(gzip.compress(head))
        for _ in range(128):
            file.write(member)


def metaimage_cases() -> Iterator[Case]:
    """Yield MetaImage files at fault."""
    voxels = HU.tobytes()
    yield from damaged("mha", "scan.mha", meta() + voxels, len(meta()))
    for key, values in {
        "DimSize": ("1e18 1e18 1e18", "1e300 1e300 1e300", "-16 20 4", "0 0 0", "nan nan nan",
                    "16 20", "16 20 4 1", "9223372036854775807 2 2", "1e18 1 1", "16.5 20 4"),
        "NDims": ("-3", "1e9", "2", "4", "three", None),
        "ElementSpacing": ("0 0 0", "nan 1 1", "inf 1 1", "-1 1 1", "1e300 1 1", "1e-300 1 1",
                           None),
        "TransformMatrix": ("0 " * 9, "nan " * 9, "1e300 " * 9, "1 0 0", "1 0 0 1 0 0 0 0 1"),
        "Offset": ("nan 0 0", "1e308 1e308 1e308", "0"),
        "ElementType": ("MET_STRING", "MET_DOUBLE", "", "MET_LONG_LONG", None),
        "CompressedData": ("True", "maybe"),
        "HeaderSize": ("-1", "1e18", "1e300", "nan", "99999999"),
        "ElementNumberOfChannels": ("0", "-1", "3", "1e9"),
    }.items():  # fmt: skip
        for value in values:
            content = meta(**{key: value}) + voxels
            yield Case(f"mha/{key} is {value}", put("scan.mha", content))
    for name in ("x" * 5000, "../../etc/passwd", "/etc/passwd", "/dev/zero", ".", "", "LIST",
                 "slice%03d.raw 1 4 1", "none.raw", "a\0b"):  # fmt: skip
        yield Case(f"mhd/data in {name[:20]}", put("scan.mhd", meta(ElementDataFile=name)))
    bomb = zlib.compress(b"\0" * 2**28, 9)
    yield Case("mha/a bomb", put("scan.mha", meta(CompressedData=True) + bomb))
    for wrong in (zlib.compress(voxels)[:-3], zlib.compress(voxels[:-4]), b"", b"x" * 100):
        content = meta(CompressedData=True) + wrong
        yield Case(f"mha/{len(wrong)} packed bytes", put("scan.mha", content))
    yield Case("mha/a header without end", put("scan.mha", b"NDims = 3\n" * 100_000))


def npz_cases() -> Iterator[Case]:
    """Yield archives at fault."""
    array = np.clip(HU, -1000, 1000)
    file = io.BytesIO()
    np.savez_compressed(file, ct=array)
    good = file.getvalue()
    yield from damaged("npz", "scan.npz", good, 120)
    for shape in ("(-4, 20, 16)", "(4, 20, -16)", "(9**30, 20, 16)", "(2**40, 2**40, 2**40)",
                  "(10**18, 1, 1)", "(4, 20)", "()", "(4, 20, 16", "'abc'", "None", "(1.5, 2, 3)",
                  "(True, 20, 16)", "(" * 500, "(99999999999999999999, 1, 1)"):  # fmt: skip
        yield Case(f"npz/shape {shape[:25]}", put("scan.npz", npz_of(shape, array.tobytes())))
    for descr in ("'|O'", "'<i1000000000'", "'|V8'", "[('a', '<i2')]", "'<U9999999'", "'<f8'"):
        content = npz_of("(4, 20, 16)", array.tobytes(), descr)
        yield Case(f"npz/type {descr}", put("scan.npz", content))
    yield Case("npz/header without end", put("scan.npz", npz_of("(4, 20, 16)", tail="")))
    yield Case("npz/too few voxels", put("scan.npz", npz_of("(4, 20, 16)", b"1234")))
    yield Case("npz/no voxels of many", put("scan.npz", npz_of("(4000, 2000, 2000)")))
    packed = io.BytesIO()
    np.savez_compressed(packed, ct=np.zeros((2000, 1000, 512), np.int16))
    yield Case("npz/a bomb of 2 GB", put("scan.npz", packed.getvalue()))
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(3000):
            archive.writestr(f"a{number}.npy", b"")
    yield Case("npz/3,000 members", put("scan.npz", many.getvalue()))


def image_cases() -> Iterator[Case]:
    """Yield images at fault, of HU + 32768 and in a window."""
    deep = (HU[0].astype(np.int32) + 32768).astype(np.uint16)
    yield from damaged("png", "1.png", png(deep), 60)
    jpeg = png((HU[0] % 256).astype(np.uint8), "JPEG")
    for case in damaged("jpeg", "1.jpg", jpeg, 300):
        yield in_lung(case)
    large = zlib.compress(b"\0" * (12_000 * 12_001), 9)
    yield Case("png/12,000 × 12,000", put("1.png", raw_png(12_000, 12_000, large)))
    for width, height in ((0, 0), (2**31 - 1, 2**31 - 1), (1, 2**31 - 1), (2**32 - 1, 1)):
        content = raw_png(width, height, zlib.compress(b"\0"))
        yield Case(f"png/{width} × {height}", put("1.png", content))
    yield Case("png/one other size", lambda folder: [
        (folder / f"{n}.png").write_bytes(png(deep[:n])) for n in (10, 20)
    ])  # fmt: skip
    yield Case("png/a text", put("1.png", b"not an image\n"))
    yield Case("png/a page of HTML", put("1.png", b"<html>403</html>"))
    grey = png((HU[0] % 256).astype(np.uint8))
    noisy = grey[:33] + chunk(b"tEXt", b"k\0" + b"a" * 2**20) + grey[33:]
    yield in_lung(Case("png/1 MB of text", put("1.png", noisy)))
    zipped = chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * 2**27, 9))
    yield in_lung(Case("png/128 MB of packed text", put("1.png", grey[:33] + zipped + grey[33:])))


def in_lung(case: Case) -> Case:
    """Return a case whose files lie in a folder `lung`: 8-bit images in that window."""

    def write(folder: Path) -> None:
        (folder / "lung").mkdir()
        case.write(folder / "lung")

    return Case(case.name, write)


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one part of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(width: int, height: int, data: bytes) -> bytes:
    """Return a PNG file of 8 bits with any size in its header."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def name_cases() -> Iterator[Case]:
    """Yield files whose names, kinds or rights are at fault."""
    good = good_nifti()
    latin = os.fsdecode("Müller.nii".encode("latin-1"))
    yield Case("name/not UTF-8", put(latin, good))
    yield Case("name/new line and escape", put("a\n\x1b[31mred\x07.nii", good))
    yield Case("name/a formula", put("=cmd|' calc'!A0.nii", good))
    yield Case("name/longest", put("x" * 251 + ".nii", good))
    yield Case("name/right to left", put("\u202efdp.nii", good))
    yield Case("name/a folder", lambda folder: (folder / "scan.nii").mkdir())
    for name in ("scan.nii", "1.png", "scan.mha", "scan.npz", "scan.dcm", "scan"):
        yield Case(f"kind/a pipe called {name}", lambda folder, name=name: os.mkfifo(folder / name))
        yield Case(
            f"kind/a link to /dev/zero called {name}",
            lambda folder, name=name: (folder / name).symlink_to("/dev/zero"),
        )
        yield Case(
            f"kind/a link to itself called {name}",
            lambda folder, name=name: (folder / name).symlink_to(name),
        )


def more_damage(kind: str, seeds: range) -> Iterator[Case]:
    """Yield scans with random damage."""
    name, good, header = {
        "dicom": lambda: (*next(iter(good_dicom().items())), 2000),
        "nifti": lambda: ("scan.nii", good_nifti(), 352),
        "nifti.gz": lambda: ("scan.nii.gz", good_nifti("scan.nii.gz"), 200),
        "mha": lambda: ("scan.mha", meta() + HU.tobytes(), len(meta())),
        "png": lambda: ("1.png", png((HU[0] + 1000).astype(np.uint16)), 60),
    }[kind]()
    yield from random_damage(kind, name, good, header, seeds)


def scan_cases() -> Iterator[Case]:
    """Yield every malformed scan."""
    yield from dicom_cases()
    yield from nifti_cases()
    yield from metaimage_cases()
    yield from npz_cases()
    yield from image_cases()
    yield from name_cases()
