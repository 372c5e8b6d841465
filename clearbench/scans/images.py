"""Folders of slice images: 8-bit in named windows, or 16-bit PNG with HU + 32768."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from clearbench.errors import UnreadableScan, counted
from clearbench.scans.damage import refused
from clearbench.scans.grey import grey_values, refuse_mask, why_not_upright_greys
from clearbench.scans.hu import NO_RULES, HuRules, Pixels, checked_hu, clean_hu
from clearbench.scans.notes import Note
from clearbench.scans.volume import Scan
from clearbench.scans.walk import is_file
from clearbench.windows import WINDOWS_HU, parse_window

# Pillow opens dozens of formats whatever a file's name is, some of them with other programs
FORMATS = ("PNG", "JPEG")
BITS_AT = 24  # the byte of a PNG that has the bits of a value
LARGEST_NUMBER = 2**31 - 1
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
DEEPLESION_OFFSET = 32768  # DeepLesion stores HU + 32768 in its 16-bit PNGs
DEEPLESION_SERIES = re.compile(r"\d{6}_\d\d_\d\d")  # its folder names: patient, study, series
UNNAMED_WINDOW = (
    "8-bit images of an unknown window; name it (--window lung, or a column window in the cohort "
    f"table), or put them into a sub-folder named after it ({', '.join(WINDOWS_HU)})"
)
NO_WINDOW = "16-bit images have HU, not a window; leave the window out"
EACH_ITS_ROW = "if each is a scan of its own, give each its row in a table, with its path"
UNREADABLE = "not a readable image, PNG or JPEG"
DEEP_BITS = 16
MOST_PIXELS = 2**26
UNKNOWN_SPACING = (float("nan"), float("nan"), float("nan"))


def window_folders(folder: Path) -> dict[str, Path]:
    """Return the sub-folders of images that have a window's name, by that name."""
    return {
        path.name.lower(): path
        for path in sorted(folder.iterdir(), key=lambda path: path.name.lower())
        if path.name.lower() in WINDOWS_HU and path.is_dir() and image_files(path)
    }


def why_ambiguous(folder: Path) -> str:
    """Return which window, or which slice of a window, a folder has twice; "" if none."""
    found = window_folders(folder)
    for inner in sorted(folder.iterdir()):
        first = found.get(inner.name.lower(), inner)
        if first != inner and inner.is_dir() and image_files(inner):
            return f"{first.name} and {inner.name} are folders of one window; keep one of them"
    for inner in found.values():
        files: dict[str, Path] = {}
        for path in image_files(inner):
            first = files.setdefault(path.stem, path)
            if first != path:
                return (
                    f"{inner.name} has {first.name} and {path.name}, which are one slice by their "
                    "names; keep one of them"
                )
    return ""


def notes_beside(folder: Path) -> tuple[Note, ...]:
    """Note the images that lie next to folders of windows, and are in none of them."""
    count = len(image_files(folder)) if window_folders(folder) else 0
    text = f"{counted(count, 'image')} next to the windows' folders left out"
    return (Note("files", text),) if count else ()


def image_files(folder: Path) -> list[Path]:
    """Return the images of a folder (not of its sub-folders), ordered by the number in the name."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    files = (path for path in found if is_file(path) and not path.name.startswith("."))
    return sorted(files, key=lambda path: (_number(path), path.stem))


def _number(path: Path) -> int:
    """Return the last number in a file's name, -1 without one."""
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else -1


def read_image_folder(folder: Path, rules: HuRules = NO_RULES) -> Scan:
    """Read one scan from a folder of images.

    Sub-folders named after windows hold 8-bit images, one per slice, matched by file name. A slice
    that lacks a window is kept and is False in `present`. Without sub-folders, images are 16-bit
    PNGs of HU + 32768, or 8-bit images of the window that `rules` names. Numbers run from feet to
    head, or from head to feet in a folder that is named like a series of DeepLesion.
    Raises UnreadableScan with the name of an image that is damaged or of another size or depth.
    """
    folders = window_folders(folder)
    reason = why_ambiguous(folder)
    if reason:
        raise UnreadableScan(reason)
    if folders:
        scan = _read_windows(folders)
        return replace(scan, facts=scan.facts.with_notes(*notes_beside(folder)))
    paths = image_files(folder)
    if not paths:
        raise UnreadableScan("no DICOM, NIfTI or image file in this folder")
    head_first = DEEPLESION_SERIES.fullmatch(folder.absolute().name)
    return _read_planes(paths[::-1] if head_first else paths, rules)


def read_image(path: Path, rules: HuRules = NO_RULES) -> Scan:
    """Read one image as a scan of one slice, number 0: 16-bit HU + 32768, or 8-bit in a window.

    Raises UnreadableScan if it is damaged, or of 8 bits in a window that `rules` doesn't name.
    """
    return replace(_read_planes([path], rules), slice_index=np.zeros(1, np.int32))


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
    for column in range(len(folders)):
        refuse_mask(pixels[present[:, column], column])
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


def _read_planes(paths: Sequence[Path], rules: HuRules) -> Scan:
    """Read images of one kind: HU [n, y, x], or one window [n, 1, y, x]."""
    planes = [_open(path) for path in paths]
    for path, plane in zip(paths, planes, strict=True):
        if plane.shape != planes[0].shape or plane.dtype != planes[0].dtype:
            raise UnreadableScan(_unlike(path, plane, paths[0]))
    window = parse_window(rules.window)
    present = np.ones((len(paths), 1), bool)
    if planes[0].dtype != np.uint8:
        if window is not None:
            raise UnreadableScan(NO_WINDOW)
        hu, notes = _as_hu(np.stack(planes), rules)
        scan = _scan(hu, present, paths, ())
        return replace(scan, facts=scan.facts.with_notes(*notes))
    if window is None:
        raise UnreadableScan(UNNAMED_WINDOW)
    pixels = np.stack(planes)[:, None]
    refuse_mask(pixels)
    return _scan(pixels, present, paths, window[:1])


def _unlike(path: Path, plane: Pixels, first: Path) -> str:
    """Return the error for an image of another size or depth than the first one."""
    return f"{path.name} is {plane.shape} {plane.dtype}, unlike {first.name}; {EACH_ITS_ROW}"


def _as_hu(stored: Pixels, rules: HuRules) -> tuple[Pixels, tuple[Note, ...]]:
    """Return stored values - 32768, or + `hu_offset`, as checked HU, with notes."""
    stored = stored.astype(np.int32)
    own_offset = rules.hu_offset is not None
    return checked_hu(stored if own_offset else stored - DEEPLESION_OFFSET, rules)


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
    # a time of day, such as 20240101123456, is no number of a slice
    usable = min(numbers) >= 0 and max(numbers) <= LARGEST_NUMBER
    known = usable and len(set(numbers)) == len(numbers)
    index = numbers if known else list(range(len(paths)))
    return Scan(
        pixels=pixels,
        z_mm=np.full(len(paths), np.nan, np.float32),
        slice_index=np.array(index, np.int32),
        spacing_mm=UNKNOWN_SPACING,
        present=present,
        windows=windows,
    )


def why_not_images(files: Sequence[Path], window: str = "") -> str:
    """Return why some images are not a scan, from their headers; "" if they are.

    `window` is that of 8-bit images, "" if it isn't known.
    """
    first = None
    for path in files:
        try:
            with _opened(path) as image:
                found = (image.size[::-1], image.mode.startswith("I"))
        except UnreadableScan as error:
            return str(error)
        first = first or found
        if found != first:
            sizes = (f"{'16' if deep else '8'} bits of {shape}" for shape, deep in (found, first))
            return f"{path.name} has {', unlike '.join(sizes)} of {files[0].name}; {EACH_ITS_ROW}"
    if first is None:
        return ""
    if first[1]:
        return NO_WINDOW if window else ""
    return "" if window else UNNAMED_WINDOW


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image that a slice of a CT can be; raises UnreadableScan with the file's name."""
    try:
        with refused(UNREADABLE), Image.open(path, formats=FORMATS) as image:
            reason = _why_not_one(image, path) or why_not_upright_greys(image)
            if reason:
                raise UnreadableScan(reason)
            yield image
    except UnreadableScan as error:
        raise UnreadableScan(f"{path.name}: {error}") from error


def _why_not_one(image: Image.Image, path: Path) -> str:
    """Return why an opened image can't be one slice; "" if it can."""
    width, height = image.size
    if width * height > MOST_PIXELS:
        return f"an image of {height:,} × {width:,} pixels, which no slice of a CT has"
    count = getattr(image, "n_frames", 1)
    if count > 1:
        return f"it holds {count} images; save each as a file of its own"
    if image.format == "PNG" and not image.mode.startswith("I"):
        with path.open("rb") as file:
            bits = file.read(BITS_AT + 1)[BITS_AT]
        if bits == DEEP_BITS:  # Pillow leaves out the lower 8
            return "16-bit colours or transparency; save it as 16-bit grey values"
    return ""


def _open(path: Path) -> Pixels:
    """Decode one grey image, [y, x] uint8 or 16-bit."""
    with _opened(path) as image:
        # Pillow opens 16-bit PNGs as I or as I;16, depending on its version
        if image.mode.startswith("I"):
            # 32 bits, as unsigned 16 bits would wrap round when 32,768 is subtracted
            return np.asarray(image).astype(np.int32)
        return grey_values(image)


def _eight_bit(path: Path, shape: tuple[int, ...]) -> Pixels:
    """Decode one windowed image and refuse another size or depth."""
    plane = _open(path)
    if plane.shape != shape or plane.dtype != np.uint8:
        raise UnreadableScan(
            f"{path.parent.name}/{path.name} is {plane.shape} {plane.dtype}, not {shape} uint8"
        )
    return plane
