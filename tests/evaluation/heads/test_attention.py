from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from clearbench.evaluation.heads import AttentionMIL


@pytest.fixture
def head() -> AttentionMIL:
    torch.manual_seed(0)
    return AttentionMIL(6, 3, hidden=16).eval()


def test_the_head_is_the_published_one(golden: Path) -> None:
    file = load_file(golden / "abmil_head.safetensors")
    weights = {k.removeprefix("weights."): v for k, v in file.items() if k.startswith("weights.")}
    head = AttentionMIL(32, 8)
    head.load_state_dict(weights, strict=True)
    with torch.inference_mode():
        output = head.eval()(file["bags"])
    assert (output.logits - file["logits"]).abs().max() <= 1e-5
    assert (output.attention - file["attention"]).abs().max() <= 1e-5


def test_padding_changes_nothing(head: AttentionMIL) -> None:
    bag = torch.randn(1, 5, 6)
    padded = torch.cat([bag, torch.full((1, 4, 6), 1e3)], dim=1)
    mask = torch.tensor([[True] * 5 + [False] * 4])
    plain, masked = head(bag), head(padded, mask)
    torch.testing.assert_close(plain.logits, masked.logits)
    torch.testing.assert_close(plain.attention, masked.attention[:, :5])


def test_attention_sums_to_one_and_is_none_on_padding(head: AttentionMIL) -> None:
    mask = torch.tensor([[True] * 7, [True] * 2 + [False] * 5, [True] + [False] * 6])
    attention = head(torch.randn(3, 7, 6), mask).attention.detach()
    torch.testing.assert_close(attention.sum(dim=1), torch.ones(3))
    assert (attention[~mask] == 0).all()
    assert (attention[mask] > 0).all()
    assert float(attention[2, 0]) == 1.0


def test_padding_takes_no_gradient(head: AttentionMIL) -> None:
    bags = torch.randn(2, 4, 6, requires_grad=True)
    mask = torch.tensor([[True] * 4, [True] * 2 + [False] * 2])
    head(bags, mask).logits.sum().backward()
    assert bags.grad is not None
    assert bags.grad.isfinite().all()
    assert (bags.grad[1, 2:] == 0).all()
    assert (bags.grad[1, :2] != 0).any()


def test_the_order_of_instances_does_not_matter(head: AttentionMIL) -> None:
    bag = torch.randn(1, 5, 6)
    torch.testing.assert_close(head(bag).logits, head(bag.flip(1)).logits)
