"""The lesion-enhanced loss against the published one, and against what it stands for."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from clearbench.pretraining.loss import lecl_loss

CASES = range(12)
LESION = torch.tensor([1, 0, 0, 1, 0, 1, 0, 0])


@pytest.fixture(scope="module")
def cases(golden: Path) -> dict[str, Tensor]:
    return load_file(golden / "lecl_loss.safetensors")


@pytest.fixture
def query() -> Tensor:
    return noise(0)


@pytest.fixture
def key() -> Tensor:
    return noise(1)


def noise(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(8, 5, generator=generator, dtype=torch.float64)


def loss(query: Tensor, key: Tensor, lesion: Tensor = LESION, **facts: Any) -> float:
    return lecl_loss(query, key, lesion, **({"temperature": 0.2, "weight": 1.0} | facts)).item()


def info_nce(query: Tensor, key: Tensor, temperature: float) -> float:
    """Plain contrastive loss, as MoCo v3 has it."""
    q, k = functional.normalize(query), functional.normalize(key)
    plain = functional.cross_entropy(q @ k.T / temperature, torch.arange(len(q)))
    return plain.item() * 2 * temperature


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("case", CASES)
def test_it_answers_what_the_published_loss_answered(
    cases: dict[str, Tensor], case: int, dtype: torch.dtype
) -> None:
    facts = {name: cases[f"{case}.{name}"] for name in ("temperature", "weight", "lesion")}
    found = lecl_loss(
        cases[f"{case}.q"].to(dtype),
        cases[f"{case}.k"].to(dtype),
        facts["lesion"],
        temperature=round(facts["temperature"].item(), 6),
        weight=facts["weight"].item(),
    )
    assert found.dtype == dtype
    assert found.item() == pytest.approx(cases[f"{case}.loss"].item(), rel=1e-6)


@pytest.mark.parametrize("placement", ["inside", "outside"])
@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
def test_a_weight_of_0_is_plain_moco(
    query: Tensor, key: Tensor, temperature: float, placement: str
) -> None:
    found = loss(query, key, temperature=temperature, weight=0.0, placement=placement)
    assert found == pytest.approx(info_nce(query, key, temperature), rel=1e-12)


@pytest.mark.parametrize("placement", ["inside", "outside"])
def test_without_lesions_the_weight_changes_nothing(
    query: Tensor, key: Tensor, placement: str
) -> None:
    none = torch.zeros(8, dtype=torch.bool)
    found = loss(query, key, none, weight=3.0, placement=placement)
    assert found == pytest.approx(info_nce(query, key, 0.2), rel=1e-12)


@pytest.mark.parametrize(("placement", "weight"), [("inside", 2.0), ("outside", 2.0)])
def test_it_is_the_written_sum(query: Tensor, key: Tensor, placement: str, weight: float) -> None:
    """Each lesion key but one's own counts again, λ inside or outside of the exponential."""
    similarity = functional.normalize(query) @ functional.normalize(key).T / 0.5
    total = 0.0
    for i in range(8):
        row = similarity[i].exp().sum()
        for j in range(8):
            if LESION[j] and j != i:
                s = similarity[i, j]
                row = row + ((weight * s).exp() if placement == "inside" else weight * s.exp())
        total += (row.log() - similarity[i, i]).item()
    found = loss(query, key, temperature=0.5, weight=weight, placement=placement)
    assert found == pytest.approx(total / 8 * 2 * 0.5, rel=1e-7)


def test_both_placements_agree_at_weight_1_and_only_there(query: Tensor, key: Tensor) -> None:
    inside, outside = (loss(query, key, placement=place) for place in ("inside", "outside"))
    assert inside == pytest.approx(outside, rel=1e-12)
    inside, outside = (
        loss(query, key, weight=2.0, placement=place) for place in ("inside", "outside")
    )
    assert inside != pytest.approx(outside, rel=1e-3)


def test_a_lone_lesion_is_no_negative_of_itself(query: Tensor, key: Tensor) -> None:
    lone = torch.zeros(1)
    for lesion in (lone, lone + 1):
        assert loss(query[:1], key[:1], lesion, weight=2.0) == pytest.approx(0.0, abs=1e-12)


def test_lesions_are_stronger_negatives(query: Tensor, key: Tensor) -> None:
    plain, one, more = (loss(query, key, weight=weight) for weight in (0.0, 1.0, 5.0))
    assert plain < one < more


def test_lengths_of_vectors_don_t_matter(query: Tensor, key: Tensor) -> None:
    assert loss(query * 100, key * 0.01) == pytest.approx(loss(query, key), rel=1e-9)


@pytest.mark.parametrize("placement", ["inside", "outside"])
def test_hidden_pairs_count_as_little_as_keys_that_are_not_there(
    query: Tensor, key: Tensor, placement: str
) -> None:
    """Pairs of the last three keys are hidden from the first five queries."""
    hidden = torch.zeros(5, 8, dtype=torch.bool)
    hidden[:, 5:] = True
    facts = {"weight": 2.0, "placement": placement}
    with_all = loss(query[:5], key, hidden=hidden, **facts)
    assert with_all == pytest.approx(loss(query[:5], key[:5], LESION[:5], **facts), rel=1e-12)
    assert with_all < loss(query[:5], key, **facts)


def test_the_own_key_is_never_hidden(query: Tensor, key: Tensor) -> None:
    own = torch.eye(8, dtype=torch.bool)
    assert loss(query, key, hidden=own) == pytest.approx(loss(query, key), rel=1e-12)
    everything = torch.ones(8, 8, dtype=torch.bool)
    assert loss(query, key, hidden=everything) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("world", [2, 4])
def test_the_shares_of_all_processes_average_to_the_whole(
    query: Tensor, key: Tensor, world: int
) -> None:
    patient = torch.tensor([0, 0, 1, 1, 2, 0, 3, 3])
    same = patient[:, None] == patient[None, :]
    share = 8 // world
    for hidden in (None, same):
        parts = []
        for first in range(0, 8, share):
            mine = slice(first, first + share)
            own = None if hidden is None else hidden[mine]
            parts.append(loss(query[mine], key, first=first, hidden=own, weight=2.0))
        whole = loss(query, key, hidden=hidden, weight=2.0)
        assert sum(parts) / world == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("placement", ["inside", "outside"])
@pytest.mark.parametrize("hide", [False, True])
def test_gradients_are_finite_at_a_low_temperature(
    query: Tensor, key: Tensor, placement: Any, hide: bool
) -> None:
    query = query.float().requires_grad_()
    hidden = (torch.arange(8)[:, None] // 4) == (torch.arange(8) // 4) if hide else None
    found = lecl_loss(
        query,
        key.float(),
        LESION,
        temperature=0.01,
        weight=5.0,
        placement=placement,
        hidden=hidden,
    )
    found.backward()
    assert found.isfinite()
    assert query.grad is not None
    assert query.grad.isfinite().all()
    assert query.grad.abs().max() > 0


def test_following_the_gradient_brings_both_views_together(query: Tensor, key: Tensor) -> None:
    query = query.requires_grad_()
    before = loss(query, key)
    lecl_loss(query, key, LESION, temperature=0.2, weight=1.0).backward()
    assert query.grad is not None
    moved = (query - 0.1 * query.grad).detach()
    assert loss(moved, key) < before
    closer = functional.cosine_similarity(moved, key).mean()
    assert closer > functional.cosine_similarity(query.detach(), key).mean()


def test_autocast_does_not_make_it_coarser() -> None:
    """In bfloat16 the loss would come in steps of 1/16, and its gradient be 1 % off."""
    rng = torch.Generator().manual_seed(0)
    query, key = (torch.randn(64, 32, generator=rng).requires_grad_() for _ in range(2))
    lesion = torch.arange(64) % 3 == 0

    def found(*, coarse: bool) -> list[torch.Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=coarse):
            loss = lecl_loss(query, key, lesion, temperature=0.2, weight=2.0)
        return [loss.detach(), *torch.autograd.grad(loss, (query, key))]

    for one, other in zip(found(coarse=False), found(coarse=True), strict=True):
        assert other.dtype == torch.float32
        assert torch.equal(one, other)
