"""Write volumes in HU as a CT DICOM series or as one NIfTI file, with the same bytes every time."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

_WRITER_UID = "2.25.151964137190416219052834410973245150811"
_USUAL_INTERCEPT_HU = -1024
_GZIP_LEVEL = 4


@dataclass(frozen=True)
class DicomHeader:
    """The tags of patient, study and scanner; the same in every slice of a series."""

    patient_id: str
    study_uid: str
    series_uid: str
    accession_number: str
    thickness_mm: float
    kernel: str
    contrast: bool
    manufacturer: str
    model: str
    kvp: float
    series_description: str


def seeded_uid(*words: str) -> str:
    """Make a valid DICOM UID that depends only on the words."""
    digest = hashlib.sha256("\x1f".join(words).encode()).digest()
    # 2.25 is the root of UIDs made from a number of 128 bits, with no need to register
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def write_dicom_series(
    folder: Path,
    hu: NDArray[np.int16],
    spacing_mm: tuple[float, float, float],
    *,
    header: DicomHeader,
) -> None:
    """Write one CT Image Storage file per slice; file names don't show the order.

    ``hu`` [z, y, x] int16, feet to head, row 0 anterior, column 0 the patient's right;
    ``spacing_mm`` (z, y, x). The centre of the first slice is at x = y = z = 0.
    Raises ValueError if ``hu`` isn't such a volume or a spacing isn't positive.
    """
    _check(hu, spacing_mm)
    folder.mkdir(parents=True, exist_ok=True)
    intercept_hu = min(_USUAL_INTERCEPT_HU, int(hu.min()))  # stored numbers are unsigned
    for index in range(len(hu)):
        dataset = _data_set(header, index)
        _add_geometry(dataset, hu.shape[1:], spacing_mm, index)
        _add_pixels(dataset, hu[index], intercept_hu)
        name = hashlib.sha256(dataset.SOPInstanceUID.encode()).hexdigest()[:16]
        dataset.save_as(folder / f"{name}.dcm", enforce_file_format=True)


def write_nifti(
    path: Path,
    hu: NDArray[np.int16],
    spacing_mm: tuple[float, float, float],
    origin_lps_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> None:
    """Write one volume as .nii or .nii.gz, stored as (x, y, z) with an affine into RAS+ mm.

    ``hu`` [z, y, x] int16, feet to head, row 0 anterior, column 0 the patient's right;
    ``spacing_mm`` (z, y, x); ``origin_lps_mm`` (x, y, z) of the first voxel's centre, in LPS.
    Raises ValueError for another file ending, another shape or type, or a spacing of 0 or less.
    """
    _check(hu, spacing_mm)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise ValueError(f"{path.name}: a NIfTI file ends in .nii or .nii.gz")
    affine = _affine_ras(spacing_mm, origin_lps_mm)
    image = nibabel.Nifti1Image(np.ascontiguousarray(hu.T), affine)
    image.header.set_xyzt_units("mm", "sec")
    # libraries differ in which form they take, so both say the same
    image.set_qform(affine, code="scanner")
    image.set_sform(affine, code="scanner")
    content: bytes = image.to_bytes()
    if path.name.endswith(".gz"):
        # by default gzip writes the time into the file; mtime=0 keeps the bytes the same
        content = gzip.compress(content, compresslevel=_GZIP_LEVEL, mtime=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _check(hu: NDArray[np.int16], spacing_mm: tuple[float, float, float]) -> None:
    """Raise ValueError unless ``hu`` is [z, y, x] int16, not empty, with positive spacing."""
    if hu.ndim != 3 or hu.dtype != np.int16 or hu.size == 0:
        raise ValueError(f"expected HU [z, y, x] as int16, found {hu.dtype} of shape {hu.shape}")
    if min(spacing_mm) <= 0:
        raise ValueError(f"spacing {spacing_mm} mm is not positive on every axis")


def _affine_ras(
    spacing_mm: tuple[float, float, float], origin_lps_mm: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Return the affine from voxel (x, y, z) to RAS+ mm [4, 4]; LPS x and y change their sign."""
    dz, dy, dx = spacing_mm
    left, posterior, head = origin_lps_mm
    affine = np.diag([-dx, -dy, dz, 1.0])
    affine[:3, 3] = (-left, -posterior, head)
    return affine


def _data_set(header: DicomHeader, index: int) -> FileDataset:
    """Make the data set of slice ``index`` (feet to head), without geometry and pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(seeded_uid(header.series_uid, "slice", str(index)))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    # else pydicom writes its own version here, and the bytes change with it
    meta.ImplementationClassUID = UID(_WRITER_UID)
    meta.ImplementationVersionName = "CLEARBENCH"
    dataset = FileDataset("", Dataset(), preamble=b"\0" * 128, file_meta=meta)
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    _describe_patient(dataset, header)
    _describe_scanner(dataset, header)
    dataset.InstanceNumber = index + 1
    return dataset


def _describe_patient(dataset: Dataset, header: DicomHeader) -> None:
    """Add patient, study and series; unknown type 2 tags stay empty, as DICOM allows."""
    dataset.PatientName = header.patient_id
    dataset.PatientID = header.patient_id
    dataset.PatientBirthDate = dataset.PatientSex = ""
    dataset.StudyInstanceUID = header.study_uid
    dataset.SeriesInstanceUID = header.series_uid
    dataset.FrameOfReferenceUID = seeded_uid(header.series_uid, "frame of reference")
    dataset.PositionReferenceIndicator = ""
    dataset.AccessionNumber = header.accession_number
    dataset.StudyID = dataset.StudyDate = dataset.StudyTime = dataset.ReferringPhysicianName = ""
    dataset.SeriesNumber = dataset.AcquisitionNumber = 1
    dataset.SeriesDescription = header.series_description
    dataset.PatientPosition = "HFS"


def _describe_scanner(dataset: Dataset, header: DicomHeader) -> None:
    """Add the technical tags that readers and confounder checks use."""
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Manufacturer = header.manufacturer
    dataset.ManufacturerModelName = header.model
    dataset.SliceThickness = round(header.thickness_mm, 4)
    dataset.ConvolutionKernel = header.kernel
    dataset.KVP = header.kvp
    if header.contrast:
        dataset.ContrastBolusAgent = "iodinated, intravenous"


def _add_geometry(
    dataset: Dataset,
    shape_yx: tuple[int, ...],
    spacing_mm: tuple[float, float, float],
    index: int,
) -> None:
    """Add the geometry of slice ``index``; positions increase towards the head."""
    dz, dy, dx = spacing_mm
    rows, columns = shape_yx
    first_mm = (-(columns - 1) / 2 * dx, -(rows - 1) / 2 * dy)
    # DICOM writes these numbers as text of at most 16 characters
    dataset.ImagePositionPatient = [round(mm, 6) for mm in (*first_mm, index * dz)]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.SliceLocation = round(index * dz, 6)
    dataset.SpacingBetweenSlices = round(dz, 6)
    dataset.PixelSpacing = [round(dy, 6), round(dx, 6)]


def _add_pixels(dataset: Dataset, hu: NDArray[np.int16], intercept_hu: int) -> None:
    """Add one slice [y, x] as unsigned 16-bit numbers, HU minus ``intercept_hu``."""
    # little endian, as the transfer syntax says, also on other machines
    stored = (hu.astype(np.int32) - intercept_hu).astype("<u2")
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept = intercept_hu
    dataset.RescaleSlope = 1
    dataset.RescaleType = "HU"
    dataset.WindowCenter, dataset.WindowWidth = 40, 400
    dataset.PixelData = stored.tobytes()
