"""Tiny folders of the public data sets, laid out as published; made-up rows, real column names."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image

from clearbench.datasets.public.ct_rate import FINDINGS
from clearbench.scans.write import write_nifti

Layout = Callable[[str], Path]
WriteCT = Callable[..., list[Path]]
DEEPLESION = (
    "File_name,Patient_index,Study_index,Series_ID,Key_slice_index,Measurement_coordinates,"
    "Bounding_boxes,Lesion_diameters_Pixel_,Normalized_lesion_location,Coarse_lesion_type,"
    "Possibly_noisy,Slice_range,Spacing_mm_px_,Image_size,DICOM_windows,Patient_gender,"
    "Patient_age,Train_Val_Test"
)
NSCLC = (
    "PatientID,age,clinical.T.Stage,Clinical.N.Stage,Clinical.M.Stage,Overall.Stage,Histology,"
    "gender,Survival.time,deadstatus.event"
)
NLST = "pid,de_stag,de_stag_7thed,can_scr,candx_days,scr_days0,scr_days1,scr_days2"
RAD = ("nodule", "mass", "opacity", "consolidation", "atelectasis", "pleural_effusion",
       "pneumothorax", "pericardial_effusion", "cardiomegaly")  # fmt: skip
UIDS = ("1.3.6.1.100", "1.3.6.1.200", "1.3.6.1.300")
MHD = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = -90.5 -80 -340
AnatomicalOrientation = RAI
ElementSpacing = 0.7 0.8 2.5
DimSize = 5 6 4
ElementType = MET_SHORT
ElementDataFile = {name}.raw
"""


@pytest.fixture
def layout(tmp_path: Path, hu: NDArray[np.int16], write_ct: WriteCT) -> Layout:
    """Write a data set's folder by name."""

    def write(name: str) -> Path:
        root = tmp_path / name
        root.mkdir()
        if name in ("covid-ct-md", "nsclc-radiomics", "nlst"):
            DICOM_WRITERS[name](root, hu, write_ct)
        else:
            WRITERS[name](root, hu)
        return root

    return write


def write_table(path: Path, header: str, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows, ""]))


def lesion(series: str, image: int, code: int, side: int) -> str:
    """Write one row of DL_info.csv."""
    patient = int(series[:6])
    return (
        f'{series}_{image:03}.png,{patient},1,1,{image},"1, 2, 3, 4","10, 20, 30, 40","9, 5",'
        f'"0.4, 0.3, 0.4",{code},0,"{image}, {image}","0.5, 0.5, 5","8, 8","-175, 275",F,62,{side}'
    )


def write_images(root: Path, series: str, images: Sequence[int]) -> None:
    folder = root / "Images_png" / series
    folder.mkdir(parents=True)
    for image in images:
        plane = np.full((8, 8), 32768 + image, np.uint16)
        Image.fromarray(plane).save(folder / f"{image:03}.png")


def _deeplesion(root: Path, hu: NDArray[np.int16]) -> None:
    """Patient 1 trains (untyped), 2 validates, 3 tests with two sites in one series."""
    del hu
    write_images(root, "000001_01_01", range(5, 8))
    write_images(root, "000002_01_01", range(10, 13))
    write_images(root, "000003_02_01", range(98, 103))
    rows = (
        lesion("000001_01_01", 6, -1, 1),
        lesion("000002_01_01", 11, 5, 2),
        lesion("000003_02_01", 100, 1, 3),
        lesion("000003_02_01", 99, 7, 3),
        lesion("000003_02_01", 99, 7, 3),
    )
    write_table(root / "DL_info.csv", DEEPLESION, *rows)


def _ct_ich(root: Path, hu: NDArray[np.int16]) -> None:
    del hu
    (root / "049" / "brain").mkdir(parents=True)
    labels = "intraventricular,intraparenchymal,subarachnoid,epidural,subdural,fracture,hemorrhage"
    write_table(root / "patient_labels.csv", f"patient_id,{labels}", "049,0,0,0,0,1,0,1")


def _ct_rate(root: Path, hu: NDArray[np.int16]) -> None:
    """Two reconstructions of one scan train, one scan tests, one is a head."""
    names = ("train_1_a_1", "train_1_a_2", "train_2_a_1", "valid_1_b_1")
    for name in names:
        part, patient, scan, _ = name.split("_")
        folder = root / f"dataset/{part}_fixed/{part}_{patient}/{part}_{patient}_{scan}"
        write_nifti(folder / f"{name}.nii.gz", hu, (1.5, 0.7, 0.7))
    header = ",".join(("VolumeName", *FINDINGS))
    for part in ("train", "valid"):
        rows = [f"{n}.nii.gz,{n[-1]}," + ",".join("0" * 17) for n in names if n.startswith(part)]
        path = root / f"dataset/multi_abnormality_labels/{part}_predicted_labels.csv"
        write_table(path, header, *(row.replace(".gz,2", ".gz,0") for row in rows))
    write_table(root / "dataset/metadata/no_chest_train.txt", "train_2_a_1.nii.gz")


def _rad_chestct(root: Path, hu: NDArray[np.int16]) -> None:
    """Two volumes of one patient train, one tests."""
    ids = ("trn00001", "trn00002", "tst00001")
    header = "NoteAcc_DEID," + ",".join(f"{name}*{at}" for name in RAD for at in ("left", "right"))
    for name in ids:
        np.savez_compressed(root / f"{name}.npz", ct=(hu * 0.6).astype(np.int16))
    for part, chosen in (("imgtrain", ids[:2]), ("imgtest", ids[2:])):
        rows = [f"{name},0,{name[-1]}.0," + ",".join("0" * 16) for name in chosen]
        rows = [row.replace(",2.0,", ",0.0,") for row in rows]
        write_table(root / f"{part}_Abnormality_and_Location_Labels.csv", header, *rows)
    rows = [f"{name}.npz,{name},mrn{index // 2:05},0.8" for index, name in enumerate(ids)]
    columns = "VolumeAcc_DEID,NoteAcc_DEID,MRN_DEID,final_spacing"
    write_table(root / "CT_Scan_Metadata_Complete_35747.csv", columns, *rows)


def _luna16(root: Path, hu: NDArray[np.int16]) -> None:
    """Two labelled scans and one without a nodule; the masks next to them aren't scans."""
    for number, uid in enumerate(UIDS):
        folder = root / f"subset{number}"
        folder.mkdir()
        (folder / f"{uid}.mhd").write_text(MHD.format(name=uid))
        (folder / f"{uid}.raw").write_bytes(hu.tobytes())
    (root / "seg-lungs-LUNA16").mkdir()
    (root / "seg-lungs-LUNA16" / f"{UIDS[0]}.mhd").write_text(MHD.format(name="mask"))
    header = "malignancy,coordX,coordY,coordZ,image_path"
    for side, rows in (
        ("train", [(0, UIDS[0]), (1, UIDS[0])]),
        ("val", [(0, "1.3.6.1.999")]),
        ("test", [(0, UIDS[1])]),
    ):
        text = [f"{value},1.5,-2.5,-100,{uid}.mhd" for value, uid in rows]
        write_table(root / f"luna16_malignancy_{side}.csv", header, *text)


def _covid_ct_md(root: Path, hu: NDArray[np.int16], write_ct: WriteCT) -> None:
    """One patient per class; the headers call them all the same."""
    for place in ("COVID-19 Cases/P001", "Cap Cases/cap001", "Normal Cases/normal001"):
        write_ct(root / place, hu, patient_id="anonymous", series=place, study=place)


def _nsclc_radiomics(root: Path, hu: NDArray[np.int16], write_ct: WriteCT) -> None:
    for name in ("LUNG1-001", "LUNG1-002"):
        write_ct(root / "NSCLC-Radiomics" / name / "study" / "ct", hu,
                 patient_id=name, series=name, study=name)  # fmt: skip
    write_table(
        root / "NSCLC-Radiomics-Lung1.clinical-version3-Oct-2019.csv",
        NSCLC,
        "LUNG1-001,78.7515,2.0,3,0,IIIb,large cell,male,2165,1",
        "LUNG1-002,83.8001,5.0,4,3,NA,NA,male,155,0",
        "LUNG1-003,68.1807,2.0,3,0,IIIa,large cell,male,256,1",
    )


def _nlst(root: Path, hu: NDArray[np.int16], write_ct: WriteCT) -> None:
    """A patient with cancer has two rounds, the first with a thin and a sharp series."""

    def series(pid: str, year: int, name: str, **facts: object) -> None:
        def date(dataset: pydicom.FileDataset, _: int) -> None:
            dataset.StudyDate = f"{year}0102"

        place = root / "NLST" / pid / f"01-02-{year}-NA-NLST-LSS-1" / name
        uid = f"{pid}{year}{name}"
        write_ct(place, hu, edit=date, patient_id=pid, study=f"{pid}{year}", series=uid, **facts)

    series("100012", 1999, "soft", kernel="B30f")
    series("100012", 1999, "sharp", kernel="B80f")
    series("100012", 2001, "soft", kernel="B30f")
    series("100026", 2000, "soft", kernel="B30f")
    write_table(
        root / "nlst_780_prsn_idc_20210527.csv",
        NLST,
        "100012,310,320,1,800,20,400,750",
        "100026,.N,.N,0,.N,.M,390,.M",
        "100035,400,400,4,2000,1,2,3",
    )


WRITERS = {
    "deeplesion": _deeplesion,
    "ct-ich": _ct_ich,
    "ct-rate": _ct_rate,
    "rad-chestct": _rad_chestct,
    "luna16": _luna16,
}
DICOM_WRITERS = {
    "covid-ct-md": _covid_ct_md,
    "nsclc-radiomics": _nsclc_radiomics,
    "nlst": _nlst,
}
