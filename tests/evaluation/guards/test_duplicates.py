"""Scans under two patients' ids: found in real heads and synthetic bodies, no false alarms."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clearbench.evaluation.guards import duplicates
from clearbench.evaluation.guards.duplicates import (
    CERTAIN,
    FLOOR,
    Duplicates,
    find_duplicates,
)

Copied = Callable[..., NDArray[np.uint8]]
WAYS = [
    "turned, gain, noise",
    "turned back",
    "softer kernel",
    "sharper and noisier",
    "without its lowest slice",
]


@pytest.fixture(params=["heads", "bodies"])
def cohort(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def rows(found: Duplicates) -> list[tuple[int, int]]:
    return [(pair.first, pair.second) for pair in found.pairs]


def with_copies(cohort: Any, copies: dict[int, NDArray[np.uint8]], suffix: str) -> Duplicates:
    """Search a cohort to which copies were added, under ids with a suffix."""
    thumbnails = np.concatenate([cohort.thumbnails, np.stack(list(copies.values()))])
    return find_duplicates(
        thumbnails, [*cohort.patients, *(cohort.patients[row] + suffix for row in copies)]
    )


def test_patients_that_merely_look_alike_raise_no_alarm(cohort: Any) -> None:
    found = find_duplicates(cohort.thumbnails, cohort.patients)
    assert found.pairs == ()
    assert found.scans == len(cohort.patients)
    assert 3 <= found.threshold_times <= 5
    patients = len(set(cohort.patients))
    assert f"calibrated on the neighbours of these {patients} patients" in found.calibration


@pytest.mark.parametrize("how", WAYS)
def test_a_copy_under_another_id_is_caught_and_nothing_else(
    cohort: Any, copied: Copied, how: str
) -> None:
    planted = {row: copied(cohort, row, how) for row in (3, 17, 25)}
    found = with_copies(cohort, planted, "-again")
    count = len(cohort.patients)
    assert sorted(rows(found)) == [(3, count), (17, count + 1), (25, count + 2)]
    for pair in found.pairs:
        assert pair.similarity >= FLOOR
        assert pair.times_nearer >= found.threshold_times or pair.similarity >= CERTAIN


def test_a_second_scan_of_the_same_patient_is_no_alarm(cohort: Any, copied: Copied) -> None:
    planted = {3: copied(cohort, 3, "turned, gain, noise")}
    assert with_copies(cohort, planted, "").pairs == ()


def test_a_cohort_of_copies_throughout_does_not_deceive_the_threshold(
    heads: Any, copied: Copied
) -> None:
    planted = {row: copied(heads, row, "softer kernel") for row in range(30)}
    thumbnails = np.concatenate([heads.thumbnails[:30], np.stack(list(planted.values()))])
    found = find_duplicates(thumbnails, [*map(str, range(30)), *map(str, range(30, 60))])
    assert sorted(rows(found)) == [(row, row + 30) for row in range(30)]


def test_three_copies_are_three_pairs(heads: Any, copied: Copied) -> None:
    copies = [copied(heads, 9, how) for how in WAYS[2:4]]
    thumbnails = np.concatenate([heads.thumbnails, np.stack(copies)])
    found = find_duplicates(thumbnails, [*heads.patients, "a", "b"])
    assert sorted(rows(found)) == [(9, 82), (9, 83), (82, 83)]


def test_of_few_patients_only_certain_copies_count(heads: Any) -> None:
    few, names = heads.thumbnails[:5], heads.patients[:5]
    alone = find_duplicates(few, names)
    assert alone.pairs == ()
    assert np.isnan(alone.threshold_times)
    assert "5 patients are too few" in alone.calibration
    found = find_duplicates(np.concatenate([few, few[2:3]]), [*names, "new"])
    assert rows(found) == [(2, 5)]
    assert found.pairs[0].similarity > CERTAIN


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_scan_is_no_alarm(heads: Any, count: int) -> None:
    found = find_duplicates(heads.thumbnails[:count], heads.patients[:count])
    assert (found.pairs, found.scans) == ((), count)


def test_empty_pictures_are_no_copies(heads: Any) -> None:
    blank = np.zeros((3, 8, 32, 32), np.uint8)
    found = find_duplicates(
        np.concatenate([heads.thumbnails, blank]), [*heads.patients, "a", "b", "c"]
    )
    assert found.pairs == ()


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_scans_does_not_matter(bodies: Any, random: Any) -> None:
    order = list(range(20))
    random.shuffle(order)
    thumbnails = np.concatenate([bodies.thumbnails[:19], bodies.thumbnails[4:5]])
    names = [*bodies.patients[:19], "again"]
    found = find_duplicates(thumbnails[order], [names[row] for row in order])
    assert [{order[pair.first], order[pair.second]} for pair in found.pairs] == [{4, 19}]


def test_blocks_of_scans_find_what_one_block_finds(
    heads: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    thumbnails = np.concatenate([heads.thumbnails, heads.thumbnails[:4]])
    names = [*heads.patients, "a", "b", "c", "d"]
    whole = find_duplicates(thumbnails, names)
    monkeypatch.setattr(duplicates, "BLOCK", 17)
    parts = find_duplicates(thumbnails, names)
    assert sorted(rows(parts)) == sorted(rows(whole)) == [(row, 82 + row) for row in range(4)]
    assert parts.threshold_times == pytest.approx(whole.threshold_times, rel=1e-3)


def test_a_thousand_scans_take_seconds(heads: Any) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 30, (1000, 8, 8, 8)).repeat(4, axis=2).repeat(4, axis=3)
    grey = heads.thumbnails[rng.integers(0, 82, 1000)] + noise
    start = time.process_time()
    found = find_duplicates(np.clip(grey, 0, 255).astype(np.uint8), list(map(str, range(1000))))
    assert time.process_time() - start < 20
    assert found.scans == 1000


@pytest.mark.parametrize("how", ["moved aside", "closer field of view"])
def test_another_field_of_view_is_seen_through(heads: Any, copied: Copied, how: str) -> None:
    planted = {row: copied(heads, row, how) for row in (3, 17, 40)}
    assert sorted(rows(with_copies(heads, planted, "-again"))) == [(3, 82), (17, 83), (40, 84)]
