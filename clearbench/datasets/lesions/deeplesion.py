"""DeepLesion as it lies on disk: DL_info.csv, and Images_png/<series>/<slice>.png in 16 bits.

Yan et al., "DeepLesion: automated mining of large-scale lesion annotations", J. Med. Imaging 2018,
doi:10.1117/1.JMI.5.3.036501; column names are the data set's own.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from clearbench.datasets.lesions.slice_sets import SliceRow, SliceSet, slice_set, why_no_box
from clearbench.datasets.rows import Row, read_rows, whole
from clearbench.errors import BadCohort

TABLE = "DL_info.csv"
IMAGES = "Images_png"
WHENCE = "https://nihcc.app.box.com/v/DeepLesion"
COLUMNS = (
    *("File_name", "Patient_index", "Bounding_boxes", "Coarse_lesion_type"),
    *("Image_size", "Train_Val_Test"),
)
SPLITS = {"1": "train", "2": "val", "3": "test"}
TYPES = {
    **{"1": "bone", "2": "abdomen", "3": "mediastinum", "4": "liver"},
    **{"5": "lung", "6": "kidney", "7": "soft_tissue", "8": "pelvis"},
}


def is_deeplesion(root: Path) -> bool:
    """Tell DeepLesion's folder by its table."""
    return (root / TABLE).is_file()


def read_deeplesion(root: Path, split: str = "train") -> SliceSet:
    """List the slices of one official split ("all" takes the three), with their lesion boxes.

    A PNG beside the annotated ones is a slice without a lesion. Raises BadCohort for a wrong
    column, another split, or if nothing is left; a box outside its image and a missing PNG are
    named in the problems and left out.
    """
    if split not in (*SPLITS.values(), "all"):
        raise BadCohort(f"--split {split}: DeepLesion has {', '.join(SPLITS.values())}, or all")
    rows = read_info(root)
    chosen = [row for row in rows if split in ("all", split_of(row))]
    if not chosen:
        raise BadCohort(f"{root / TABLE}: no row of the split {split}")
    problems: list[str] = []
    lesions = _lesions(chosen, root, problems)
    for row in rows:  # a slice annotated on another side is none without a lesion
        lesions.setdefault(png_of(row), [])
    patients = {series_of(row): row["Patient_index"] or "" for row in chosen}
    slices = list(_slices(root / IMAGES, patients, lesions))
    return slice_set("deeplesion", root / IMAGES, slices, problems)


def read_info(root: Path) -> list[Row]:
    """Read DL_info.csv; raises BadCohort for a missing file, folder or column."""
    rows = read_rows(root / TABLE, COLUMNS, WHENCE)
    if not (root / IMAGES).is_dir():
        raise BadCohort(f"{root}: no folder {IMAGES} beside {TABLE}; get it from {WHENCE}")
    return rows


def series_of(row: Row) -> str:
    """Return a row's folder: 000001_01_01_109.png lies in 000001_01_01."""
    return (row["File_name"] or "").rpartition("_")[0]


def png_of(row: Row) -> str:
    """Return where a row's PNG lies under Images_png."""
    return f"{series_of(row)}/{(row['File_name'] or '').rpartition('_')[2]}"


def split_of(row: Row) -> str:
    """Return the official side of a row; empty if it has none."""
    return SPLITS.get(whole(row["Train_Val_Test"]) or "", "")


def site_of(row: Row) -> str:
    """Return a lesion's site; empty if it is not typed."""
    return TYPES.get(whole(row["Coarse_lesion_type"]) or "", "")


def _lesions(rows: list[Row], root: Path, problems: list[str]) -> dict[str, list[Row]]:
    """Gather the sound rows by the path of their PNG; say what is wrong with the others."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        path = png_of(row)
        reason = _box_fault(row)
        if not (root / IMAGES / path).is_file():
            problems.append(f"{IMAGES}/{path}: missing")
        elif reason:
            problems.append(f"{row['File_name']}: box {reason}")
            found.setdefault(path, [])
        else:
            found[path].append(row)
    return found


def _box_fault(row: Row) -> str:
    """Say what is wrong with a row's box; empty if nothing is."""
    sides = _numbers(row["Image_size"])
    box = _numbers(row["Bounding_boxes"])
    if len(sides) != 2 or len(box) != 4 or not all(side > 0 for side in sides):
        return f"not readable ({row['Bounding_boxes']} in an image of {row['Image_size']})"
    return why_no_box(box, int(sides[0]), int(sides[1]))


def _numbers(text: str | None) -> list[float]:
    """Read numbers between commas; empty if one is none."""
    try:
        return [float(part) for part in (text or "").split(",")]
    except ValueError:
        return []


def _slices(
    images: Path, patients: dict[str, str], lesions: dict[str, list[Row]]
) -> Iterator[SliceRow]:
    """List every PNG of the chosen series; one whose box was refused is left out."""
    for series in sorted(patients):
        folder = images / series
        names = sorted(path.name for path in folder.glob("[!.]*.png"))
        for name in names:
            path = f"{series}/{name}"
            rows = lesions.get(path)
            if rows == []:
                continue
            boxes = tuple(_box(row) for row in rows or ())
            types = {site_of(row) for row in rows or ()}
            label = types.pop() if len(types) == 1 else ""
            yield SliceRow(patients[series], path, boxes=boxes, label=label)


def _box(row: Row) -> tuple[float, float, float, float]:
    """Return a sound row's box."""
    x1, y1, x2, y2 = _numbers(row["Bounding_boxes"])
    return x1, y1, x2, y2
