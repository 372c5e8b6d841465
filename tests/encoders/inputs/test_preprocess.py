from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.inputs.preprocess import neighbourhood, prepare
from clearbench.encoders.inputs.views import View, choose_views

MakeCard = Callable[..., EncoderCard]
PLAIN = {"mean": [0.0], "std": [1.0]}
NUMBER = View("n", ((0.0, 255.0),), ("n",))


def image(y: int, x: int, seed: int = 0) -> np.ndarray:
    """Return a smooth 8-bit image with edges, the like of a windowed slice."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (y // 8, x // 8), dtype=np.uint8))
    return np.array(small.resize((x, y), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("resample", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("size", "side"), [(512, 224), (256, 64), (100, 224)])
def test_resizing_is_that_of_image_libraries(
    make_card: MakeCard, resample: str, size: int, side: int
) -> None:
    card = make_card(input={**PLAIN, "size_px": side, "resample": resample})
    pixels = image(size, size)
    ours = prepare(torch.from_numpy(pixels)[None], (), (NUMBER,), card.input)[0, 0, 0]
    how = Image.Resampling[resample.upper()]
    theirs = np.array(Image.fromarray(pixels).resize((side, side), how), np.float32) / 255
    a, b = ours.numpy().ravel(), theirs.ravel()
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= 0.9999
    assert abs(a - b).max() < 3 / 255


def test_hu_are_windowed_and_clamped(make_card: MakeCard) -> None:
    card = make_card(input={**PLAIN, "size_px": 2})
    hu = torch.tensor([[[-3000, -100], [0, 4000]]], dtype=torch.int16)
    [[[found]]] = prepare(hu, (), (View("w", ((-200.0, 200.0),)),), card.input)
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.25], [0.5, 1.0]]))


def test_overshoot_of_the_filter_is_clamped(make_card: MakeCard) -> None:
    card = make_card(input={**PLAIN, "size_px": 50})
    edge = torch.zeros(1, 20, 20)
    edge[:, :, 10:] = 255
    found = prepare(edge, (), (NUMBER,), card.input)
    assert (float(found.min()), float(found.max())) == (0.0, 1.0)


@pytest.mark.parametrize("shape", [(10, 6), (6, 10), (7, 10)])
def test_the_shorter_side_is_padded_with_air(make_card: MakeCard, shape: tuple[int, int]) -> None:
    card = make_card(input={**PLAIN, "size_px": 10})
    found = prepare(torch.full((1, *shape), 255.0), (), (NUMBER,), card.input)[0, 0, 0]
    assert found.shape == (10, 10)
    assert int(found.sum()) == shape[0] * shape[1]
    rows, columns = (found.sum(dim=1) > 0).nonzero(), (found.sum(dim=0) > 0).nonzero()
    assert (len(rows), len(columns)) == shape
    top, left = (10 - shape[0]) // 2, (10 - shape[1]) // 2
    assert (int(rows[0]), int(columns[0])) == (top, left)


def test_padding_of_raw_hu_does_not_depend_on_neighbours(make_card: MakeCard) -> None:
    """A slice of tissue only, alone and next to one of air."""
    card = make_card(input={**PLAIN, "channels": "hu", "default_views": [], "size_px": 8})
    views = choose_views(card)
    tissue, air = torch.full((1, 8, 4), 40.0), torch.full((1, 8, 4), -1000.0)
    alone = prepare(tissue, (), views, card.input)
    together = prepare(torch.cat([tissue, air]), (), views, card.input)[:1]
    torch.testing.assert_close(alone, together)
    assert float(alone[0, 0, 0, 0, 0]) == -1024.0


def test_windowed_images_skip_windowing(make_card: MakeCard) -> None:
    card = make_card(input={**PLAIN, "size_px": 16})
    pixels = np.stack([image(16, 16, 1), image(16, 16, 2)])[None]
    views = choose_views(card, ["bone", "brain"])
    found = prepare(torch.from_numpy(pixels), ("brain", "bone"), views, card.input)
    assert found.shape == (1, 2, 1, 16, 16)
    np.testing.assert_allclose(found[0, 0, 0], pixels[0, 1] / 255, atol=1e-6)
    np.testing.assert_allclose(found[0, 1, 0], pixels[0, 0] / 255, atol=1e-6)


def test_repeated_channels_have_their_own_mean_and_std(make_card: MakeCard) -> None:
    card = make_card(input={"size_px": 4, "mean": [0.1, 0.2, 0.3], "std": [0.5, 1.0, 2.0]})
    found = prepare(torch.full((1, 4, 4), 255.0), (), (NUMBER,), card.input)
    assert found.shape == (1, 1, 3, 4, 4)
    torch.testing.assert_close(found[0, 0, :, 0, 0], torch.tensor([1.8, 0.8, 0.35]))


def test_stacked_windows_become_channels(make_card: MakeCard) -> None:
    windows = ["brain", "lung", "bone"]
    card = make_card(input={"channels": "stack", "default_views": windows, "size_px": 4})
    found = prepare(torch.full((2, 4, 4), 40.0), (), choose_views(card), card.input)
    assert found.shape == (2, 1, 3, 4, 4)
    expected = [(0.5 - 0.5) / 0.5, (1390 / 1500 - 0.5) / 0.5, (540 / 1800 - 0.5) / 0.5]
    torch.testing.assert_close(found[0, 0, :, 0, 0], torch.tensor(expected))


def test_neighbours_become_channels(make_card: MakeCard) -> None:
    card = make_card(input={**PLAIN, "size_px": 1, "mean": [0.0] * 3, "std": [1.0] * 3})
    levels = torch.arange(4.0)[:, None, None] * 51
    taken, around = neighbourhood(range(4), 4, 1)
    assert taken == range(4)
    found = prepare(levels, (), (NUMBER,), card.seen, around)[:, 0, :, 0, 0] * 5
    expected = [
        [0, 0, 1],
        [0, 1, 2],
        [1, 2, 3],
        [2, 3, 3],
    ]  # the scan's ends stand for what is beyond
    torch.testing.assert_close(found, torch.tensor(expected).float())


@given(st.integers(1, 12), st.integers(0, 3), st.integers(0, 11), st.integers(1, 12))
def test_a_part_of_a_scan_has_the_neighbours_that_the_whole_has(
    count: int, context: int, start: int, length: int
) -> None:
    wanted = range(count)[start : start + length]
    taken, around = neighbourhood(wanted, count, context)
    _, whole = neighbourhood(range(count), count, context)
    if whole is None or around is None:
        assert taken == wanted
        return
    assert [[taken[place] for place in row] for row in around] == [whole[row] for row in wanted]


def test_raw_hu_are_clipped_and_standardised(make_card: MakeCard) -> None:
    facts = {"channels": "hu", "clip_hu": [-1000.0, 1000.0], "mean": [-1000.0], "std": [2000.0]}
    card = make_card(input={"size_px": 2, "views": "free", "default_views": [], **facts})
    hu = torch.tensor([[[-3000, -1000], [0, 4000]]], dtype=torch.int16)
    [[[found]]] = prepare(hu, (), choose_views(card), card.seen)
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0], [0.5, 1.0]]))


def test_padding_together_raw_hu_is_the_lower_bound(make_card: MakeCard) -> None:
    facts = {"channels": "hu", "clip_hu": [-500.0, 500.0], "mean": [0.0], "std": [1.0]}
    card = make_card(input={"size_px": 4, "views": "free", "default_views": [], **facts})
    [[[found]]] = prepare(torch.zeros(1, 2, 4), (), choose_views(card), card.seen)
    torch.testing.assert_close(found[0], torch.full((4,), -500.0))


def test_each_slice_has_its_own_z_score(make_card: MakeCard) -> None:
    facts = {"channels": "hu", "z_score": True, "mean": [0.0], "std": [1.0]}
    card = make_card(input={"size_px": 16, "views": "free", "default_views": [], **facts})
    hu = torch.from_numpy(image(16, 16)).float()
    pair = torch.stack([hu, 3 * hu - 1000, torch.full((16, 16), 40.0)])
    found = prepare(pair, (), choose_views(card), card.seen)[:, 0, 0]
    torch.testing.assert_close(found[0], (hu - hu.mean()) / hu.std())
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)
    assert not found[2].any()  # air has no contrast, and no NaN
