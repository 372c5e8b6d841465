"""Values that can't be HU are refused, unusual ones are noted, and real ones pass."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from clearbench.errors import UnreadableScan
from clearbench.scans.hu import HuRules, check_values, checked_hu, clean_hu

RNG = np.random.default_rng(0)


def body(air: float = -1000.0) -> NDArray[np.int32]:
    """A synthetic body [z, y, x] in HU: air around it, fat, soft tissue, lung and bone."""
    y, x = np.mgrid[:64, :64] / 31.5 - 1
    plane = np.full((64, 64), air)
    plane[(x / 0.8) ** 2 + (y / 0.6) ** 2 < 1] = -100
    plane[(x / 0.7) ** 2 + (y / 0.5) ** 2 < 1] = 40
    plane[((x + 0.35) / 0.2) ** 2 + (y / 0.3) ** 2 < 1] = -870
    plane[(x / 0.1) ** 2 + ((y - 0.35) / 0.1) ** 2 < 1] = 700
    noise = RNG.normal(0, 10, (8, 64, 64))
    return np.rint(np.maximum(plane + noise, -1020)).astype(np.int32)


def texts(values: NDArray[np.generic], rules: HuRules | None = None) -> str:
    """The notes on a volume, as one text."""
    _, notes = checked_hu(values, rules or HuRules())
    assert {note.kind for note in notes} <= {"values"}
    return "; ".join(note.text for note in notes)


def ring(values: NDArray[np.int32], padding: int) -> NDArray[np.int32]:
    """The same volume with padding around it, as outside of a reconstruction circle."""
    out = values.copy()
    out[:, :8], out[:, -8:], out[:, :, :8], out[:, :, -8:] = (padding,) * 4
    return out


CONTROLS = {
    "a body": body(),
    "padding of -3024": ring(body(), -3024),
    "padding of -2000": ring(body(), -2000),
    "vessels full of contrast": np.where(body() > 600, 900, body()),
    "metal in a hip": np.where((body() > 600) & (RNG.random((8, 64, 64)) < 0.5), 3071, body()),
    "low dose": body() + np.rint(RNG.normal(0, 60, (8, 64, 64))).astype(np.int32),
    "cone beam": body() + 120,
}


@pytest.mark.parametrize("name", CONTROLS)
def test_a_ct_has_no_note(name: str) -> None:
    assert texts(CONTROLS[name]) == ""


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (body()[:, 20:44, 30:44], "hardly any air"),
        (np.where(body() > -500, body(), 0), "hardly any air"),
        (np.rint(RNG.normal(-870, 30, (8, 20, 20))).astype(np.int32), "hardly any soft tissue"),
    ],
    ids=["a crop of the body", "a stripped background", "a crop of the lung"],
)
def test_a_part_of_a_ct_is_noted_and_read(values: NDArray[np.int32], words: str) -> None:
    assert words in texts(values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (body() + 1024, r"the offset of -1024 \(or -1000\) is missing"),
        (body() + 1000, r"the offset of -1024 \(or -1000\) is missing"),
        (ring(body() + 1024, -2000), r"the offset of -1024 \(or -1000\) is missing"),
        ((np.clip(body(), -160, 240) + 160) / 400, "0 to 1: normalised, not HU"),
        (np.zeros((4, 20, 20), np.int16), "every voxel is 0"),
        (np.full((4, 20, 20), -1000.0), "every voxel is -1000"),
        (body() - 32768, "no value is above -1500 HU"),
    ],
    ids=["+1024", "+1000", "+1024 padded", "0 to 1", "zeros", "air", "too low"],
)
def test_what_can_t_be_hu_is_refused_with_the_way_out(
    values: NDArray[np.generic], words: str
) -> None:
    with pytest.raises(UnreadableScan, match=words) as refused:
        checked_hu(values)
    assert "hu_offset" in str(refused.value)
    assert "accept_hu" in str(refused.value)
    accepted = texts(values, HuRules(accept_hu=True))
    assert "taken all the same (accept_hu)" in accepted


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (body().astype(np.int16).view(np.uint16), "at 3000 HU or more"),
        (body().astype(np.int32) % 4096, "at 3000 HU or more"),
        (((np.clip(body(), -160, 240) + 160) / 400 * 255).astype(np.uint8), "a window in 8 bits"),
        (np.where(body() < -500, -1200, body()), "below -1150 HU, and become -1024"),
        (body() * 60, "are cut off at 32767 HU"),
    ],
    ids=["wrapped in 16 bits", "wrapped in 12 bits", "8 bits", "low", "high"],
)
def test_what_is_hardly_hu_is_noted(values: NDArray[np.generic], words: str) -> None:
    assert words in texts(values)


def test_an_offset_mends_values_without_one() -> None:
    true = body()
    hu, notes = checked_hu(true + 1024, HuRules(hu_offset=-1024.0))
    np.testing.assert_array_equal(hu, true)
    assert [note.text for note in notes] == ["-1024 HU added (hu_offset)"]
    wrapped, _ = checked_hu((true + 1024).astype(np.uint16), HuRules(hu_offset=-1024.0))
    np.testing.assert_array_equal(wrapped, true)


def test_rules_have_signatures_of_their_own() -> None:
    rules = [HuRules(), HuRules(-1024.0), HuRules(-1000.0), HuRules(accept_hu=True)]
    assert len({rule.signature for rule in rules}) == len(rules)
    assert HuRules().signature == ""


@given(st.integers(-1024, 3071))
def test_one_value_is_never_a_scan(value: int) -> None:
    with pytest.raises(UnreadableScan):
        check_values(np.full(1000, value))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_numbers_are_refused(bad: float) -> None:
    with pytest.raises(UnreadableScan, match="1 of 4 pixels are NaN or infinite"):
        clean_hu(np.array([0, 1, 2, bad]))


@given(arrays(np.float64, (5,), elements=st.floats(-5000, 32767)))
def test_tidy_hu_are_the_same_hu_from_air_up(values: NDArray[np.float64]) -> None:
    tidy = clean_hu(values)
    np.testing.assert_allclose(tidy, np.maximum(values, -1024), rtol=1e-6, atol=1e-3)
    assert tidy.dtype in (np.int16, np.float32)


def test_whole_hu_are_kept_in_two_bytes() -> None:
    assert clean_hu(np.array([-3024.0, 40.0])).tolist() == [-1024, 40]
    assert clean_hu(np.array([-3024.0, 40.0])).dtype == np.int16
    assert clean_hu(np.array([40.5])).dtype == np.float32
    assert clean_hu(np.array([65535, -70000], np.int32)).tolist() == [32767, -1024]
