"""Rows find their scans under the usual names of columns, and by paths in any letters."""

from pathlib import Path

import pytest
from PIL import Image

from clearbench.cohort.pseudonyms import Pseudonyms
from clearbench.datasets.own.folder import BuiltCohort, build_folder
from clearbench.datasets.own.join import join_column
from clearbench.errors import BadCohort
from clearbench.scans.inventory import find_scans


@pytest.mark.parametrize(
    ("on", "column"),
    [
        ("PatientID", "pat_id"),
        ("AccessionNumber", "accession"),
        ("AccessionNumber", "Acc. No."),
        ("AccessionNumber", "acc"),
        ("StudyInstanceUID", "study_uid"),
        ("SeriesInstanceUID", "SeriesUID"),
        ("SeriesInstanceUID", "series_id"),
        ("path", "image"),
    ],
)
def test_every_identifier_has_other_usual_names(on: str, column: str) -> None:
    assert join_column(["y", column], on, True, Path("t.csv")) == (on, column)


def test_a_study_s_number_is_not_its_uid() -> None:
    with pytest.raises(BadCohort, match="no column StudyInstanceUID"):
        join_column(["accession", "y"], "StudyInstanceUID", True, Path("t.csv"))


def build(root: Path, *keys: str) -> BuiltCohort:
    labels = root.parent / "labels.csv"
    labels.write_text("image,y\n" + "".join(f"{key},{n % 2}\n" for n, key in enumerate(keys)))
    names = Pseudonyms(b"n" * 32)
    target = root.parent / "cohort.csv"
    return build_folder(find_scans(root), labels, "path", target, names=names, window="lung")


def images(root: Path, *places: str) -> None:
    for number, place in enumerate(places):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 6), 10 * number).save(root / place)


def labels(built: BuiltCohort) -> dict[str, str | None]:
    return {row["path"]: row["y"] for row in built.table.to_pylist()}


@pytest.mark.parametrize(
    "keys", [("00", "01"), ("im/00", "im/01"), ("IM/00.PNG", "IM/01.PNG"), ("00.PNG", "im/01.png")]
)
def test_single_images_without_suffix_or_in_other_letters(
    tmp_path: Path, keys: tuple[str, str]
) -> None:
    images(tmp_path / "im", "00.png", "01.png")
    assert labels(build(tmp_path / "im", *keys)) == {"im/00.png": "0", "im/01.png": "1"}


def test_a_key_that_names_a_folder_of_slices_means_the_folder(tmp_path: Path) -> None:
    images(tmp_path / "im", *(f"{scan}/{n}.png" for scan in (1, 2) for n in (1, 2, 3)))
    built = build(tmp_path / "im", "1", "2")
    assert labels(built) == {"im/1": "0", "im/2": "1"}


def test_paths_that_only_differ_in_letters_mean_themselves(tmp_path: Path) -> None:
    images(tmp_path / "im", "a.png", "A.png", "b.png")
    if len(list((tmp_path / "im").iterdir())) == 3:  # not where the disk makes them one
        found = labels(build(tmp_path / "im", "a.png", "A.png", "B.png"))
        assert found == {"im/a.png": "0", "im/A.png": "1", "im/b.png": "0"}
