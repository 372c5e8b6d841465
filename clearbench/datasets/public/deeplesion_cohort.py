"""DeepLesion as a cohort: one scan per series, the sites of its typed lesions as labels.

Yan et al., "DeepLesion: automated mining of large-scale lesion annotations", J. Med. Imaging 2018,
doi:10.1117/1.JMI.5.3.036501; NIH Clinical Center, free to download and use with that citation.
Only lesions of the official validation and test parts have a type. So `typed_split` has only those
two parts: validation is train and test is test, or the sides are those of the community's split
files. Studies have numbers, not dates: `day` is unknown. Image numbers run from head to feet, as in
the data set's DL_save_nifti.py (z falls by the spacing from image to image); the reader of image
folders reverses them, and slice_index stays the image's number.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clearbench.datasets.lesions.deeplesion import (
    IMAGES,
    SOURCE_URL,
    TABLE,
    TYPES,
    png_of,
    read_info,
    series_of,
    site_of,
    split_of,
)
from clearbench.datasets.public.published import DataSetFolder
from clearbench.datasets.public.published_split import SIDES, PublishedSplit, SplitRow, check_split
from clearbench.datasets.rows import TableRow, public_cohort_table, read_table_rows, whole
from clearbench.errors import BadCohort

SITES = tuple(TYPES.values())
TYPED_COLUMNS = ("Volume_fn", "Coarse_lesion_type")
TYPED_SOURCE_URL = "https://github.com/AIM-Harvard/foundation-cancer-image-biomarker"
TYPED_SIDES = {"val": "train", "test": "test"}  # by official part; lesions of train have no type

RowsBySeries = Mapping[str, Sequence[TableRow]]  # by series


@dataclass(frozen=True)
class TypedSplit:
    """The community's split of typed lesions: each patient's side, and the sites by series."""

    split: PublishedSplit
    sites: frozenset[tuple[str, str]]


def build(root: Path, *, splits: Path | None = None, repair_split: bool = False) -> DataSetFolder:
    """Read DL_info.csv and Images_png/<series>/<slice>.png as a cohort.

    Labels: one column per site, 1 where a typed lesion of that site is annotated, else blank.
    key_slices are the numbers of the annotated images, which are their slice_index. `splits` is the
    folder of the community's deeplesion_typed_{train,val,test}.csv. Raises BadCohort for another
    layout, or if those files have a patient on two sides, unless `repair_split`.
    """
    rows: dict[str, list[TableRow]] = defaultdict(list)
    for row in read_info(root):
        rows[series_of(row)].append(row)
    folders = {path.name for path in (root / IMAGES).iterdir() if path.is_dir()}
    present = sorted(folders & set(rows))
    if not present:
        raise BadCohort(
            f"{root}: no folder of a series; expected e.g. "
            f"{IMAGES}/{png_of(next(iter(rows.values()))[0])} ({SOURCE_URL})"
        )
    typed = read_typed_split(splits, repair=repair_split) if splits else None
    images = {series: _numbers(root / IMAGES / series) for series in present}
    table = [_scan(series, rows[series], images[series], typed) for series in present]
    missing = [
        *(f"{IMAGES}/{name}: in {TABLE}, but no folder" for name in sorted(set(rows) - folders)),
        *(f"{IMAGES}/{name}: no row in {TABLE}, left out" for name in sorted(folders - set(rows))),
        *(
            f"{IMAGES}/{png_of(row)}: annotated, but missing"
            for series in present
            for row in rows[series]
            if Path(png_of(row)).stem not in images[series]
        ),
    ]
    return DataSetFolder(
        public_cohort_table("deeplesion", table), tuple(missing), _notes(table, typed, rows)
    )


def read_typed_split(folder: Path, *, repair: bool = False) -> TypedSplit:
    """Read the community's deeplesion_typed_{train,val,test}.csv, whose types are the official − 1.

    Raises BadCohort for a missing file or column, or for patients on two sides unless `repair`.
    """
    rows = []
    sites = set()
    for side in SIDES:
        path = folder / f"deeplesion_typed_{side}.csv"
        for row in read_table_rows(path, TYPED_COLUMNS, TYPED_SOURCE_URL):
            series = (row["Volume_fn"] or "").rpartition("_")[0]
            rows.append(SplitRow(_patient(series), side))
            sites.add((series, _official(whole(row["Coarse_lesion_type"]))))
    source = str(folder / "deeplesion_typed_*.csv")
    return TypedSplit(check_split(rows, source, repair=repair), frozenset(sites))


def _patient(series: str) -> str:
    """Return the patient of a series as DL_info.csv writes it: 000004_02_02 is of patient 4."""
    return series.partition("_")[0].lstrip("0")


def _official(number: str | None) -> str:
    """Return the site of a type counted from 0; "" if there is none."""
    return TYPES.get(str(int(number) + 1), "") if number and number.isdigit() else ""


def _numbers(folder: Path) -> dict[str, int]:
    """Return the number of each image of a series, its slice_index, by file stem."""
    stems = (path.stem for path in folder.glob("[!.]*.png"))
    return {stem: int(stem) for stem in stems if stem.isdigit()}


def _scan(
    series: str, rows: list[TableRow], images: Mapping[str, int], typed: TypedSplit | None
) -> TableRow:
    """Return one series as a cohort row."""
    patient = whole(rows[0]["Patient_index"]) or ""
    official = split_of(rows[0])
    typed_split = typed.split.side.get(patient) if typed else TYPED_SIDES.get(official)
    sites = {site_of(row) for row in rows}
    stems = {Path(png_of(row)).stem for row in rows}
    return {
        "scan_id": f"deeplesion-{series}",
        "patient_id": patient,
        "path": f"{IMAGES}/{series}",
        "study_id": series.rpartition("_")[0],
        "split": official or None,
        "typed_split": typed_split,
        "key_slices": " ".join(str(n) for n in sorted(images[s] for s in stems & set(images))),
        **{site: "1" if site in sites else None for site in SITES},
    }


def _notes(
    table: Sequence[TableRow], typed: TypedSplit | None, rows: RowsBySeries
) -> tuple[str, ...]:
    """Return notes: what was repaired, what has no type, what contradicts DL_info.csv."""
    plain = sum(row["typed_split"] is not None and not _sites(row) for row in table)
    notes = [f"{plain} scans of the typed parts have no typed lesion"] if plain else []
    if typed is not None:
        known = {(series, site_of(row)) for series, found in rows.items() for row in found}
        other = sorted(pair for pair in typed.sites - known if pair[0] in rows)
        notes += [typed.split.moved] if typed.split.moved else []
        notes += [
            f"{len(other)} types of the split files are not in {TABLE} (first: {series}, "
            f"{site or 'no type'}); labels are those of {TABLE}"
            for series, site in other[:1]
        ]
    return tuple(notes)


def _sites(row: TableRow) -> tuple[str, ...]:
    """Return the sites that a cohort row has."""
    return tuple(site for site in SITES if row[site])
