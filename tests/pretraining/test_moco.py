"""MoCo v3's two encoders: which one follows, which one learns, and which slices are compared."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from clearbench.pretraining.loss import lecl_loss
from clearbench.pretraining.moco import LossFacts, MoCo, mlp

SLICES, DIM = 6, 8
LESION = torch.tensor([True, False, False, True, False, False])
PATIENT = torch.tensor([0, 0, 1, 1, 2, 3])

Make = Callable[..., MoCo]


@pytest.fixture
def make() -> Make:
    """Set up small networks, the momentum copy still equal to the trained one."""

    def make(**facts: Any) -> MoCo:
        plain = {"temperature": 0.2, "weight": 1.0, "placement": "inside", "other_patients": False}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = nn.Sequential(nn.Flatten(), nn.Linear(12, DIM), nn.BatchNorm1d(DIM))
            return MoCo(network, DIM, 16, 4, LossFacts(**(plain | facts)))

    return make


@pytest.fixture
def views() -> Tensor:
    """Two views of six slices [2, 6, 3, 2, 2]."""
    return torch.randn(2, SLICES, 3, 2, 2, generator=torch.Generator().manual_seed(1))


def parameters(module: nn.Module) -> list[Tensor]:
    return [part.detach().clone() for part in module.parameters()]


def shaken(moco: MoCo) -> MoCo:
    """Move the trained network away from its momentum copy."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for part in moco.base.parameters():
            part += torch.randn(part.shape, generator=generator)
    return moco


def test_the_momentum_encoder_begins_as_a_copy_of_its_own(make: Make) -> None:
    moco = make()
    before = parameters(moco.momentum)
    for ours, theirs in zip(before, parameters(moco.base), strict=True):
        assert torch.equal(ours, theirs)
    shaken(moco)
    for ours, old in zip(parameters(moco.momentum), before, strict=True):
        assert torch.equal(ours, old)


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.99, 1.0])
def test_the_momentum_encoder_follows_by_the_coefficient(
    make: Make, views: Tensor, coefficient: float
) -> None:
    moco = shaken(make())
    before, base = parameters(moco.momentum), parameters(moco.base)
    moco(views, LESION, PATIENT, coefficient, 0)
    for now, old, new in zip(parameters(moco.momentum), before, base, strict=True):
        torch.testing.assert_close(now, coefficient * old + (1 - coefficient) * new)
    exact = {0.0: base, 1.0: before}.get(coefficient, [])
    for now, expected in zip(parameters(moco.momentum), exact, strict=False):
        assert torch.equal(now, expected)


def test_only_the_trained_network_and_its_heads_learn(make: Make, views: Tensor) -> None:
    moco = make()
    moco(views, LESION, PATIENT, 0.99, 0).backward()
    assert all(part.grad is None for part in moco.momentum.parameters())
    assert not any(part.requires_grad for part in moco.momentum.parameters())
    for part in (*moco.base.parameters(), *moco.predictor.parameters()):
        assert part.grad is not None
        assert part.grad.isfinite().all()
    assert any(part.grad.abs().max() > 0 for part in moco.network.parameters())


def test_the_loss_does_not_ask_which_view_comes_first(make: Make, views: Tensor) -> None:
    moco = make()
    first = moco(views, LESION, PATIENT, 1.0, 0)
    swapped = moco(views.flip(0), LESION, PATIENT, 1.0, 0)
    assert swapped.item() == pytest.approx(first.item(), rel=1e-6)


def test_each_view_is_compared_with_the_other_one(make: Make, views: Tensor) -> None:
    moco = shaken(make())
    queries = [moco.predictor(moco.base(view)) for view in views]
    keys = [moco.momentum(view) for view in views]
    crossed = sum(
        lecl_loss(query, key, LESION, temperature=0.2, weight=1.0).item()
        for query, key in zip(queries, keys[::-1], strict=True)
    )
    found = moco(views, LESION, PATIENT, 1.0, 0)
    assert found.item() == pytest.approx(crossed, rel=1e-6)


def test_a_patient_s_own_slices_can_be_kept_out(make: Make, views: Tensor) -> None:
    facts = (views, LESION)
    alone, apart = torch.zeros(SLICES, dtype=torch.long), torch.arange(SLICES)
    masked, plain = make(other_patients=True), make()
    assert masked(*facts, alone, 1.0, 0).item() == pytest.approx(0.0, abs=1e-5)
    everyone = plain(*facts, alone, 1.0, 0).item()
    assert masked(*facts, apart, 1.0, 0).item() == pytest.approx(everyone, rel=1e-6)
    assert 0 < masked(*facts, PATIENT, 1.0, 0).item() < everyone
    assert plain(*facts, PATIENT, 1.0, 0).item() == everyone


def test_lesions_and_their_weight_reach_the_loss(make: Make, views: Tensor) -> None:
    none = torch.zeros(SLICES, dtype=torch.bool)
    plain = make(weight=0.0)(views, LESION, PATIENT, 1.0, 0).item()
    assert make()(views, none, PATIENT, 1.0, 0).item() == pytest.approx(plain, rel=1e-6)
    inside, outside = (
        make(weight=3.0, placement=place)(views, LESION, PATIENT, 1.0, 0).item()
        for place in ("inside", "outside")
    )
    assert min(inside, outside) > plain
    assert inside != pytest.approx(outside, rel=1e-3)


def test_training_moves_the_network_and_lowers_the_loss(make: Make, views: Tensor) -> None:
    moco = make()
    trained = [part for part in moco.parameters() if part.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=0.01)
    losses = []
    for _ in range(30):
        loss = moco(views, LESION, PATIENT, 0.9, 0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_heads_are_those_of_moco_v3(make: Make) -> None:
    """Batch norm after every layer, and the last one without weights of its own."""
    projector = mlp([DIM, 16, 16, 4])
    kinds = [type(part).__name__ for part in projector]
    hidden = ["Linear", "BatchNorm1d", "ReLU"]
    assert kinds == [*hidden, *hidden, "Linear", "BatchNorm1d"]
    assert not projector[-1].affine
    assert all(part.bias is None for part in projector if isinstance(part, nn.Linear))
    moco = make()
    projector_layers, predictor_layers = (
        [tuple(part.weight.shape) for part in head if isinstance(part, nn.Linear)]
        for head in (moco.base[1], moco.predictor)
    )
    assert projector_layers == [(16, DIM), (16, 16), (4, 16)]
    assert predictor_layers == [(16, 4), (4, 16)]
