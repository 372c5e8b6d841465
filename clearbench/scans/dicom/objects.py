"""Which DICOM objects are slices of a CT in HU, and which are something else, by their terms.

The terms of ImageType and FrameType are those of DICOM PS3.3 C.8.2.1.1.1 (CT, value 3 and, for
multi-energy CT, value 4), C.8.15.2.1.1 (Enhanced CT) and C.8.16.1.4 (derived pixel contrast); the
others are scanners' own.
"""

from types import MappingProxyType

import pydicom
from pydicom.dataset import Dataset

from clearbench.scans.dicom.tags import Tags

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
HU_TYPES = ("", "HU", "HU_MOD", "US")  # HU_MOD: changed, but still HU; US: unspecified
# Other texts are not repeated: a reason is stored with the other scans of the series.
UNITS = ("OD", "MGML", "Z_EFF", "ED", "EDW", "PCT", "PERCENT")
MODALITIES = frozenset(
    {
        "CT", "MR", "PT", "NM", "US", "CR", "DX", "MG", "XA", "RF", "OT", "SC", "SEG", "SR", "PR",
        "KO", "REG", "DOC", "ECG", "ES", "OP", "PX", "IO", "IVUS", "OCT", "SM", "XC", "RTSTRUCT",
        "RTPLAN", "RTDOSE", "RTIMAGE", "RTRECORD", "FID", "RWV", "M3D", "STL", "PLAN", "ANN",
    }
)  # fmt: skip

# Of ImageType and FrameType, from value 3 on.
NOT_PLAIN_CT = MappingProxyType(
    {
        "LOCALIZER": "a localiser",
        "PROJECTION IMAGE": "a projection",
        "SCREEN SAVE": "a screen capture",
        "DOSE_INFO": "a dose report",
        "VRT": "a volume rendering",
        "SSD": "a surface rendering",
        "MIP": "a maximum intensity projection",
        "MAX_IP": "a maximum intensity projection",
        "MINIP": "a minimum intensity projection",
        "MIN_IP": "a minimum intensity projection",
        "ADDITION": "a sum of images",
        "DIVISION": "a quotient of images",
        "MASKED": "a masked image",
        "MAXIMUM": "a maximum of images",
        "MEAN": "a mean of images",
        "AVERAGE": "a mean of images",
        "MINIMUM": "a minimum of images",
        "MULTIPLICATION": "a product of images",
        "STD_DEVIATION": "a map of standard deviations",
        "SUBTRACTION": "a difference of images",
        "T_TEST": "a map of a t-test",
        "Z_SCORE": "a map of z scores",
        "PERFUSION": "a perfusion map, not HU",
        "MTT": "a perfusion map (mean transit time)",
        "TTP": "a perfusion map (time to peak)",
        "TMAX": "a perfusion map (time to maximum)",
        "CBF": "a perfusion map (blood flow)",
        "CBV": "a perfusion map (blood volume)",
        "RCBF": "a perfusion map (blood flow)",
        "RCBV": "a perfusion map (blood volume)",
        "PERMEABILITY": "a perfusion map (permeability)",
        "MAT_SPECIFIC": "a map of one material",
        "MAT_FRACTIONAL": "a map of a material's share",
        "MAT_VALUE_BASED": "a map of material values",
        "EFF_ATOMIC_NUM": "a map of effective atomic numbers",
        "ELECTRON_DENSITY": "a map of electron density",
        "IODINE": "an iodine map",
    }
)
# They change what a CT shows, but their values are HU.
NOTED_TYPES = MappingProxyType(
    {
        "MAT_REMOVED": "a material is removed (virtual non-contrast)",
        "MAT_MODIFIED": "a material is enhanced or suppressed",
        "VMI": "a virtual monoenergetic image",
    }
)
DYNAMIC = ("DYNAMIC", "DYN", "CT_SOM5 DYN", "CINE")


def why_not_ct(header: Dataset) -> str:
    """Return why this object isn't a CT image; "" if it is one."""
    sop_class = sop_class_of(header)
    modality = str(header.get("Modality", "") or "")
    # multi-frame secondary captures have longer UIDs with the same beginning
    if sop_class.startswith(SECONDARY_CAPTURE):
        return "a secondary capture"
    if modality == "SEG":
        return "a segmentation (SEG)"
    shown = (
        modality if modality in MODALITIES else "another modality" if modality else "no modality"
    )
    if sop_class not in (CT_IMAGE, *ENHANCED_CT):
        name = pydicom.uid.UID(sop_class).name
        # pydicom's name of an unknown UID is the UID itself
        kind = "an unknown SOP class" if name == sop_class else name
        return f"not a CT image ({shown}, {kind})"
    return "" if modality in ("CT", "") else f"{shown}, not CT"


def sop_class_of(header: Dataset) -> str:
    """Return the SOP class; in a file that is cut off, only the file meta header may have it."""
    meta = getattr(header, "file_meta", Dataset())
    return str(meta.get("MediaStorageSOPClassUID", "") or header.get("SOPClassUID", "") or "")


def is_cut_off(header: Dataset) -> bool:
    """Return True if a header ends before its SOP class, or within it."""
    sop_class = pydicom.uid.UID(sop_class_of(header))
    # pydicom's name of an unknown UID is the UID itself
    return not sop_class or ("Modality" not in header and sop_class.name == sop_class)


def why_not_hu(tags: Tags) -> str:
    """Return why these pixels aren't a slice in HU; "" if they are."""
    found = [f"{NOT_PLAIN_CT[term]} ({term})" for term in image_type(tags) if term in NOT_PLAIN_CT]
    if found:
        return found[0]
    scale = _unit(tags)
    if scale in HU_TYPES:
        return ""
    return f"pixels in {scale if scale in UNITS else 'another unit'}, not HU"


def _unit(tags: Tags) -> str:
    """Return the unit of the scaled pixels, of the Modality LUT if there is one; "" if unstated."""
    tables = tags.value("ModalityLUTSequence", ())
    if tables:
        return str(tables[0].get("ModalityLUTType", "") or "").strip().upper()
    return tags.text("RescaleType").upper()


def image_type(tags: Tags) -> tuple[str, ...]:
    """Return what a slice is, from value 3 on: of its frame's type, else of the image's type."""
    # values 1 and 2 (ORIGINAL or DERIVED, PRIMARY or SECONDARY) don't tell what the pixels are
    return (tags.words("FrameType") or tags.words("ImageType"))[2:]
