"""LUNA16: chest CTs of LIDC-IDRI with lung nodules, and the readers' scores of malignancy.

Setio et al., "Validation, comparison, and combination of algorithms for automatic detection of
pulmonary nodules in computed tomography images: the LUNA16 challenge", Med. Image Anal. 2017,
doi:10.1016/j.media.2017.06.015; doi:10.5281/zenodo.3723295, CC BY 4.0. Expected: the ten folders
subset0 to subset9 with <series UID>.mhd and its data, and the community's split files
luna16_malignancy_{train,val,test}.csv (one row per nodule) in the root or in the folder `splits`.
The files have no patients: each scan counts as a patient, though a few of LIDC's 1,010 patients
have two scans.
"""

from pathlib import Path

from clearbench.datasets.public.published import DataSetFolder
from clearbench.datasets.public.published_split import SIDES, SplitRow, check_split
from clearbench.datasets.rows import TableRow, highest, public_cohort_table, read_table_rows
from clearbench.errors import BadCohort

SOURCE_URL = "https://doi.org/10.5281/zenodo.3723295"
LABELS_SOURCE_URL = "https://github.com/AIM-Harvard/foundation-cancer-image-biomarker"
COLUMNS = ("image_path", "malignancy")


def build(root: Path, *, splits: Path | None = None, repair_split: bool = False) -> DataSetFolder:
    """Read `subset*/<series UID>.mhd` and the nodules' tables as a cohort.

    Label: `malignancy` (0, 1), the maximum over a scan's labelled nodules; blank without one. The
    tables are split by nodule. Raises BadCohort for another layout, or if a scan is on two sides,
    unless `repair_split`.
    """
    volumes = {path.stem: path for path in sorted(root.glob("subset*/[!.]*.mhd"))}
    if not volumes:
        raise BadCohort(
            f"{root}: no volumes; expected e.g. subset0/<series UID>.mhd ({SOURCE_URL})"
        )
    folder = splits or root
    nodules = {
        side: read_table_rows(folder / f"luna16_malignancy_{side}.csv", COLUMNS, LABELS_SOURCE_URL)
        for side in SIDES
    }
    owners = [SplitRow(_scan(row), side) for side, rows in nodules.items() for row in rows]
    source = str(folder / "luna16_malignancy_*.csv")
    split = check_split(owners, source, owner="scan", repair=repair_split)
    values: dict[str, list[str | None]] = {name: [] for name in split.side}
    for row in (row for rows in nodules.values() for row in rows):
        values[_scan(row)].append(row["malignancy"])
    rows = [
        {
            "scan_id": name,
            "patient_id": name,
            "path": path.relative_to(root).as_posix(),
            "split": split.side.get(name),
            "malignancy": highest(values.get(name, [])),
        }
        for name, path in volumes.items()
    ]
    missing = [
        f"{name}.mhd: labelled, but missing" for name in sorted(set(split.side) - set(volumes))
    ]
    plain = len(set(volumes) - set(split.side))
    notes = [split.moved] if split.moved else []
    notes += [f"{plain} scans have no labelled nodule: malignancy is blank"] if plain else []
    return DataSetFolder(public_cohort_table("luna16", rows), tuple(missing), tuple(notes))


def _scan(row: TableRow) -> str:
    """Return the series UID of a nodule's scan."""
    return (row["image_path"] or "").rpartition("/")[2].removesuffix(".mhd")
