"""Two views of a slice: where they lie, what they show, and what may disturb them."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from clearbench.datasets.lesions.slice_sets import why_no_box
from clearbench.errors import UnknownName
from clearbench.pretraining.views import (
    AUGMENTATIONS,
    LEAST_AREA,
    Augmentation,
    ViewMaker,
    find_augmentation,
    jittered_window,
    lesion_crop,
    random_crop,
    resized,
)

WINDOW = (-160.0, 240.0)
SIZE = 16
LEAST_SIDE = math.sqrt(LEAST_AREA)
NO_BOXES = np.zeros((0, 4), np.float32)
CLEAR, CT = AUGMENTATIONS["clear"], AUGMENTATIONS["ct"]
PLAIN = replace(CT, jitter=0.0, blur=(0.0, 0.0))

Plane = NDArray[np.int16]
Views = NDArray[np.float32]

seeds = st.integers(0, 2**32 - 1)
lengths = st.integers(1, 600)
thorough = settings(max_examples=200, deadline=None)
quickly = settings(max_examples=60, deadline=None)


@st.composite
def boxed(draw: st.DrawFn) -> tuple[int, int, NDArray[np.float32]]:
    """Height and width of a slice, and a box that meets it; it may stick out."""
    height, width = draw(lengths), draw(lengths)
    x, y = (st.floats(-side / 2, side * 1.5, width=32) for side in (width, height))
    box = (draw(x), draw(y), draw(x), draw(y))
    ordered = (min(box[::2]), min(box[1::2]), max(box[::2]), max(box[1::2]))
    if why_no_box(ordered, width, height):
        ordered = (0.0, 0.0, 0.5, 0.5) if draw(st.booleans()) else (width - 0.5, 0.0, width, 1.0)
    return height, width, np.array(ordered, np.float32)


def maker(augmentation: Augmentation, *windows: tuple[float, float], size: int = SIZE) -> ViewMaker:
    return ViewMaker(size, windows or (WINDOW,), augmentation)


def many(slices: ViewMaker, hu: Plane, boxes: Any = NO_BOXES, count: int = 200) -> Views:
    """Views drawn under many seeds [count, 2, size, size]."""
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return np.stack([slices.views(hu, boxes, np.random.default_rng(i)) for i in range(count)])


def ramp(height: int = 40, width: int = 40) -> Plane:
    """A slice that brightens from left to right, through the whole window."""
    return np.tile(np.linspace(*WINDOW, width), (height, 1)).astype(np.int16)


def brightening(views: Views) -> NDArray[np.float32]:
    """How much brighter the right third is than the left."""
    third = views.shape[-1] // 3
    gain: NDArray[np.float32] = views[..., -third:].mean((-2, -1)) - views[..., :third].mean(
        (-2, -1)
    )
    return gain


@thorough
@given(lengths, lengths, seeds)
def test_a_random_crop_lies_in_the_slice(height: int, width: int, seed: int) -> None:
    top, left, tall, wide = random_crop(height, width, np.random.default_rng(seed))
    assert 0 <= top < top + tall <= height
    assert 0 <= left < left + wide <= width


def test_random_crops_have_the_promised_areas_and_ratios() -> None:
    rng = np.random.default_rng(0)
    crops = np.array([random_crop(512, 512, rng) for _ in range(500)])
    areas = crops[:, 2] * crops[:, 3] / 512**2
    ratios = crops[:, 3] / crops[:, 2]
    assert 0.079 < areas.min() < 0.1
    assert 0.9 < areas.max() <= 1
    assert 0.74 < ratios.min() < 0.8
    assert 1.25 < ratios.max() < 1.35
    assert np.ptp(crops[:, 0]) > 300
    assert np.ptp(crops[:, 1]) > 300


@thorough
@given(boxed(), seeds, st.booleans())
def test_a_lesion_crop_lies_in_the_slice_and_holds_the_lesion(
    case: tuple[int, int, NDArray[np.float32]], seed: int, square: bool
) -> None:
    height, width, box = case
    rng = np.random.default_rng(seed)
    top, left, tall, wide = lesion_crop(box, height, width, rng, square=square)
    assert 0 <= top < top + tall <= height
    assert 0 <= left < left + wide <= width
    x1, y1, x2, y2 = (float(value) for value in box)
    assert left <= max(x1, 0) <= min(x2, width) <= left + wide
    assert top <= max(y1, 0) <= min(y2, height) <= top + tall


@thorough
@given(boxed(), seeds)
def test_a_lesion_crop_is_not_too_small(
    case: tuple[int, int, NDArray[np.float32]], seed: int
) -> None:
    """Its sides may fall short of √0.08 of the slice's only where the slice's edge cuts them."""
    height, width, box = case
    top, left, tall, wide = lesion_crop(box, height, width, np.random.default_rng(seed))
    for start, side, whole in ((top, tall, height), (left, wide, width)):
        inside = start > 0 and start + side < whole
        assert side >= LEAST_SIDE * whole * (1 if inside else 0.5)


@pytest.mark.parametrize("box", [(295, 95, 305, 105), (250, 99, 350, 101), (299, 60, 301, 140)])
def test_a_square_crop_is_square_unless_the_slice_ends(box: tuple[float, ...]) -> None:
    """Also around a longish lesion, in a slice that is wider than high."""
    lesion, rng = np.array(box, np.float32), np.random.default_rng(0)
    crops = np.array([lesion_crop(lesion, 200, 600, rng, square=True) for _ in range(100)])
    inside = crops[(crops[:, 0] > 0) & (crops[:, 2] < 200)]
    assert len(inside) > 50
    assert np.abs(inside[:, 2] - inside[:, 3]).max() <= 1


@pytest.mark.parametrize("square", [True, False])
def test_lesion_crops_of_all_sizes_are_centred_on_the_lesion(square: bool) -> None:
    """Not on one of its corners, as in the code that was published."""
    rng = np.random.default_rng(0)
    box = np.array([236, 246, 276, 266], np.float32)
    crops = np.array([lesion_crop(box, 512, 512, rng, square=square) for _ in range(400)])
    centres = crops[:, :2] + crops[:, 2:] / 2
    assert np.abs(centres - 256).max() <= 1
    assert 144 <= crops[:, 2:].min() < 160
    assert 495 < crops[:, 2:].max() <= 512
    assert (np.abs(crops[:, 2] - crops[:, 3]) > 20).any() != square


def test_a_lesion_larger_than_any_crop_is_shown_whole() -> None:
    box = np.array([5, 5, 507, 100], np.float32)
    for seed in range(50):
        _, left, tall, wide = lesion_crop(box, 512, 512, np.random.default_rng(seed))
        assert left <= 5
        assert left + wide >= 507
        assert tall >= 95


def quick_slices() -> st.SearchStrategy[Plane]:
    """Slices of any HU: odd, flat, narrow, tiny."""
    shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))
    return arrays(np.int16, shapes, elements=st.integers(-32768, 32767), fill=st.just(40))


@quickly
@given(quick_slices(), st.sampled_from(sorted(AUGMENTATIONS)), seeds, st.integers(1, 40), st.data())
def test_views_are_numbers_from_0_to_1(
    hu: Plane, name: str, seed: int, size: int, data: st.DataObject
) -> None:
    height, width = hu.shape
    corners = [(0, 0, 1, 1), (width - 1, height - 1, width, height), (-9, -9, 1, 1), (0, 0, 99, 99)]
    chosen = data.draw(st.lists(st.sampled_from(corners), max_size=3))
    boxes = np.array(chosen, np.float32).reshape(-1, 4)
    before = hu.copy()
    views = maker(AUGMENTATIONS[name], size=size).views(hu, boxes, np.random.default_rng(seed))
    assert views.shape == (2, size, size)
    assert views.dtype == np.float32
    assert np.isfinite(views).all()
    assert 0 <= views.min() <= views.max() <= 1
    np.testing.assert_array_equal(hu, before)


@pytest.mark.parametrize("shape", [(5, 7), (7, 5), (1, 9), (2, 2), (33, 500)])
@pytest.mark.parametrize("corner", [(0, 0, 1, 1), (-1, -1, 0.5, 0.5), (0, 0, 999, 999)])
def test_odd_and_tiny_slices_have_views(shape: tuple[int, int], corner: Any) -> None:
    hu = np.arange(math.prod(shape), dtype=np.int16).reshape(shape)
    for boxes in ((), corner, (*corner, shape[1] - 1, shape[0] - 1, shape[1], shape[0])):
        for augmentation in AUGMENTATIONS.values():
            views = many(maker(augmentation), hu, boxes, 5)
            assert np.isfinite(views).all()
            assert views.shape == (5, 2, SIZE, SIZE)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_views_depend_on_their_own_seed_alone(name: str) -> None:
    views = maker(AUGMENTATIONS[name])
    first, second = ramp(), ramp(30, 50)[:, ::-1]
    alone = [views.views(hu, NO_BOXES, np.random.default_rng(9)) for hu in (first, second)]
    turned = [views.views(hu, NO_BOXES, np.random.default_rng(9)) for hu in (second, first)]
    np.testing.assert_array_equal(alone[0], turned[1])
    np.testing.assert_array_equal(alone[1], turned[0])
    assert not np.array_equal(alone[0], views.views(first, NO_BOXES, np.random.default_rng(8)))


def test_both_views_of_a_slice_differ() -> None:
    views = many(maker(CT), ramp(), count=20)
    assert (np.abs(views[:, 0] - views[:, 1]).max((1, 2)) > 0.01).all()


def test_ct_never_flips() -> None:
    """Left and right mean something in a body."""
    gain = brightening(many(maker(CT), ramp()))
    assert gain.min() > -0.01
    assert (gain > 0.05).mean() > 0.9


def test_clear_flips_about_half_of_the_time_and_never_upside_down() -> None:
    whole = (0, 0, 40, 40)
    across = brightening(many(maker(CLEAR), ramp(), whole)[:, 0])
    assert 0.4 < (across < 0).mean() < 0.6
    down = many(maker(CLEAR), np.ascontiguousarray(ramp().T), whole)[:, 0].swapaxes(1, 2)
    assert brightening(down).min() > 0


def test_only_the_second_view_of_clear_is_solarised() -> None:
    bright = np.full((20, 20), 3000, np.int16)
    dark = many(maker(CLEAR), bright, count=300).mean((2, 3)) < 0.5
    assert not dark[:, 0].any()
    assert 0.13 < dark[:, 1].mean() < 0.27
    np.testing.assert_allclose(many(maker(CT), bright, count=100), 1.0, atol=1e-6)


@pytest.mark.parametrize(("augmentation", "first"), [(CLEAR, (0.85, 1.0)), (CT, (0.3, 0.65))])
def test_the_first_view_is_blurred_more_often_than_the_second(
    augmentation: Augmentation, first: tuple[float, float]
) -> None:
    only_blur = replace(augmentation, flip=0.0, jitter=0.0, solarise=(0.0, 0.0))
    hu = np.random.default_rng(0).integers(-160, 240, (96, 96)).astype(np.int16)
    views = many(maker(replace(only_blur, blur_px=(1.0, 2.0)), size=96), hu, (0, 0, 500, 500), 60)
    sharp = resized((hu.astype(np.float32) + 160) / 400, 96)
    blurred = np.abs(views - sharp).max((2, 3)) > 0.01
    assert first[0] <= blurred[:, 0].mean() <= first[1]
    assert blurred[:, 1].mean() < 0.25


def test_ct_jitters_the_window_and_stays_near_it() -> None:
    rng = np.random.default_rng(0)
    low, high = np.array([jittered_window(WINDOW, CT, rng) for _ in range(1000)]).T
    width, centre = high - low, (low + high) / 2
    assert 0.8 * 400 <= width.min() < 0.85 * 400
    assert 1.15 * 400 < width.max() <= 1.2 * 400
    assert 35 < np.abs(centre - 40).max() <= 40
    assert np.abs(centre.mean() - 40) < 3
    assert 0.15 < (width == 400).mean() < 0.25


def test_clear_leaves_the_window_as_it_is() -> None:
    rng = np.random.default_rng(0)
    assert {jittered_window(WINDOW, CLEAR, rng) for _ in range(100)} == {WINDOW}


def test_clear_jitters_brightness_four_times_in_five() -> None:
    grey = np.full((20, 20), 40, np.int16)
    first = many(maker(CLEAR), grey, count=300)[:, 0].mean((1, 2))
    assert 0.3 - 1e-6 <= first.min() < 0.33
    assert 0.67 < first.max() <= 0.7 + 1e-6
    assert 0.1 < (np.abs(first - 0.5) < 1e-6).mean() < 0.3


@pytest.mark.parametrize("shape", [(40, 40), (30, 70)])
def test_the_second_view_of_a_lesion_slice_is_the_whole_slice(shape: tuple[int, int]) -> None:
    hu = np.random.default_rng(0).integers(-300, 400, shape).astype(np.int16)
    views = many(maker(PLAIN), hu, (3, 4, 9, 8), 20)
    whole = resized(np.clip((hu.astype(np.float32) + 160) / 400, 0, 1), SIZE)
    np.testing.assert_allclose(views[:, 1], np.broadcast_to(whole, (20, SIZE, SIZE)), atol=1e-6)
    assert (np.abs(views[:, 0] - whole).max((1, 2)) > 0.01).all()


def test_the_first_view_of_a_lesion_slice_shows_the_lesion() -> None:
    hu = np.full((64, 64), -1000, np.int16)
    hu[50:58, 4:14] = 300
    views = many(maker(PLAIN), hu, (4, 50, 14, 58), 100)
    assert (views[:, 0].max((1, 2)) > 0.9).all()
    assert (views[:, 0].mean((1, 2)) >= views[:, 1].mean((1, 2))).all()


def test_each_lesion_of_a_slice_has_its_turn() -> None:
    views = many(maker(PLAIN), ramp(), ((0, 18, 2, 22), (38, 18, 40, 22)))[:, 0].mean((1, 2))
    assert 0.4 < (views < 0.3).mean() < 0.6
    assert 0.4 < (views > 0.7).mean() < 0.6


def test_both_views_lie_under_one_of_the_windows() -> None:
    hu = np.full((20, 20), 100, np.int16)
    views = many(maker(PLAIN, (0.0, 400.0), (0.0, 200.0)), hu).mean((2, 3))
    np.testing.assert_allclose(views[:, 0], views[:, 1], atol=1e-6)
    assert 0.4 < (views[:, 0] < 0.3).mean() < 0.6
    assert set(np.round(views[:, 0], 3).tolist()) == {0.25, 0.5}


def test_shrinking_averages_what_is_between_pixels() -> None:
    """Without antialiasing, a fine pattern would turn into stripes."""
    fine = np.tile(np.array([0.0, 1.0], np.float32), (80, 40))
    assert np.ptp(resized(fine, SIZE)[:, 1:-1]) < 0.1


def test_an_unknown_augmentation_offers_the_known_ones() -> None:
    assert find_augmentation("ct") is CT
    with pytest.raises(UnknownName, match=r'called "claer"; did you mean clear\? \(clear or ct\)'):
        find_augmentation("claer")
