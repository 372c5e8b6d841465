"""Images on disk → scans: a folder is one scan, or each of its images is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from clearbench.scans.dicom.records import LeftOut
from clearbench.scans.found import FoundScan, Inventory, by_path
from clearbench.scans.images import (
    UNNAMED_WINDOW,
    image_files,
    notes_beside,
    why_ambiguous,
    why_not_images,
    window_folders,
)
from clearbench.scans.notes import Note
from clearbench.scans.volume import ScanFacts
from clearbench.windows import WINDOWS_HU, parse_window

UNEQUAL = Note("files", "windows of unequal length")


def stray_images(images: list[Path], dicom: set[Path]) -> dict[Path, LeftOut]:
    """Return the images that aren't slices: previews next to DICOM files."""
    return {
        file: LeftOut(file, "an image next to DICOM slices")
        for file in images
        if file.parent in dicom
    }


def image_folders(root: Path, images: list[Path]) -> list[Path]:
    """Return the folders that are scans of images; window folders of one folder are one scan."""
    folders = {file.parent for file in images}
    return sorted(
        {
            folder.parent if folder != root and folder.name.lower() in WINDOWS_HU else folder
            for folder in folders
        }
    )


def image_scan(folder: Path) -> FoundScan:
    """Describe a folder of images by their headers."""
    windows = window_folders(folder)
    parts = [image_files(inner) for inner in (windows or {"": folder}).values()]
    unequal = len(set(map(len, parts))) > 1
    notes = ((UNEQUAL,) if unequal else ()) + notes_beside(folder)
    name = next(iter(windows), "")
    return FoundScan(
        path=folder,
        kind="images",
        shape=(max(map(len, parts)),),
        orientation="axial",
        windows=tuple(windows),
        facts=ScanFacts(notes=notes),
        error=why_ambiguous(folder)
        or why_not_images([file for files in parts for file in files], name),
    )


def one_image(file: Path) -> FoundScan:
    """Describe one image, a scan of one slice; a folder's name may say its window."""
    name = file.parent.name.lower()
    windows = (name,) if name in WINDOWS_HU else ()
    return FoundScan(
        path=file,
        kind="image",
        shape=(1,),
        orientation="axial",
        windows=windows,
        window=name if windows else "",
        error=why_not_images([file], *windows),
    )


def with_single_images(inventory: Inventory, wanted: Callable[[Path], bool]) -> Inventory:
    """Replace each folder of images that has a `wanted` one by its images, one scan each."""
    scans: list[FoundScan] = []
    for scan in inventory.scans:
        files = images_of(scan)
        scans += map(one_image, files) if any(map(wanted, files)) else [scan]
    return replace(inventory, scans=tuple(sorted(scans, key=by_path)))


def images_of(scan: FoundScan) -> list[Path]:
    """Return the images of a scan that is a folder of images; none of another scan."""
    if scan.kind != "images":
        return []
    folders = window_folders(scan.path).values() or (scan.path,)
    return [file for folder in folders for file in image_files(folder)]


def in_window(inventory: Inventory, window: str) -> Inventory:
    """Return an inventory whose 8-bit images of an unknown window are in `window`, "" for none."""
    return replace(inventory, scans=tuple(with_window(scan, window) for scan in inventory.scans))


def with_window(scan: FoundScan, window: str) -> FoundScan:
    """Return a scan whose 8-bit images are in a window; other scans stay as they are.

    `window` is a name, or name=lower:upper in HU.
    """
    if not window or scan.error != UNNAMED_WINDOW:
        return scan
    named = parse_window(window)
    if named is None:
        known = ", ".join(WINDOWS_HU)
        reason = f"no window is called {window!r}: one of {known}, or name=lower:upper in HU"
        return replace(scan, error=reason)
    return replace(scan, windows=named[:1], window=window, error="")
