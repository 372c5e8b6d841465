"""Every copy is listed, with the sides of the folds that it joins, and a proposal of patients."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clearbench.evaluation.guards.copies import (
    ONE_SIDE,
    TWO_SIDES,
    Copy,
    copies_alarm,
    find_copies,
    grouped_patients,
)
from clearbench.evaluation.task.splits import Fold
from clearbench.evaluation.task.units import Units
from clearbench.scans.thumbnail import Sketch


def copy(one: str, other: str, sides: str = TWO_SIDES, cohorts: str = "cc") -> Copy:
    """A pair of scans s<one> and s<other> of patients <one> and <other>."""
    return Copy(cohorts[0], f"s{one}", one, cohorts[1], f"s{other}", other, 0.9991, 9.0, sides)


@pytest.fixture
def found(heads: Any) -> Any:
    """Units of the heads, with the first three again under other patients."""
    thumbnails = np.concatenate([heads.thumbnails, heads.thumbnails[:3]])
    patients = tuple(f"p{n}" for n in range(len(thumbnails)))
    units = Units(
        ids=patients,
        patients=patients,
        scans=tuple((f"s{n}",) for n in range(len(thumbnails))),
        targets=np.zeros((len(thumbnails), 1)),
        cohorts=("c",) * len(thumbnails),
        sides=("",) * len(thumbnails),
    )
    blank = np.zeros(64, np.float32)
    sketches = {("c", f"s{n}"): Sketch(t, blank, 9) for n, t in enumerate(thumbnails)}
    return units, sketches


def test_every_pair_is_listed_with_its_sides(found: Any) -> None:
    units, sketches = found
    last = len(units.ids) - 3
    apart = Fold(0, 0, units.patients[:10], (), units.patients[10:])
    near = Fold(0, 0, (*units.patients[:2], *units.patients[last:]), (), units.patients[2:last])
    listed = find_copies(units, sketches, [apart]).copies
    assert {(each.scan_id, each.other_scan_id) for each in listed} == {
        (f"s{n}", f"s{last + n}") for n in range(3)
    }
    assert {each.sides for each in listed} == {TWO_SIDES}
    sides = {each.scan_id: each.sides for each in find_copies(units, sketches, [near]).copies}
    assert sides == {"s0": ONE_SIDE, "s1": ONE_SIDE, "s2": TWO_SIDES}


def test_a_test_cohort_is_no_part_of_a_patient_s_name(found: Any) -> None:
    units, sketches = found
    last = len(units.ids) - 1
    cohorts = ("c",) * last + ("d",)
    named = tuple(f"{c}/{p}" for c, p in zip(cohorts, units.patients, strict=True))
    two = replace(units, cohorts=cohorts, patients=named)
    moved = sketches | {("d", f"s{last}"): sketches["c", f"s{last}"]}
    [across] = [each for each in find_copies(two, moved, []).copies if each.other_cohort == "d"]
    assert (across.patient_id, across.other_patient_id) == ("p2", f"p{last}")


def test_an_alarm_counts_sides_and_says_what_to_do() -> None:
    many = [copy(f"{n}", f"{n + 50}") for n in range(7)]
    text = copies_alarm([*many, copy("8", "9", ONE_SIDE)])
    assert text.startswith("8 × the same scan under two patients' ids, 7 of them on two sides")
    assert "s0 and s50 (0.999)" in text
    assert "and 3 more; give them one patient_id" in text
    assert "view duplicates" in text
    assert "--group-copies" in text
    assert "all on one side of each fold" in copies_alarm([copy("8", "9", ONE_SIDE)])
    both = copies_alarm([copy("1", "2", cohorts="ab")])
    assert "(1 of cohorts a and b): a/s1 and b/s2 (0.999); leave one of each pair out" in both
    assert copies_alarm([]) == ""


def test_chains_of_copies_are_one_patient() -> None:
    pairs = [copy("b", "c"), copy("a", "b"), copy("x", "y"), copy("q", "r", cohorts="cd")]
    assert grouped_patients(pairs, "c") == {"b": "a", "c": "a", "y": "x"}
