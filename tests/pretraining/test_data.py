"""Batches are the same, and in the same order, however many processes read them."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clearbench.datasets.lesions.slice_sets import SliceRow, SliceSet, slice_set
from clearbench.errors import UnreadableScan
from clearbench.pretraining.data import Batch, EpochOrder, Pairs, collate, loader, read_slice
from clearbench.pretraining.views import ViewMaker, find_augmentation

SIZE = 12
MAKER = ViewMaker(SIZE, ((-160.0, 240.0), (-1350.0, 150.0)), find_augmentation("clear"))


@pytest.fixture
def slices(tmp_path: Path) -> SliceSet:
    """Ten slices: six of a stack, four PNGs; every third has a lesion."""
    hu = np.random.default_rng(0).integers(-1000, 1000, (10, 20, 24)).astype(np.int16)
    np.save(tmp_path / "stack.npy", hu[:6])
    for i in range(6, 10):
        plane = (hu[i].astype(np.int32) + 32768).astype(np.uint16)
        Image.fromarray(plane).save(tmp_path / f"{i}.png")
    rows = [
        SliceRow(
            patient=f"p{i // 4}",
            file="stack.npy" if i < 6 else f"{i}.png",
            row=i if i < 6 else -1,
            boxes=((2.0, 3.0, 8.0, 9.0),) if i % 3 == 0 else (),
        )
        for i in range(10)
    ]
    return slice_set("made", tmp_path, rows)


def batches(
    count: int, size: int, *, seed: int = 0, epoch: int = 0, rank: int = 0, world: int = 1
) -> list[list[tuple[int, int]]]:
    """The batches of one process in one epoch."""
    order = EpochOrder(count, size, seed, rank, world)
    order.epoch = epoch
    found = list(order)
    assert len(found) == len(order)
    return found


def indices(found: Iterable[list[tuple[int, int]]]) -> list[int]:
    """The slices of batches, one after another."""
    return [index for batch in found for _, index in batch]


def epoch_of(pairs: Pairs, workers: int, epochs: int = 1) -> list[Batch]:
    """All batches of some epochs, four slices each."""
    order = EpochOrder(len(pairs), 4, seed=3)
    batches_of_an_epoch = loader(pairs, order, workers)
    found = []
    for epoch in range(epochs):
        order.epoch = epoch
        found += list(batches_of_an_epoch)
    return found


def assert_equal(first: list[Batch], second: list[Batch]) -> None:
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.views, other.views)
        assert torch.equal(one.lesion, other.lesion)
        assert torch.equal(one.patient, other.patient)


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize(("count", "size"), [(32, 8), (35, 8), (8, 8), (101, 12)])
def test_the_batches_of_all_processes_are_those_of_one(count: int, size: int, world: int) -> None:
    shares = [batches(count, size, epoch=2, rank=rank, world=world) for rank in range(world)]
    together = [list(chain(*parts)) for parts in zip(*shares, strict=True)]
    assert together == batches(count, size, epoch=2)
    assert {len(part) for share in shares for part in share} == {size // world}


def test_an_epoch_holds_each_slice_at_most_once_and_only_full_batches() -> None:
    found = batches(35, 8, epoch=4)
    assert {epoch for batch in found for epoch, _ in batch} == {4}
    assert [len(batch) for batch in found] == [8] * 4
    assert len(set(indices(found))) == 32
    assert set(indices(found)) <= set(range(35))


def test_no_slice_is_always_left_out() -> None:
    seen = {index for epoch in range(12) for index in indices(batches(11, 4, epoch=epoch))}
    assert seen == set(range(11))


def test_each_epoch_and_each_seed_has_its_own_order() -> None:
    orders = {
        tuple(indices(batches(40, 8, seed=seed, epoch=epoch)))
        for seed in range(2)
        for epoch in range(3)
    }
    assert len(orders) == 6
    assert batches(40, 8, epoch=1) == batches(40, 8, epoch=1)


def test_fewer_slices_than_a_batch_make_no_batch() -> None:
    assert batches(7, 8) == []


def test_a_slice_is_read_from_its_row_of_a_stack_or_from_its_image(slices: SliceSet) -> None:
    hu = np.random.default_rng(0).integers(-1000, 1000, (10, 20, 24)).astype(np.int16)
    for i in (0, 5, 6, 9):
        np.testing.assert_array_equal(read_slice(slices, i), hu[i])


def test_an_image_that_was_damaged_since_is_named(slices: SliceSet) -> None:
    (slices.root / "7.png").write_bytes(b"damaged")
    with pytest.raises(UnreadableScan, match=r"7.png: not a readable image"):
        read_slice(slices, 7)


def test_views_are_drawn_by_seed_epoch_and_slice_alone(slices: SliceSet) -> None:
    pairs, again = Pairs(slices, MAKER, 5), Pairs(slices, MAKER, 5)
    forward = [pairs[1, i][0] for i in range(10)]
    backward = [again[1, i][0] for i in reversed(range(10))]
    np.testing.assert_array_equal(forward, backward[::-1])
    assert not np.array_equal(pairs[2, 0][0], forward[0])
    assert not np.array_equal(Pairs(slices, MAKER, 6)[1, 0][0], forward[0])


def test_a_pair_says_whether_there_is_a_lesion_and_whose_it_is(slices: SliceSet) -> None:
    pairs = Pairs(slices, MAKER, 0)
    assert len(pairs) == 10
    assert [pairs[0, i][1] for i in range(10)] == [i % 3 == 0 for i in range(10)]
    assert [slices.patients[pairs[0, i][2]] for i in (0, 4, 9)] == ["p0", "p1", "p2"]


def test_a_batch_keeps_the_order_of_its_slices(slices: SliceSet) -> None:
    pairs = Pairs(slices, MAKER, 0)
    items = [pairs[0, i] for i in (9, 1, 3)]
    batch = collate(items)
    assert batch.views.shape == (2, 3, SIZE, SIZE)
    assert batch.views.dtype == torch.float32
    assert batch.lesion.tolist() == [True, False, True]
    assert batch.patient.tolist() == [2, 0, 0]
    for place, (views, *_) in enumerate(items):
        np.testing.assert_array_equal(batch.views[:, place].numpy(), views)


def test_the_loader_gives_the_order_s_batches_and_leaves_torch_s_chance_alone(
    slices: SliceSet,
) -> None:
    pairs = Pairs(slices, MAKER, 1)
    order = EpochOrder(10, 4, seed=3)
    expected = [collate([pairs[item] for item in items]) for items in order]
    before = torch.get_rng_state()
    assert_equal(epoch_of(pairs, workers=0), expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_reader_process_gives_the_same_batches_in_every_epoch(slices: SliceSet) -> None:
    pairs = Pairs(slices, MAKER, 1)
    here, apart = epoch_of(pairs, 0, epochs=2), epoch_of(pairs, 1, epochs=2)
    assert len(here) == 4
    assert_equal(apart, here)
    assert not torch.equal(here[0].views, here[2].views)


def test_a_damaged_slice_is_named_and_the_next_one_taken(slices: SliceSet) -> None:
    (slices.root / "7.png").write_bytes(b"damaged")
    pairs = Pairs(slices, MAKER, 0)
    batch = collate([pairs[0, 7], pairs[0, 2]])
    assert len(batch.damaged) == 1
    assert "7.png" in batch.damaged[0]
    assert batch.patient.tolist() == [2, 0]


def test_nothing_but_damaged_slices_ends_it(slices: SliceSet) -> None:
    for path in slices.root.iterdir():
        path.unlink()
    with pytest.raises(UnreadableScan, match="20 slices in a row can't be read"):
        Pairs(slices, MAKER, 0)[0, 7]
