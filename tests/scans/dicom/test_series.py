"""Slices are ordered by position, and problems of their spacing are named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clearbench.errors import UnreadableScan
from clearbench.scans.dicom.grouping import group_series
from clearbench.scans.dicom.headers import read_slices
from clearbench.scans.dicom.records import Identity, Phase, Scale, Slice
from clearbench.scans.dicom.series import Series, order_series, spacing_notes
from clearbench.scans.notes import Note
from clearbench.scans.volume import ScanFacts


def slice_at(z_mm: float, **facts: object) -> Slice:
    """An axial slice at a height."""
    plain = Slice(
        path=Path(f"{z_mm}.dcm"),
        frame=None,
        sop_uid=f"1.{z_mm}",
        identity=Identity("p", "a", "st", "se", ""),
        shape=(4, 4),
        pixel_mm=(0.8, 0.7),
        row_axis=(1.0, 0.0, 0.0),
        column_axis=(0.0, 1.0, 0.0),
        position_mm=(0.0, 0.0, z_mm),
        scale=Scale(),
        tilt_tag_deg=0.0,
        facts=ScanFacts(),
    )
    return replace(plain, **facts)  # type: ignore[arg-type]


def problems(*heights_mm: float) -> tuple[str, ...]:
    """The problems of slices at these heights."""
    return order_series([slice_at(z) for z in heights_mm]).facts.problems


def test_slices_come_feet_to_head_whatever_their_order() -> None:
    series = order_series([slice_at(z) for z in (10.0, -5.0, 0.0, 5.0)])
    assert [item.position_mm[2] for item in series.slices] == [-5, 0, 5, 10]
    assert series.along_stack_mm.tolist() == [0, 5, 10, 15]
    assert series.normal_mm.tolist() == [-5, 0, 5, 10]
    assert series.orientation == "axial"
    assert series.facts.problems == ()


def test_even_slices_have_no_problem_and_a_single_slice_is_named() -> None:
    assert problems(*np.arange(0, 50, 2.5)) == ()
    assert problems(3.0) == ("a single slice",)


def test_missing_slices_are_counted() -> None:
    assert problems(0, 5, 10, 20, 25) == ("1 slice missing (gaps of up to 10.00 mm, usually 5.00)",)
    assert problems(0, 5, 10, 25, 30, 40) == (
        "3 slices missing (gaps of up to 15.00 mm, usually 5.00)",
    )


def test_uneven_distances_and_doubles_are_named() -> None:
    assert problems(0, 4, 8, 15.4, 22.8) == ("uneven slice distance, 4.00 to 7.40 mm",)
    assert spacing_notes(np.array([0.0, 0.0, 0.0, 5.0, 10.0])) == (
        Note("geometry", "2 slices are at the position of another"),
    )


def copies(*slices: Slice) -> Series:
    """Order slices whose pixels are all equal."""
    return order_series(slices, same_pixels=lambda *_: True)


def test_copies_of_a_file_are_taken_once() -> None:
    series = copies(slice_at(0), slice_at(5), slice_at(5, path=Path("copy.dcm")))
    assert len(series.slices) == 2
    assert series.facts.problems == ("1 file is a copy of another slice (copy.dcm)",)


def again(z_mm: float, acquisition: int) -> Slice:
    """Another slice at a height, of another acquisition."""
    name = Path(f"again-{z_mm}.dcm")
    return slice_at(z_mm, path=name, sop_uid=str(z_mm), phase=Phase(acquisition=str(acquisition)))


def test_of_two_slices_at_one_place_the_earlier_acquisition_is_kept() -> None:
    slices = [again(5, 2), slice_at(0), slice_at(5, phase=Phase(acquisition="1")), slice_at(10)]
    series = order_series(slices)
    assert [item.path.name for item in series.slices] == ["0.dcm", "5.dcm", "10.dcm"]
    (note,) = series.facts.notes
    assert note.text == "1 slice is at the position of another, and left out"
    assert (note.kind, note.file) == ("series", "again-5.dcm")


def test_the_earlier_acquisition_is_kept_also_if_it_is_a_little_higher() -> None:
    slices = [again(4.999, 2), slice_at(0), slice_at(5, phase=Phase(acquisition="1")), slice_at(10)]
    names = [item.path.name for item in order_series(slices).slices]
    assert names == ["0.dcm", "5.dcm", "10.dcm"]


def test_many_slices_at_the_places_of_others_are_refused() -> None:
    slices = [slice_at(float(z)) for z in range(10)]
    two = [again(float(z), 0) for z in range(2)]
    assert len(order_series([*slices, *two]).slices) == 10
    three = [again(float(z), 0) for z in range(3)]
    with pytest.raises(UnreadableScan, match="3 slices are at the place of another one"):
        order_series([*slices, *three])
    with pytest.raises(UnreadableScan, match="all 3 slices are at one place"):
        order_series([slice_at(0), again(0, 1), again(0, 2)])


def test_a_shifted_centre_is_no_gantry_tilt() -> None:
    slices = [slice_at(0, position_mm=(30.0 * (z >= 10), 0.0, 3.0 * z)) for z in range(20)]
    series = order_series([replace(item, sop_uid=str(i)) for i, item in enumerate(slices)])
    assert series.facts.gantry_tilt_deg is None
    assert series.facts.problems == ("slices are shifted sideways by up to 30 mm from slice 10 on",)
    assert series.orientation == "axial"
    np.testing.assert_allclose(series.along_stack_mm, 3.0 * np.arange(20))


def test_a_tilt_that_only_the_header_knows_is_noted() -> None:
    series = order_series([slice_at(z, tilt_tag_deg=1.5) for z in (0, 5, 10)])
    assert series.facts.gantry_tilt_deg is None
    assert series.facts.problems == ("the header says a gantry tilt of 1.5°, the positions 0.0°",)


def test_the_facts_are_those_of_most_slices() -> None:
    slices = [
        slice_at(z, facts=ScanFacts(thickness_mm=mm, kernel="B30f", kvp=120))
        for z, mm in ((0, 1.0), (5, 5.0), (10, 5.0))
    ]
    facts = order_series(slices).facts
    assert (facts.thickness_mm, facts.kernel, facts.kvp) == (5.0, "B30f", 120)
    assert facts.problems == ("SliceThickness differs between slices (1.0, 5.0)",)


@pytest.mark.parametrize(
    "facts", [{"pixel_mm": (0.01, 0.01)}, {"pixel_mm": (25.0, 25.0)}], ids=["tiny", "huge"]
)
def test_a_spacing_that_no_ct_has_is_refused(facts: dict[str, object]) -> None:
    with pytest.raises(UnreadableScan, match=r"a CT has 0\.05 to 20 mm"):
        order_series([slice_at(0, **facts), slice_at(5, **facts)])


def test_slices_that_share_a_uid_by_mistake_are_not_copies() -> None:
    series = order_series([slice_at(z, sop_uid="1.2.3") for z in (0, 5, 10)])
    assert len(series.slices) == 3
    assert series.facts.problems == ()


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"shape": (8, 8)}, "slices of 2 sizes in one series"),
        ({"pixel_mm": (0.5, 0.5)}, "slices of several pixel distances"),
        ({"row_axis": (0.0, 1.0, 0.0), "column_axis": (0.0, 0.0, -1.0)}, "another orientation"),
    ],
)
def test_what_can_t_be_stacked_is_refused(facts: dict[str, object], words: str) -> None:
    with pytest.raises(UnreadableScan, match=words):
        order_series([slice_at(0), slice_at(5), slice_at(10, **facts)])


def test_a_gantry_tilt_is_found_from_the_geometry() -> None:
    """Slices that lean, stacked along the table, and slices stacked along their tagged lean."""
    c, s = float(np.cos(np.radians(20))), float(np.sin(np.radians(20)))
    leaning = [slice_at(z, column_axis=(0.0, c, -s)) for z in (0, 5, 10)]
    series = order_series(leaning)
    assert series.facts.gantry_tilt_deg == 20.0
    assert series.facts.problems == ("gantry tilt 20.0°",)
    assert series.orientation == "axial"
    tagged = [
        slice_at(0, column_axis=(0.0, c, -s), position_mm=(0.0, s * k, c * k), tilt_tag_deg=20.0)
        for k in (0.0, 5.0, 10.0)
    ]
    tagged = [replace(item, sop_uid=str(i)) for i, item in enumerate(tagged)]
    assert order_series(tagged).facts.gantry_tilt_deg == 20.0
    oblique = [replace(item, tilt_tag_deg=0.0) for item in tagged]
    assert order_series(oblique).facts.gantry_tilt_deg is None
    assert order_series(oblique).orientation == "oblique"


def test_planes_are_named() -> None:
    coronal = [
        slice_at(0, column_axis=(0.0, 0.0, -1.0), position_mm=(0.0, y, 0.0), sop_uid=str(y))
        for y in (0.0, 3.0)
    ]
    assert order_series(coronal).orientation == "coronal"
    sagittal = [
        replace(item, row_axis=(0.0, 1.0, 0.0), position_mm=(item.position_mm[1], 0.0, 0.0))
        for item in coronal
    ]
    assert order_series(sagittal).orientation == "sagittal"


def test_slices_are_grouped_by_series_or_without_one_by_folder() -> None:
    def of(series: str, path: str) -> Slice:
        return replace(slice_at(0), identity=Identity("", "", "", series, ""), path=Path(path))

    slices = [of("2", "a/1"), of("1", "a/2"), of("", "a/3"), of("", "b/4"), of("1", "b/5")]
    groups = [{item.path.as_posix() for item in group} for group in group_series(slices)]
    assert groups == [{"a/2", "b/5"}, {"a/1"}, {"a/3"}, {"b/4"}]


def test_the_real_head_is_tilted_and_uneven(shared_data: Path) -> None:
    files = sorted((shared_data / "dicom" / "head_ge_gantry_tilt").iterdir())
    series = order_series([item for file in files for item in read_slices(file)])
    assert series.facts.gantry_tilt_deg == 18.5
    assert "gantry tilt 18.5°" in series.facts.problems
    assert any(text.startswith("uneven slice distance") for text in series.facts.problems)
    assert series.orientation == "axial"
