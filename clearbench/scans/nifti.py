"""NIfTI files (.nii, .nii.gz) → volumes, placed by their affine."""

import gzip
import logging
import math
import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel import imageglobals
from nibabel.openers import ImageOpener
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from clearbench.errors import UnreadableScan
from clearbench.scans.damage import refused
from clearbench.scans.grid import (
    grid_volume,
    refuse_labels,
    refuse_place,
    refuse_shape,
    refuse_spacing,
    spans_space,
)
from clearbench.scans.hu import NO_RULES, HuRules, Pixels, checked_hu
from clearbench.scans.notes import Note
from clearbench.scans.packed import refuse_bomb, refuse_members
from clearbench.scans.volume import Volume

# What it repairs is a note of the scan, not a line among the progress.
imageglobals.logger.setLevel(logging.CRITICAL)
PADDING = 2**20  # bytes after the voxels that are allowed
HARMLESS = "not SPM compatible"
QUOTED = re.compile(r"b?(['\"]).*?\1")  # of the header, where any text may stand
UNREADABLE = "not a readable NIfTI file"
UNITS_MM = {"meter": 1000.0, "micron": 0.001}  # of xyzt_units; mm, or not stated, is 1
SAME_SPACING = 0.01  # relative
SAME_ANGLE_DEG = 1.0
SAME_ORIGIN_MM = 1.0


def read_nifti(path: Path, rules: HuRules = NO_RULES) -> Volume:
    """Read a three-dimensional NIfTI file in HU, with the axes of its affine in mm.

    Raises UnreadableScan if it is damaged, doesn't have three dimensions or a usable affine, if its
    sform and qform contradict each other, or if it holds labels or other values instead of HU.
    """
    image = open_nifti(path)
    with refused(UNREADABLE):
        # dataobj applies slope and intercept, and keeps integers; get_fdata makes float64
        data = np.asanyarray(_checked(image, path).dataobj).reshape(image.shape[:3])
    if data.dtype.kind not in "iuf":
        raise UnreadableScan(f"its values are {data.dtype}, not HU")
    refuse_labels(data)
    hu, notes = checked_hu(data, rules)
    return _volume(hu, affine_mm(image)).with_notes(*notes, *geometry_notes(image, path))


def _checked(image: Any, path: Path) -> Any:
    """Unpack a compressed file to its end: nibabel never reads the checksum, which is there.

    Raises UnreadableScan for a file that unpacks to much more than its header says.
    """
    voxels = math.prod(int(size) for size in image.shape) * image.dataobj.dtype.itemsize
    most = int(image.dataobj.offset) + voxels + PADDING
    if not _is_packed(path):
        if path.stat().st_size < most - PADDING:
            raise UnreadableScan(
                f"{UNREADABLE} (cut off: {path.stat().st_size:,} bytes of {most - PADDING:,})"
            )
        return image
    refuse_bomb(path, most)
    refuse_members(path, whole=True)
    with gzip.open(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise UnreadableScan(f"it unpacks to more than the {voxels:,} bytes of its header")
    return type(image).from_bytes(content)


def _is_packed(path: Path) -> bool:
    """Tell whether a file is compressed, as nibabel does: by its name."""
    return path.name.lower().endswith(".gz")


def open_nifti(path: Path) -> Any:
    """Read a file's header.

    Raises UnreadableScan if it is damaged, isn't one volume, or has no usable geometry.
    """
    with refused(UNREADABLE):
        if _is_packed(path):
            refuse_members(path, whole=False)
        image = nibabel.load(path)
        shape = tuple(int(size) for size in image.shape)
    if len(shape) < 3 or any(size != 1 for size in shape[3:]):
        raise UnreadableScan(f"{len(shape)} dimensions {shape}; a scan has three (x, y, z)")
    refuse_shape(shape[:3])
    if not spans_space(image.affine[:3, :3]):
        raise UnreadableScan("its affine has no usable axes; set qform or sform")
    _refuse_conflict(image)
    _refuse_other_steps(image)
    _refuse_no_spacing(image, path)
    refuse_spacing(np.linalg.norm(affine_mm(image)[:3, :3], axis=0))
    refuse_place(affine_mm(image)[:3, 3])
    _refuse_voxels_in_header(image)
    _refuse_endless_scale(image, path)
    return image


def _refuse_voxels_in_header(image: Any) -> None:
    """Refuse voxels that begin within the header: nibabel would take its bytes for HU."""
    start, size = int(image.dataobj.offset), int(image.header.sizeof_hdr)
    if start < size:
        raise UnreadableScan(
            f"its vox_offset is {start}, but its header has {size} bytes; save it again"
        )


def _refuse_endless_scale(image: Any, path: Path) -> None:
    """Refuse a slope or intercept of infinity: nibabel leaves both out, in silence."""
    raw = type(image.header)(_raw_header(image, path), check=False)
    for name in ("scl_slope", "scl_inter"):
        if name in raw and np.isinf(raw[name]):
            raise UnreadableScan(f"its {name} is {float(raw[name]):g}: the values are not HU")


def _refuse_no_spacing(image: Any, path: Path) -> None:
    """Refuse a header without a spacing: nibabel takes 1 mm for 0, in silence."""
    raw = type(image.header)(_raw_header(image, path), check=False)
    steps = np.asarray(raw["pixdim"][1:4], dtype=np.float64)
    placed = "sform_code" in raw and raw["sform_code"] > 0
    if not placed and not (np.isfinite(steps).all() and (steps != 0).all()):
        said = " × ".join(f"{step:g}" for step in steps)
        raise UnreadableScan(f"its header has no spacing (pixdim is {said}, and there is no sform)")


def repair_notes(image: Any, path: Path) -> tuple[Note, ...]:
    """Return notes on what is wrong in a header, and was put right by nibabel."""
    found = type(image.header).diagnose_binaryblock(_raw_header(image, path)).splitlines()
    return tuple(
        Note("geometry", f"a fault in its header was put right: {QUOTED.sub('…', fault)}")
        for fault in found
        if not fault.endswith(HARMLESS)
    )


def _raw_header(image: Any, path: Path) -> bytes:
    """Return a header's bytes as they are in the file."""
    with ImageOpener(path) as file:
        content: bytes = file.read(type(image.header).template_dtype.itemsize)
    return content


def affine_mm(image: Any) -> NDArray[np.float64]:
    """Return the affine [4, 4] from voxels to RAS mm; a header in metres or µm is converted."""
    # nibabel takes the sform if its code is set, else the qform, else pixdim alone
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= UNITS_MM.get(_unit(image), 1.0)
    return affine


def _unit(image: Any) -> str:
    """Return the unit of length in the header; "unknown" if it isn't stated."""
    if not hasattr(image.header, "get_xyzt_units"):
        return "unknown"
    try:
        return str(image.header.get_xyzt_units()[0])
    except KeyError:  # a code that NIfTI doesn't define
        return "unknown"


def _refuse_conflict(image: Any) -> None:
    """Refuse a sform and a qform, both valid, with other directions or another spacing.

    Libraries differ in which one they take, so left and right or the distances are a guess.
    """
    forms = _forms(image)
    if forms is None:
        return
    sform, qform = forms
    codes = ["".join(nibabel.aff2axcodes(form)) for form in forms]
    way_out = "find out which is right, and save the file with that one alone (the other code 0)"
    if codes[0] != codes[1]:
        raise UnreadableScan(f"its sform says axes {codes[0]}, its qform {codes[1]}; {way_out}")
    steps = [np.linalg.norm(form[:3, :3], axis=0) for form in (sform, qform)]
    if np.abs(steps[0] / steps[1] - 1).max() > SAME_SPACING:
        said = [" × ".join(f"{step:.4g}" for step in some) for some in steps]
        raise UnreadableScan(
            f"its sform says a spacing of {said[0]}, its qform {said[1]}; {way_out}"
        )


def _refuse_other_steps(image: Any) -> None:
    """Refuse a sform whose steps are not those of pixdim, where no qform says which is right."""
    header = image.header
    if not hasattr(header, "get_sform") or not header["sform_code"] or header["qform_code"]:
        return
    steps = np.linalg.norm(header.get_sform()[:3, :3], axis=0)
    pixdim = np.abs(np.asarray(header["pixdim"][1:4], dtype=np.float64))
    usable = bool((steps > 0).all() and (pixdim > 0).all() and np.isfinite(pixdim).all())
    if usable and np.abs(steps / pixdim - 1).max() > SAME_SPACING:
        said = [" × ".join(f"{step:.4g}" for step in some) for some in (steps, pixdim)]
        raise UnreadableScan(
            f"its sform says a spacing of {said[0]}, its pixdim {said[1]}; find out which is "
            "right, and save the file again"
        )


def _forms(image: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the sform and the qform, if both are set and usable."""
    header = image.header
    if not (hasattr(header, "get_qform") and header["qform_code"] and header["sform_code"]):
        return None
    try:
        forms = header.get_sform(), header.get_qform()
    except (HeaderDataError, ValueError, ArithmeticError):
        return None
    usable = all(form is not None and spans_space(form[:3, :3]) for form in forms)
    return forms if usable else None


def geometry_notes(image: Any, path: Path) -> tuple[Note, ...]:
    """Return notes on a header that was put right, doesn't state its axes, or whose two forms
    differ a little."""
    notes = [*repair_notes(image, path)]
    codes = [image.header.get(code, 1) for code in ("qform_code", "sform_code")]
    if not any(codes):
        axes = "".join(nibabel.aff2axcodes(image.affine))
        text = f"no orientation in its header (qform and sform codes are 0); taken as {axes}"
        notes.append(Note("geometry", text, tag="sform_code"))
    if _unit(image) in UNITS_MM:
        text = f"its geometry is in the unit {_unit(image)}; converted to mm"
        notes.append(Note("geometry", text, tag="xyzt_units"))
    if len(image.shape) > 3:
        notes.append(Note("geometry", "a volume with one time point", tag="dim"))
    return (*notes, *_small_differences(image))


def _small_differences(image: Any) -> tuple[Note, ...]:
    """Note a sform and a qform that differ in angle or place; the sform is taken."""
    forms = _forms(image)
    if forms is None:
        return ()
    units = [form[:3, :3] / np.linalg.norm(form[:3, :3], axis=0) for form in forms]
    # rounding may give a cosine above 1, whose arccos is NaN
    cosines = np.clip((units[0] * units[1]).sum(axis=0), -1, 1)
    angle = float(np.degrees(np.arccos(cosines)).max())
    apart = float(np.linalg.norm(forms[0][:3, 3] - forms[1][:3, 3]))
    texts = []
    if angle > SAME_ANGLE_DEG:
        texts.append(f"its sform and qform differ by {angle:.1f}°; the sform is taken")
    if apart > SAME_ORIGIN_MM:
        texts.append(f"its sform and qform are {apart:.0f} mm apart; the sform is taken")
    return tuple(Note("geometry", text, tag="sform") for text in texts)


def _volume(hu: Pixels, affine: NDArray[np.float64]) -> Volume:
    """Place the voxels by their affine, which maps to RAS mm."""
    to_lps = np.diag([-1.0, -1.0, 1.0])
    return grid_volume(hu, to_lps @ affine[:3, :3], to_lps @ affine[:3, 3])
