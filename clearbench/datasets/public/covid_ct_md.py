"""COVID-CT-MD: chest CTs of COVID-19, community acquired pneumonia (CAP) and normal lungs.

Afshar et al., "COVID-CT-MD, COVID-19 computed tomography scan dataset applicable in machine
learning and deep learning", Sci. Data 2021, doi:10.1038/s41597-021-00900-3; on figshare; its
page states the licence.
The folders of the three classes are called "… subjects" in its description and "… Cases" in the
download; any folder whose name begins with the class is read. Scans and patients have the names of
the patients' folders, which are public and the same for everybody. The UIDs in its headers are
those of a hospital: series_id has a pseudonym of the store's, and only tells a reader which series
of a folder is meant, so results don't depend on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clearbench.cohort.pseudonyms import Pseudonyms, with_secret_mark
from clearbench.datasets.public.covid_slice_labels import (
    SliceLabels,
    mark_cells,
    read_slice_labels,
    why_not_of,
)
from clearbench.datasets.public.dicom_set import find_series, pick, renamed, series_row
from clearbench.datasets.public.published import DataSetFolder
from clearbench.datasets.rows import TableRow, public_cohort_table
from clearbench.datasets.series import NamedScan
from clearbench.errors import BadCohort, name_some

SOURCE_URL = "https://figshare.com/s/c20215f3d42c98f09ad0"
CLASSES = ("normal", "cap", "covid-19")


@dataclass(frozen=True)
class _Patient:
    """One patient's folder, and the class whose folder it is in."""

    diagnosis: str
    folder: Path


def build(root: Path, *, names: Pseudonyms | None = None, keep_ids: bool = False) -> DataSetFolder:
    """Read `<class> …/<patient>/*.dcm` as a cohort with one scan per patient.

    The class folders are in `root`, or in one folder of it. Label: `diagnosis` (normal, cap,
    covid-19). With the files of slice labels, key_slices has the infected slices, and the five
    lobes are labels with slices of their own. series_id has pseudonyms by `names`; without them it
    is blank; with `keep_ids` it has the UIDs. Raises BadCohort if no folder is named after a class,
    several may be meant, or none has a series.
    """
    place = _place(root)
    classes = {name: _class_folder(place, name) for name in CLASSES}
    if not any(classes.values()):
        raise BadCohort(
            f"{root}: no folder of a class; expected e.g. 'COVID-19 Cases/P001/*.dcm', "
            f"'Cap Cases', 'Normal Cases' ({SOURCE_URL})"
        )
    patients = _patients(classes)
    scans: list[NamedScan] = []
    empty = []
    for name, patient in patients.items():
        found = renamed(find_series(root, patient.folder), name, name)
        scans += found
        empty += [] if found else [f"{name}: no CT series in its folder"]
    picked = pick(root, scans, SOURCE_URL)
    marked = _marked(picked.scans, patients, read_slice_labels([place, root]))
    rows = [
        series_row(item)
        | {
            "scan_id": f"covidctmd-{item.patient_id}",
            "series_id": _series_name(item.series_id, names, keep_ids),
            "diagnosis": patients[item.patient_id].diagnosis,
        }
        | marked.cells.get(item.patient_id, {})
        for item in picked.scans
    ]
    table = public_cohort_table("covid-ct-md", rows)
    absent = [f"no folder of the class {name}" for name, folder in classes.items() if not folder]
    missing = (*absent, *empty, *picked.missing, *marked.left_out)
    if keep_ids or names is None:
        return DataSetFolder(table, missing, marked.notes)
    keys = {names.series(item.series_id): item.series_id for item in picked.scans if item.series_id}
    return DataSetFolder(with_secret_mark(table, names), missing, marked.notes, keys)


def _place(root: Path) -> Path:
    """Return the folder with the class folders: `root`, or the only folder in it that has some.

    Raises BadCohort if several have some.
    """
    if any(_class_folder(root, name) for name in CLASSES):
        return root
    inner = [path for path in _folders(root) if any(_class_folder(path, name) for name in CLASSES)]
    if len(inner) > 1:
        raise BadCohort(
            f"{root}: {name_some([path.name for path in inner])} have folders of the classes; "
            f"give one of them, e.g. {inner[0]}"
        )
    return inner[0] if inner else root


def _class_folder(place: Path, name: str) -> Path | None:
    """Return the folder of one class; one in another one of that class is unpacked twice.

    Raises BadCohort if there are two.
    """
    words = ([name], [name.replace("-", "")])
    found = [path for path in _folders(place) if path.name.lower().split()[:1] in words]
    if len(found) > 1:
        raise BadCohort(f"{place}: {' and '.join(p.name for p in found)} are both of class {name}")
    return (_class_folder(found[0], name) or found[0]) if found else None


def _folders(place: Path) -> list[Path]:
    """Return the folders of a folder, without hidden ones and those that macOS adds to archives."""
    return sorted(
        path
        for path in place.iterdir()
        if path.is_dir() and not path.name.startswith((".", "__MACOSX"))
    )


def _patients(classes: Mapping[str, Path | None]) -> dict[str, _Patient]:
    """Return the patients by name; raises BadCohort for a name that two folders have."""
    patients: dict[str, _Patient] = {}
    for diagnosis, place in classes.items():
        for folder in _folders(place) if place else ():
            same = next((one for one in patients if one.lower() == folder.name.lower()), None)
            if same is not None:
                raise BadCohort(
                    f"{folder} and {patients[same].folder} have the name of one patient; rename one"
                )
            patients[folder.name] = _Patient(diagnosis, folder)
    return patients


@dataclass(frozen=True)
class _Marked:
    """The cells of slice labels by patient, patients whose labels are left out, and notes."""

    cells: dict[str, TableRow]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def _marked(
    scans: Sequence[NamedScan], patients: Mapping[str, _Patient], labels: SliceLabels
) -> _Marked:
    """Return the slice labels of the scans that they fit."""
    cells: dict[str, TableRow] = {}
    left_out = []
    for item in scans:
        name, patient = item.patient_id, patients[item.patient_id]
        of_patient = labels.patients.get((patient.diagnosis, name))
        if of_patient is None:
            continue
        n_slices = item.scan.shape[0]
        n_files = sum(path.suffix.lower() == ".dcm" for path in patient.folder.rglob("[!.]*"))
        why = why_not_of(of_patient, n_slices, n_files)
        if why:
            left_out.append(f"{name}: its slice labels are left out, {why}")
        else:
            cells[name] = mark_cells(of_patient, n_slices)
    without = len(labels.patients) - len(cells) - len(left_out)
    text = f"{without} of {len(labels.patients)} patients with slice labels have no scan here"
    return _Marked(cells, tuple(left_out), (*labels.notes, *([text] if without else [])))


def _series_name(uid: str, names: Pseudonyms | None, keep_ids: bool) -> str | None:
    """Return the series as the table has it: its UID, its pseudonym, or nothing."""
    if keep_ids:
        return uid or None
    return names.series(uid) if names and uid else None
