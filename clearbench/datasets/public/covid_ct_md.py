"""COVID-CT-MD: chest CTs of COVID-19, community acquired pneumonia (CAP) and normal lungs.

Afshar et al., "COVID-CT-MD, COVID-19 computed tomography scan dataset applicable in machine
learning and deep learning", Sci. Data 2021, doi:10.1038/s41597-021-00900-3; on figshare; its
page states the licence.
The folders of the three classes are called "… subjects" in its description and "… Cases" in the
download; any folder whose name begins with the class is read. The slice labels aren't read: they
are in the order of SliceLocation, and its direction isn't documented.
"""

from pathlib import Path

from clearbench.datasets.public.dicom_set import find_series, pick, renamed, series_row
from clearbench.datasets.public.published import DataSetFolder
from clearbench.datasets.rows import public_cohort_table
from clearbench.datasets.series import NamedScan
from clearbench.errors import BadCohort

SOURCE_URL = "https://figshare.com/s/c20215f3d42c98f09ad0"
CLASSES = ("normal", "cap", "covid-19")


def build(root: Path) -> DataSetFolder:
    """Read `<class> …/<patient>/*.dcm` as a cohort with one scan per patient.

    Label: `diagnosis` (normal, cap, covid-19). Patients are named by their folders. Raises
    BadCohort if no folder is named after a class, or none has a series.
    """
    folders = {name: _class_folder(root, name) for name in CLASSES}
    if not any(folders.values()):
        raise BadCohort(
            f"{root}: no folder of a class; expected e.g. 'COVID-19 Cases/P001/*.dcm', "
            f"'Cap Cases', 'Normal Cases' ({SOURCE_URL})"
        )
    diagnosis: dict[str, str] = {}
    scans: list[NamedScan] = []
    empty = []
    for name, folder in folders.items():
        for patient in sorted(folder.iterdir()) if folder else []:
            if patient.is_dir():
                found = renamed(find_series(root, patient), patient.name, patient.name)
                diagnosis[patient.name] = name
                scans += found
                empty += [] if found else [f"{patient.name}: no CT series in its folder"]
    picked = pick(root, scans, SOURCE_URL)
    rows = [
        series_row(item)
        | {"scan_id": f"covidctmd-{item.patient_id}", "diagnosis": diagnosis[item.patient_id]}
        for item in picked.scans
    ]
    absent = [f"no folder of the class {name}" for name, folder in folders.items() if not folder]
    return DataSetFolder(
        public_cohort_table("covid-ct-md", rows), (*absent, *empty, *picked.missing)
    )


def _class_folder(root: Path, name: str) -> Path | None:
    """Return the folder of one class; raises BadCohort if there are two."""
    found = sorted(
        path
        for path in root.iterdir()
        if path.is_dir() and path.name.lower().split()[0:1] in ([name], [name.replace("-", "")])
    )
    if len(found) > 1:
        raise BadCohort(f"{root}: {' and '.join(p.name for p in found)} are both of class {name}")
    return found[0] if found else None
