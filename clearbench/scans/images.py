"""Folders of slice images: 8-bit in named windows, or 16-bit PNG with HU + 32768."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from clearbench.errors import UnreadableScan
from clearbench.scans.hu import NO_RULES, HuRules, Pixels, checked_hu, clean_hu
from clearbench.scans.notes import Note
from clearbench.scans.volume import Scan
from clearbench.scans.windows import WINDOWS_HU

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
DEEPLESION_OFFSET = 32768  # DeepLesion stores HU + 32768 in its 16-bit PNGs
DEEPLESION_SERIES = re.compile(r"\d{6}_\d\d_\d\d")  # its folder names: patient, study, series
UNNAMED_WINDOW = (
    "8-bit images of an unknown window; put them into a sub-folder named after their window "
    f"({', '.join(WINDOWS_HU)})"
)
# Pillow raises SyntaxError for a broken PNG
UNDECODED = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
UNKNOWN_SPACING = (float("nan"), float("nan"), float("nan"))


def window_folders(folder: Path) -> dict[str, Path]:
    """Return the sub-folders of images that have a window's name, by that name."""
    return {
        path.name.lower(): path
        for path in sorted(folder.iterdir(), key=lambda path: path.name.lower())
        if path.name.lower() in WINDOWS_HU and path.is_dir() and image_files(path)
    }


def image_files(folder: Path) -> list[Path]:
    """Return the images of a folder (not of its sub-folders), ordered by the number in the name."""
    files = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    return sorted(files, key=lambda path: (_number(path), path.stem))


def _number(path: Path) -> int:
    """Return the last number in a file's name, -1 without one."""
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else -1


def read_image_folder(folder: Path, rules: HuRules = NO_RULES) -> Scan:
    """Read one scan from a folder of images.

    Sub-folders named after windows hold 8-bit images, one per slice, matched by file name. A slice
    that lacks a window is kept and is False in `present`. Without sub-folders, images are 16-bit
    PNGs of HU + 32768. Numbers run from feet to head, or from head to feet in a folder that is
    named like a series of DeepLesion.
    Raises UnreadableScan with the name of an image that is damaged or of another size or depth.
    """
    folders = window_folders(folder)
    return _read_windows(folders) if folders else _read_hu(folder, rules)


def _read_windows(folders: dict[str, Path]) -> Scan:
    """Read 8-bit images as [n, windows, y, x]."""
    found = {
        name: {path.stem: path for path in image_files(inner)} for name, inner in folders.items()
    }
    firsts = {stem: path for files in found.values() for stem, path in files.items()}
    paths = sorted(firsts.values(), key=lambda path: (_number(path), path.stem))
    shape = _open(paths[0]).shape
    pixels = np.zeros((len(paths), len(folders), *shape), np.uint8)
    present = np.zeros((len(paths), len(folders)), bool)
    for row, path in enumerate(paths):
        for column, files in enumerate(found.values()):
            if path.stem in files:
                pixels[row, column] = _eight_bit(files[path.stem], shape)
                present[row, column] = True
    scan = _scan(pixels, present, paths, tuple(folders))
    return _with_gaps(scan)


def _with_gaps(scan: Scan) -> Scan:
    """Record which slices lack a window."""
    gaps = [
        Note(
            "files",
            f"slice {scan.slice_index[row]} lacks its {scan.windows[column]} window",
        )
        for row, column in np.argwhere(~scan.present)
    ]
    return replace(scan, facts=scan.facts.with_notes(*gaps))


def _read_hu(folder: Path, rules: HuRules) -> Scan:
    """Read 16-bit PNGs as HU [n, y, x]: stored values - 32768, or + `hu_offset`."""
    paths = image_files(folder)
    if not paths:
        raise UnreadableScan("no DICOM, NIfTI or image file in this folder")
    planes = [_open(path) for path in paths]
    if planes[0].dtype == np.uint8:
        raise UnreadableScan(UNNAMED_WINDOW)
    for path, plane in zip(paths, planes, strict=True):
        if plane.shape != planes[0].shape or plane.dtype == np.uint8:
            raise UnreadableScan(
                f"{path.name} is {plane.shape} {plane.dtype}, unlike {paths[0].name}"
            )
    if DEEPLESION_SERIES.fullmatch(folder.absolute().name):
        paths, planes = paths[::-1], planes[::-1]
    stored = np.stack(planes).astype(np.int32)
    own_offset = rules.hu_offset is not None
    hu, notes = checked_hu(stored if own_offset else stored - DEEPLESION_OFFSET, rules)
    scan = _scan(hu, np.ones((len(paths), 1), bool), paths, ())
    return replace(scan, facts=scan.facts.with_notes(*notes))


def read_hu_image(path: Path) -> Pixels:
    """Read one 16-bit PNG, HU + 32768, as HU [y, x] int16.

    Raises UnreadableScan for a missing or damaged file, or one of 8 bits.
    """
    plane = _open(path)
    if plane.dtype == np.uint8:
        raise UnreadableScan(f"{path.name}: an 8-bit image; HU + 32768 needs 16 bits")
    return clean_hu(plane.astype(np.int32) - DEEPLESION_OFFSET)


def _scan(pixels: Pixels, present: Pixels, paths: Sequence[Path], windows: tuple[str, ...]) -> Scan:
    """Make the scan; images have no spacing and no position."""
    numbers = [_number(path) for path in paths]
    known = len(set(numbers)) == len(numbers) and min(numbers) >= 0
    index = numbers if known else list(range(len(paths)))
    return Scan(
        pixels=pixels,
        z_mm=np.full(len(paths), np.nan, np.float32),
        slice_index=np.array(index, np.int32),
        spacing_mm=UNKNOWN_SPACING,
        present=present,
        windows=windows,
    )


def why_not_images(folder: Path) -> str:
    """Return why a folder can't be read, from its first image; "" if it can be."""
    files = image_files(folder)
    if window_folders(folder) or not files:
        return ""
    try:
        with Image.open(files[0]) as image:
            return "" if image.mode.startswith("I") else UNNAMED_WINDOW
    except UNDECODED as error:
        return f"{files[0].name} is not a readable image ({error})"


def _open(path: Path) -> Pixels:
    """Decode one grey image, [y, x] uint8 or 16-bit."""
    try:
        with Image.open(path) as image:
            # Pillow opens 16-bit PNGs as I or as I;16, depending on its version
            if image.mode.startswith("I"):
                # 32 bits, as unsigned 16 bits would wrap round when 32,768 is subtracted
                return np.asarray(image).astype(np.int32)
            return np.asarray(image.convert("L"))
    except UNDECODED as error:
        raise UnreadableScan(f"{path.name} is not a readable image ({error})") from error


def _eight_bit(path: Path, shape: tuple[int, ...]) -> Pixels:
    """Decode one windowed image and refuse another size or depth."""
    plane = _open(path)
    if plane.shape != shape or plane.dtype != np.uint8:
        raise UnreadableScan(
            f"{path.parent.name}/{path.name} is {plane.shape} {plane.dtype}, not {shape} uint8"
        )
    return plane
