"""A scan is one pass over one patient, whatever the file names and the series UIDs say."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearbench.scans.dicom.grouping import group_series
from clearbench.scans.dicom.records import Identity, Phase, Scale, Slice
from clearbench.scans.volume import ScanFacts

PHASES = ("acquisition", "temporal", "cardiac", "stack")


def at(z_mm: float, *, series: str = "1.2", patient: str = "p", **facts: object) -> Slice:
    """An axial slice at a height; a fact of its phase, or of the slice."""
    phase = {name: facts.pop(name) for name in (*PHASES, "image_type", "clock") if name in facts}
    kernel = str(facts.pop("kernel", ""))
    study = str(facts.pop("study", "st"))
    plain = Slice(
        path=Path(f"{series}-{z_mm}-{'-'.join(map(str, phase.values()))}{kernel}.dcm"),
        frame=None,
        sop_uid="",
        identity=Identity(patient, "", study, series, ""),
        shape=(4, 4),
        pixel_mm=(0.8, 0.7),
        row_axis=(1.0, 0.0, 0.0),
        column_axis=(0.0, 1.0, 0.0),
        position_mm=(0.0, 0.0, z_mm),
        scale=Scale(),
        tilt_tag_deg=0.0,
        facts=ScanFacts(kernel=kernel),
        phase=Phase(**phase),  # type: ignore[arg-type]
    )
    return replace(plain, **facts)  # type: ignore[arg-type]


def stack(heights: Iterable[float], **facts: object) -> list[Slice]:
    """Slices at these heights that have the rest in common."""
    return [at(float(z), **facts) for z in heights]  # type: ignore[arg-type]


def parts(slices: Iterable[Slice]) -> dict[str, list[float]]:
    """The heights of every scan, by its part of the series."""
    return {
        group[0].identity.part: sorted(item.position_mm[2] for item in group)
        for group in group_series(slices)
    }


def test_a_series_in_one_pass_keeps_its_name() -> None:
    (only,) = group_series(stack(range(8), acquisition="1"))
    assert only[0].identity.series_uid == "1.2"
    assert only[0].identity.part == ""
    assert only[0].facts.problems == ()


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0], ids=["same places", "interleaved", "overlap"])
@pytest.mark.parametrize("name", ["acquisition", "temporal", "cardiac"])
def test_passes_over_the_same_body_are_scans_of_their_own(name: str, shift: float) -> None:
    first = stack(range(4), **{name: "1"})
    second = stack((z + shift for z in range(4)), **{name: "2"})
    groups = group_series([*second, *first])
    assert [len(group) for group in groups] == [4, 4]
    assert [group[0].position_mm[2] - min(i.position_mm[2] for i in group) for group in groups]
    uids = [group[0].identity.series_uid for group in groups]
    assert len(set(uids)) == 2
    assert all(uid.startswith("1.2.") for uid in uids)
    assert {group[0].identity.series_instance_uid for group in groups} == {"1.2"}
    assert all("one of the 2 scans of its series" in g[0].facts.problems[0] for g in groups)


def test_acquisitions_that_follow_each_other_are_one_scan() -> None:
    """Step-and-shoot: each position of the table is an acquisition, and ends may be repeated."""
    table = [at(4.0 * step + z, acquisition=str(step)) for step in range(7) for z in range(4)]
    assert parts(table) == {"": [float(z) for z in range(28)]}
    shared = [at(3.0 * step + z, acquisition=str(step)) for step in range(3) for z in range(4)]
    assert len(parts(shared)) == 1
    types = [
        replace(i, phase=replace(i.phase, image_type=(f"{k > 13}",))) for k, i in enumerate(table)
    ]
    assert len(parts(types)) == 1


def test_two_passes_of_several_acquisitions_are_two_scans() -> None:
    before = [at(4.0 * step + z, acquisition=str(step)) for step in range(3) for z in range(4)]
    after = [at(4.0 * step + z, acquisition=str(step + 3)) for step in range(3) for z in range(4)]
    found = parts([*after, *before])
    assert found == {
        "acquisition-0": [float(z) for z in range(12)],
        "acquisition-3": [float(z) for z in range(12)],
    }


def test_kernels_matrices_and_orientations_are_named_apart() -> None:
    soft, sharp = stack(range(3), kernel="B30f"), stack((0.5, 1.5, 2.5), kernel="B70f")
    assert set(parts([*soft, *sharp])) == {"kernel-B30f", "kernel-B70f"}
    small = stack(range(3), shape=(2, 2))
    assert set(parts([*stack(range(3)), *small])) == {"matrix-4x4", "matrix-2x2"}
    zoomed = stack(range(3), pixel_mm=(0.4, 0.4))
    assert len(parts([*stack(range(3)), *zoomed])) == 2
    coronal = stack(range(3), column_axis=(0.0, 0.0, -1.0))
    assert len(parts([*stack(range(3)), *coronal])) == 2


def test_one_slice_that_can_t_be_stacked_is_left_out_by_name() -> None:
    scout = at(40.0, shape=(8, 8), path=Path("99.dcm"))
    (only,) = group_series([*stack(range(4)), scout])
    assert len(only) == 4
    (note,) = only[0].facts.notes
    assert note.text == "a slice is left out: another matrix than the others have"
    assert (note.kind, note.file) == ("files", "99.dcm")


def test_one_odd_slice_is_no_scan() -> None:
    """A single slice with another kernel or acquisition number stays with the others."""
    assert len(parts([*stack(range(4), kernel="a"), at(4.0, kernel="b")])) == 1
    assert len(parts([*stack(range(4), acquisition="1"), at(2.0, acquisition="2")])) == 1


def test_patients_and_studies_are_never_mixed() -> None:
    slices = [*stack(range(3), patient="A"), *stack((0.5, 1.5), patient="B")]
    groups = group_series([*slices, *stack(range(2), patient="A", study="later")])
    assert sorted((g[0].identity.patient_id, len(g)) for g in groups) == [
        ("A", 2),
        ("A", 3),
        ("B", 2),
    ]
    names = [group[0].identity.full_name for group in groups]
    assert len(set(names)) == 3


def test_the_time_of_day_tells_repeated_slices_apart_and_no_others() -> None:
    both = [*stack(range(6), clock="101010"), *stack(range(6), clock="101530")]
    assert set(parts(both)) == {"pass-1", "pass-2"}
    helical = [at(float(z), clock=f"1010{z}") for z in range(6)]
    assert set(parts(helical)) == {""}


def test_one_series_for_every_slice_is_one_scan() -> None:
    slices = [at(3.0 * z, series=f"1.{z}") for z in range(5)]
    (only,) = group_series(slices)
    assert len(only) == 5
    assert only[0].identity.series_uid == "1.0.joined"
    assert only[0].facts.problems == ("5 series of one slice each are read as one scan",)
    two_patients = [
        replace(i, identity=replace(i.identity, patient_id=str(k % 2)))
        for k, i in enumerate(slices)
    ]
    assert all(
        len({i.identity.patient_id for i in group}) == 1 for group in group_series(two_patients)
    )
    uneven = [at(z, series=f"1.{z}") for z in (0.0, 1.0, 7.0, 30.0)]
    assert len(group_series(uneven)) == 4


@given(
    st.lists(
        st.builds(
            at,
            st.integers(0, 6).map(float),
            series=st.sampled_from(["1.2", "1.3"]),
            patient=st.sampled_from(["A", "B"]),
            kernel=st.sampled_from(["", "B30f", "B70f"]),
            acquisition=st.sampled_from(["", "1", "2", "x"]),
            temporal=st.sampled_from(["", "1", "2"]),
            shape=st.sampled_from([(4, 4), (2, 2)]),
        ),
        max_size=24,
    )
)
def test_no_slice_is_lost_or_in_two_scans(slices: list[Slice]) -> None:
    """Every slice is in at most one scan, with its own patient; those left out are named."""
    numbered = [replace(item, path=Path(f"{n}.dcm")) for n, item in enumerate(slices)]
    groups = group_series(numbered)
    kept = [item.path for group in groups for item in group]
    assert len(kept) == len(set(kept))
    named = {n.file for g in groups for item in g for n in item.facts.notes if n.kind == "files"}
    assert {item.path.name for item in numbered} <= {path.name for path in kept} | named
    for group in groups:
        assert len({item.identity.patient_id for item in group}) == 1
        assert len({item.identity.series_uid for item in group}) == 1
    assert groups == group_series(numbered)


def born(slices: list[Slice], date: str) -> list[Slice]:
    """The same slices of a person with this birth date."""
    return [replace(i, identity=replace(i.identity, birth_date=date)) for i in slices]


def test_two_people_under_one_of_each_id_are_never_mixed() -> None:
    """An anonymiser made PatientID, study and series equal, but left the birth date."""
    one, other = stack(range(4)), stack(z + 0.5 for z in range(4))
    assert set(parts([*born(one, "1950"), *born(other, "1971")])) == {"person-1", "person-2"}
    assert len(parts([*born(one, "1950"), *born(other, "")])) == 1


def test_a_kernel_that_some_slices_lack_splits_nothing() -> None:
    assert len(parts([*stack(range(4), kernel="B30f"), *stack(range(4, 8))])) == 1


def test_folders_tell_repeated_slices_apart() -> None:
    first = [replace(i, path=Path("a") / i.path) for i in stack(range(5))]
    second = [replace(i, path=Path("b") / i.path) for i in stack(range(5))]
    assert set(parts([*first, *second])) == {"folder-1", "folder-2"}
    spread = [replace(i, path=Path(f"{n % 2}") / i.path) for n, i in enumerate(stack(range(8)))]
    assert set(parts(spread)) == {""}


def test_a_slice_of_neither_pass_is_left_out_by_name() -> None:
    """A bolus test between two passes: one slice, within the range of both."""
    first, second = stack(range(4), acquisition="1"), stack((0.5, 1.5, 2.5), acquisition="2")
    bolus = at(1.2, acquisition="3", path=Path("bolus.dcm"))
    found = group_series([*first, *second, bolus])
    assert [len(group) for group in found] == [4, 3]
    texts = " ".join(found[0][0].facts.problems)
    assert "a slice is left out: another acquisition than the others have (bolus.dcm)" in texts


def test_one_slice_of_somebody_else_is_left_out() -> None:
    mixed = [*born(stack(range(4)), "1950"), *born([at(1.5)], "1971")]
    (only,) = group_series(mixed)
    assert len(only) == 4
    assert {item.identity.birth_date for item in only} == {"1950"}
