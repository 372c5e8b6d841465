"""Tests of what a result says about its question: labels, scans and pixels."""

from dataclasses import replace

import numpy as np
import pytest

from clearbench.evaluation.task.checks import labels_check, pixels_check, scans_check, units_check
from clearbench.evaluation.task.units import Units

N = 40


@pytest.fixture
def units() -> Units:
    """Forty patients with two scans each."""
    ids = tuple(f"p{i}" for i in range(N))
    return Units(
        ids=ids,
        patients=ids,
        scans=tuple((f"{name}-a", f"{name}-b") for name in ids),
        targets=(np.arange(N) % 2)[:, None] * 1.0,
        cohorts=("c",) * N,
        sides=("",) * N,
    )


def test_the_check_of_labels_changes_with_any_label_and_reveals_none(units: Units) -> None:
    """Four digits: among the labels that forty patients may have, far too many share them."""
    checks = {labels_check(units)}
    for row in range(N):
        targets = units.targets.copy()
        targets[row] = 1 - targets[row]
        checks.add(labels_check(replace(units, targets=targets)))
    assert len(checks) == N + 1
    assert {len(check) for check in checks} == {4}
    assert labels_check(turned(units)) == labels_check(units)


def test_the_check_of_scans_changes_with_any_scan_and_any_key_slice(units: Units) -> None:
    scans = list(units.scans)
    fewer = replace(units, scans=(scans[0][:1], *scans[1:]))
    other = replace(units, scans=(("p0-a", "p0-c"), *scans[1:]))
    keyed = replace(units, key_slices=(((1, 2), (3,)),) * N)
    moved = replace(units, key_slices=(((1, 2), (4,)),) * N)
    assert len({scans_check(each) for each in (units, fewer, other, keyed, moved)}) == 5
    swapped = replace(keyed, scans=(scans[0][::-1], *scans[1:]), key_slices=(
        ((3,), (1, 2)), *keyed.key_slices[1:]
    ))  # fmt: skip
    assert scans_check(swapped) == scans_check(keyed)
    assert scans_check(turned(units)) == scans_check(units)


def test_the_check_of_pixels_is_that_of_each_unit(units: Units) -> None:
    pixels = [(f"{n}", f"{n}x") for n in range(N)]
    found = pixels_check(units.ids, pixels)
    assert pixels_check(units.ids[::-1], pixels[::-1]) == found
    assert pixels_check(units.ids, [("changed", "0x"), *pixels[1:]]) != found
    assert pixels_check(units.ids, [pixels[1], pixels[0], *pixels[2:]]) != found
    assert units_check(units.ids) == units_check(units.ids[::-1]) != units_check(units.ids[1:])


def turned(units: Units) -> Units:
    return units.take(list(reversed(range(N))))
