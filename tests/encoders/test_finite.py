"""What is wrong with features, and the way out, is said for the precision in use."""

from typing import Any

import numpy as np
import pytest
import torch

from clearbench.encoders.device import Precision
from clearbench.encoders.finite import (
    Embedded,
    as_stored,
    uniform_images,
    why_not_finite,
    why_not_stored,
)

ALL = np.ones((4, 2), bool)


def features(bad: Any = (), value: float = np.nan) -> Any:
    """Return features [4, 2, 3]; those of the bad slices have a value that is not finite."""
    made = np.ones((4, 2, 3), np.float32)
    made[list(bad), 1, 0] = value
    return made


def reason(bad: Any, uniform: Any = (), precision: Precision = "float32") -> str:
    rows = np.zeros((4, 2), bool)
    rows[list(uniform)] = True
    return why_not_finite(Embedded(features(bad), ALL, rows, [10, 11, 12, 13], precision))


def test_finite_features_have_no_reason() -> None:
    assert reason(()) == ""
    assert reason((), uniform=(1,)) == ""


@pytest.mark.parametrize(
    ("precision", "way_out"),
    [
        ("float16", "computed in float16, float16 ends at 65,504: use precision bfloat16"),
        ("bfloat16", "computed in bfloat16, try precision float32 (--precision float32)"),
        ("float32", "computed in float32, so it isn't the precision: look at these slices"),
    ],
)
def test_the_way_out_fits_the_precision(precision: Precision, way_out: str) -> None:
    said = reason((1, 3), precision=precision)
    assert said.startswith("2 of 8 features are NaN or infinite; slices 11, 13: ")
    assert way_out in said
    assert "uniform" not in said


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "float32"])
def test_a_uniform_slice_is_named_and_no_precision_is_blamed(precision: Precision) -> None:
    said = reason((2,), uniform=(2, 3), precision=precision)
    assert "1 of 8 features are NaN or infinite; slice 12 is uniform: one value" in said
    assert "computed in" not in said


def test_uniform_slices_and_others_are_told_apart() -> None:
    said = reason((0, 1), uniform=(0,), precision="float16")
    assert "; slice 10 is uniform: " in said
    assert "; slice 11: computed in float16, " in said


def test_where_no_slice_is_right_half_a_precision_may_be_to_blame_for_uniform_ones() -> None:
    whole = np.full((4, 2, 3), np.inf, np.float32)
    for precision, blamed in (("float16", True), ("float32", False)):
        said = why_not_finite(Embedded(whole, ALL, ALL, range(4), precision))
        assert said.startswith("all features are NaN or infinite; slices 0, 1, 2, 3 are uniform")
        assert ("computed in" in said) == blamed


def test_absent_views_are_not_counted() -> None:
    present = ALL.copy()
    present[1, 1] = False
    nothing = np.zeros((4, 2), bool)
    absent = Embedded(features((1,)), present, nothing, range(4), "float32")
    assert why_not_finite(absent) == ""


def test_a_whole_scan_has_no_slices() -> None:
    bad = np.full((1, 1, 2), np.nan, np.float32)
    one = np.ones((1, 1), bool)
    assert "; the scan is uniform: " in why_not_finite(Embedded(bad, one, one, [-1], "float32"))


@pytest.mark.parametrize(
    ("value", "dtype", "said"),
    [
        (70_000.0, "float16", "1 of 8 features are too large for float16; store float32"),
        (65_504.0, "float16", ""),
        (65_519.0, "float16", ""),  # rounds to the largest
        (70_000.0, "float32", ""),
        (1e-9, "float16", "1 of 8 features are too small for float16; store float32"),
        (1e-9, "float32", ""),
    ],
)
def test_what_the_store_would_lose_is_seen_after_the_cast(
    value: float, dtype: str, said: str
) -> None:
    made = np.ones((4, 2, 3), np.float32)
    made[3, 0] = value
    assert why_not_stored(made, as_stored(made, dtype), ALL).startswith(said)
    assert bool(why_not_stored(made, as_stored(made, dtype), ALL)) == bool(said)


def test_images_without_structure_are_uniform_in_each_channel() -> None:
    images = torch.rand(4, 2, 5, 5)
    images[1] = 0.5
    images[2, 0], images[2, 1] = 0.1, 0.9
    images[3, 0] = 0.3
    assert uniform_images(images).tolist() == [False, True, True, False]
