"""DeepLesion on disk: DL_info.csv, and Images_png/<series>/<slice>.png in 16 bits.

Yan et al., "DeepLesion: automated mining of large-scale lesion annotations", J. Med. Imaging 2018,
doi:10.1117/1.JMI.5.3.036501; column names are those of the data set.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from clearbench.datasets.lesions.slice_sets import SliceRow, SliceSet, slice_set, why_no_box
from clearbench.datasets.rows import TableRow, read_table_rows, whole
from clearbench.errors import BadArgument, BadCohort

TABLE = "DL_info.csv"
IMAGES = "Images_png"
SOURCE_URL = "https://nihcc.app.box.com/v/DeepLesion"
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
    """Return True for DeepLesion's folder: it has the table DL_info.csv."""
    return (root / TABLE).is_file()


def read_deeplesion(root: Path, split: str = "train") -> SliceSet:
    """List the slices of one official split ("all": of all three), with their lesion boxes.

    A PNG that isn't annotated is a slice without a lesion. A missing PNG, or one whose box is
    outside the image, is left out and named in the problems. Raises BadArgument for another split,
    BadCohort for a wrong column, or if nothing is left.
    """
    if split not in (*SPLITS.values(), "all"):
        raise BadArgument("split", split, f"DeepLesion has {', '.join(SPLITS.values())}, or all")
    rows = read_info(root)
    chosen = [row for row in rows if split in ("all", split_of(row))]
    if not chosen:
        raise BadCohort(f"{root / TABLE}: no row of the split {split}")
    problems: list[str] = []
    lesions = _lesions(chosen, root, problems)
    for row in rows:  # a slice that another split annotates has a lesion: it is left out
        lesions.setdefault(png_of(row), [])
    patients = {series_of(row): row["Patient_index"] or "" for row in chosen}
    slices = list(_slices(root / IMAGES, patients, lesions))
    return slice_set("deeplesion", root / IMAGES, slices, problems)


def read_info(root: Path) -> list[TableRow]:
    """Read DL_info.csv; raises BadCohort for a missing file, folder or column."""
    rows = read_table_rows(root / TABLE, COLUMNS, SOURCE_URL)
    if not (root / IMAGES).is_dir():
        raise BadCohort(f"{root}: no folder {IMAGES} next to {TABLE}; get it from {SOURCE_URL}")
    return rows


def series_of(row: TableRow) -> str:
    """Return a row's folder: 000001_01_01_109.png is in 000001_01_01."""
    return (row["File_name"] or "").rpartition("_")[0]


def png_of(row: TableRow) -> str:
    """Return the path of a row's PNG under Images_png."""
    return f"{series_of(row)}/{(row['File_name'] or '').rpartition('_')[2]}"


def split_of(row: TableRow) -> str:
    """Return the official split of a row; "" if it has none."""
    return SPLITS.get(whole(row["Train_Val_Test"]) or "", "")


def site_of(row: TableRow) -> str:
    """Return a lesion's body site; "" if it has no type."""
    return TYPES.get(whole(row["Coarse_lesion_type"]) or "", "")


def _lesions(rows: list[TableRow], root: Path, problems: list[str]) -> dict[str, list[TableRow]]:
    """Return the usable rows by the path of their PNG; the others are added to `problems`."""
    found: dict[str, list[TableRow]] = defaultdict(list)
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


def _box_fault(row: TableRow) -> str:
    """Return the fault of a row's box; "" if it has none."""
    size = _numbers(row["Image_size"])
    box = _numbers(row["Bounding_boxes"])
    if len(size) != 2 or len(box) != 4 or not all(px > 0 for px in size):
        return f"not readable ({row['Bounding_boxes']} in an image of {row['Image_size']})"
    return why_no_box(box, int(size[0]), int(size[1]))


def _numbers(text: str | None) -> list[float]:
    """Read numbers between commas; [] if one of them isn't a number."""
    try:
        return [float(part) for part in (text or "").split(",")]
    except ValueError:
        return []


def _slices(
    images: Path, patients: dict[str, str], lesions: dict[str, list[TableRow]]
) -> Iterator[SliceRow]:
    """List every PNG of the chosen series, without those that have only refused boxes."""
    for series in sorted(patients):
        folder = images / series
        # [!.] leaves out hidden files, such as macOS's ._ copies
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


def _box(row: TableRow) -> tuple[float, float, float, float]:
    """Return the box of a usable row."""
    x1, y1, x2, y2 = _numbers(row["Bounding_boxes"])
    return x1, y1, x2, y2
