from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearbench.errors import BadTask
from clearbench.evaluation.bags.bagset import BagSet

Make = Callable[..., Any]


def some_bags(lengths: list[int], dim: int = 5, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(n, dim)) * 3 + 100).astype(np.float32) for n in lengths]


def as_they_came(bags: BagSet, place: int) -> torch.Tensor:
    """Return one bag's instances through a batch, with the centring undone."""
    batch = bags.batch([place])
    shift, spread = bags.affine(bags.unmoved())
    return ((batch.features[0].float() - shift) / spread)[batch.mask[0]]


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    keep=st.booleans(),
    seed=st.integers(0, 999),
)
def test_a_batch_holds_each_bag_whole_and_nothing_else(
    lengths: list[int], keep: bool, seed: int
) -> None:
    raw = some_bags(lengths, seed=seed)
    bags = BagSet.of(raw, keep_bytes=10**9 if keep else 0)
    order = np.random.default_rng(seed).permutation(len(raw))
    batch = bags.take(order).batch(range(len(raw)))
    assert batch.mask.sum(dim=1).tolist() == [lengths[i] for i in order]
    for place, bag in enumerate(order):
        found = as_they_came(bags.take(order), place)
        np.testing.assert_allclose(found.numpy(), raw[bag], rtol=1e-4)


@pytest.mark.parametrize("keep_bytes", [10**9, 0])
def test_moments_are_those_of_the_bags_taken(keep_bytes: int) -> None:
    raw = some_bags([3, 9, 4])
    some = BagSet.of(raw, keep_bytes=keep_bytes).take([2, 0])
    chosen = np.concatenate([raw[2], raw[0]])
    np.testing.assert_allclose(some.moments().mean, chosen.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(some.moments().spread, chosen.std(axis=0), rtol=1e-3)
    np.testing.assert_allclose(some.means, [raw[2].mean(axis=0), raw[0].mean(axis=0)], rtol=1e-6)
    shift, spread = some.affine(some.moments())
    batch = some.batch([0, 1])
    standard = ((batch.features - shift) / spread)[batch.mask]
    assert standard.mean(dim=0).abs().max() < 1e-3
    torch.testing.assert_close(standard.std(dim=0, correction=0), torch.ones(5), atol=1e-3, rtol=0)


def test_bfloat16_rounds_what_varies_and_not_the_common_part() -> None:
    """Values of 100 ± 3 would lose a third of a unit in bfloat16 if they were not centred."""
    raw = some_bags([200])
    bags = BagSet.of(raw, dtype=torch.bfloat16)
    assert bags.batch([0]).features.dtype == torch.bfloat16
    assert np.abs(as_they_came(bags, 0).numpy() - raw[0]).max() < 0.05
    assert (torch.tensor(raw[0]).bfloat16().float() - torch.tensor(raw[0])).abs().max() > 0.2


def test_sets_that_are_joined_keep_what_they_hold() -> None:
    raw = some_bags([2, 3, 4, 5])
    whole = BagSet.of(raw)
    assert whole.take([1]).joined(whole.take([3])).rows.tolist() == [1, 3]
    apart = BagSet.of(raw[:2]).joined(BagSet.of([part + 50 for part in raw[2:]]))
    assert apart.lengths.tolist() == [2, 3, 4, 5]
    np.testing.assert_allclose(as_they_came(apart, 3).numpy(), raw[3] + 50, rtol=1e-4)


def test_a_draw_takes_some_instances_in_order() -> None:
    bags = BagSet.of([np.arange(10, dtype=np.float32)[:, None], np.ones((2, 1), np.float32)])
    batch = bags.batch([0, 1], 4, np.random.default_rng(0))
    assert batch.mask.sum(dim=1).tolist() == [4, 2]
    chosen = batch.features[0, :, 0].tolist()
    assert len(set(chosen)) == 4
    assert chosen == sorted(chosen)
    again = bags.batch([0, 1], 4, np.random.default_rng(0))
    assert torch.equal(batch.features, again.features)


def test_bags_that_make_no_set_are_refused() -> None:
    good = np.ones((2, 3), np.float32)
    with pytest.raises(BadTask, match="no bags"):
        BagSet.of([])
    with pytest.raises(BadTask, match=r"bag 2 of 2 has the shape \(0, 3\)"):
        BagSet.of([good, good[:0]])
    with pytest.raises(
        BadTask, match=r"bag 2 of 2 has the shape \(2, 4\); a bag is \[instances, 3\]"
    ):
        BagSet.of([good, np.ones((2, 4), np.float32)])
    with pytest.raises(BadTask, match="bag 2 of 2 has a value that is not a number"):
        BagSet.of([good, np.full((2, 3), np.nan, np.float32)])


@pytest.mark.parametrize("keep_bytes", [10**9, 0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_parts_of_a_bag_are_bags_kept_alike(keep_bytes: int, dtype: torch.dtype) -> None:
    raw = some_bags([3, 6, 4])
    bags = BagSet.of(raw, keep_bytes=keep_bytes, dtype=dtype).take([2, 1])
    there = np.array([[1, 0, 0, 1, 0, 1], [1, 1, 1, 1, 1, 1], [0, 0, 1, 0, 0, 0]], bool)
    parts = bags.parts(1, there)
    assert parts.lengths.tolist() == [3, 6, 1]
    tolerance = 1e-5 if dtype == torch.float32 else 2e-3
    for place, chosen in enumerate(there):
        np.testing.assert_allclose(as_they_came(parts, place), raw[1][chosen], rtol=tolerance * 10)
        np.testing.assert_allclose(parts.means[place], raw[1][chosen].mean(axis=0), rtol=tolerance)
    whole = parts.batch([1]).features[0]
    assert torch.equal(whole, bags.batch([1]).features[0])
    spread = raw[1][there[0]].std(axis=0)
    np.testing.assert_allclose(parts.take([0]).moments().spread, spread, rtol=0.05)


def test_a_part_without_instances_is_refused() -> None:
    with pytest.raises(BadTask, match="a part of a bag needs at least one instance"):
        BagSet.of(some_bags([2])).parts(0, np.array([[True, False], [False, False]]))


def test_bags_alone_are_kept_as_they_were_among_others() -> None:
    """A head that was trained on a set meets the same numbers when some of it comes back alone."""
    rng = np.random.default_rng(3)
    bags = [rng.normal(5, 2, (n, 4)).astype(np.float32) for n in (3, 5, 2)]
    for dtype in (torch.float32, torch.bfloat16):
        whole = BagSet.of(bags, dtype=dtype)
        alone = BagSet.of(bags[1:2], dtype=dtype, common=whole.common)
        there, again = whole.take([1]).batch([0]), alone.batch([0])
        assert torch.equal(there.features, again.features)
        assert not torch.equal(
            there.features, BagSet.of(bags[1:2], dtype=dtype).batch([0]).features
        )
