"""Promises of the heads that are networks, over each of them."""

import pytest
import torch
from torch import nn

from clearbench.errors import UnknownName
from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.head_registry import HEADS
from clearbench.evaluation.heads.mil import find_net
from clearbench.evaluation.heads.training import TrainedNet, run_net


@pytest.fixture(params=[name for name, entry in HEADS.items() if entry.network])
def net(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return find_net(request.param)(6, 3).eval()


def test_padding_changes_nothing(net: nn.Module) -> None:
    bag = torch.randn(1, 5, 6)
    padded = torch.cat([bag, torch.full((1, 4, 6), 1e3)], dim=1)
    mask = torch.tensor([[True] * 5 + [False] * 4])
    plain, masked = net(bag), net(padded, mask)
    torch.testing.assert_close(plain.logits, masked.logits)
    torch.testing.assert_close(plain.attention, masked.attention[:, :5])
    assert (masked.attention[:, 5:] == 0).all()


def test_importances_sum_to_one(net: nn.Module) -> None:
    mask = torch.tensor([[True] * 7, [True] * 2 + [False] * 5, [True] + [False] * 6])
    attention = net(torch.randn(3, 7, 6), mask).attention.detach()
    torch.testing.assert_close(attention.sum(dim=1), torch.ones(3))
    assert float(attention[2, 0]) == pytest.approx(1.0)
    assert (attention >= 0).all()


def test_padding_takes_no_gradient(net: nn.Module) -> None:
    bags = torch.randn(2, 4, 6, requires_grad=True)
    mask = torch.tensor([[True] * 4, [True] * 2 + [False] * 2])
    net(bags, mask).logits.sum().backward()
    assert bags.grad is not None
    assert bags.grad.isfinite().all()
    assert (bags.grad[1, 2:] == 0).all()
    assert (bags.grad[1, :2] != 0).any()
    for name, weight in net.named_parameters():
        assert weight.grad is not None, name


def test_the_order_of_instances_does_not_matter(net: nn.Module) -> None:
    bag = torch.randn(1, 5, 6)
    there, back = net(bag), net(bag.flip(1))
    torch.testing.assert_close(there.logits, back.logits)
    torch.testing.assert_close(there.attention, back.attention.flip(1))


def test_a_bag_scores_the_same_in_any_batch(net: nn.Module) -> None:
    raw = [torch.randn(n, 6).numpy() for n in (1, 9, 4)]
    together = BagSet.of(raw)
    trained = TrainedNet(net, together.unmoved())
    everyone = run_net(trained, together)
    for place, bag in enumerate(raw):
        alone = run_net(trained, BagSet.of([bag]))
        torch.testing.assert_close(alone.logits[0], everyone.logits[place], atol=1e-4, rtol=1e-4)
        assert len(everyone.attention[place]) == len(bag)


def test_bfloat16_moves_scores_little(net: nn.Module) -> None:
    raw = [torch.randn(n, 6).numpy() for n in (5, 9, 4, 7)]
    exact, rounded = (
        run_net(TrainedNet(net, bags.moments()), bags).logits
        for bags in (BagSet.of(raw), BagSet.of(raw, dtype=torch.bfloat16))
    )
    assert rounded.dtype == torch.float32
    assert (exact - rounded).abs().max() < 0.05 * exact.abs().max()


def test_an_unknown_head_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean"):
        find_net("gated-abml")
