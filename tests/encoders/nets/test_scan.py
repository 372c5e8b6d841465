from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import clearbench.encoders.nets.scan as module
from clearbench.encoders.nets.scan import fused_kernel, kernel_scan, selective_scan

Inputs = tuple[Tensor, ...]
NAMES = ("x", "delta", "a", "b", "c", "d", "delta_bias")


def drawn(
    groups: int = 2,
    batch: int = 2,
    length: int = 7,
    channels: int = 3,
    states: int = 4,
    *,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> Inputs:
    """Draw the seven inputs of a scan."""
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=rng, dtype=torch.float64)

    parts = (
        normal(groups, batch, length, channels),
        normal(groups, batch, length, channels),
        -normal(groups, channels, states).exp(),
        normal(groups, batch, length, states),
        normal(groups, batch, length, states),
        normal(groups, channels),
        normal(groups, channels),
    )
    return tuple(part.to(dtype) for part in parts)


def step_by_step(*inputs: Tensor) -> Tensor:
    """Follow the recurrence one position at a time, in the letters of the formula."""
    x, delta, a, b, c, d, delta_bias = inputs
    groups = []
    for k in range(len(x)):
        step = torch.log1p(torch.exp(delta[k] + delta_bias[k]))
        h = torch.zeros(x.shape[1], x.shape[3], a.shape[2]).to(x)
        answers = []
        for t in range(x.shape[2]):
            decay = torch.exp(step[:, t, :, None] * a[k])
            h = decay * h + (step[:, t] * x[k, :, t])[:, :, None] * b[k, :, t, None, :]
            answers.append((h * c[k, :, t, None, :]).sum(-1) + d[k] * x[k, :, t])
        groups.append(torch.stack(answers, dim=1))
    return torch.stack(groups)


def with_gradients(scan: Any, inputs: Inputs, weights: Tensor) -> list[Tensor]:
    """Return a scan's output, and the gradient of each input."""
    leaves = [part.detach().clone().requires_grad_() for part in inputs]
    out = scan(*leaves)
    return [out.detach(), *torch.autograd.grad((out * weights).sum(), leaves)]


def in_chunks_of(steps: int, inputs: Inputs) -> int:
    """Return the CHUNK_NUMBERS that make chunks of so many positions."""
    x, _, a = inputs[:3]
    return steps * len(a) * x.shape[1] * a.shape[2] * x.shape[3]


def agree(found: list[Tensor], expected: list[Tensor], **tolerance: float) -> None:
    for name, ours, theirs in zip(("y", *NAMES), found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, **tolerance, msg=lambda m, n=name: f"{n}: {m}")


def selective_scan_fn(  # the letters and the order of mamba_ssm
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
) -> Tensor:
    """Do what mamba_ssm's kernel does, and refuse the layouts that it refuses."""
    assert z is None
    assert not return_last_state
    (batch, dim, length), (groups, states) = u.shape, B.shape[1:3]
    assert delta.shape == u.shape
    assert A.shape == (dim, states)
    assert B.shape == C.shape == (batch, groups, states, length)
    assert dim % groups == 0
    assert all(part.stride(-1) == 1 for part in (u, delta, A, B, C))
    if delta_bias is not None:
        assert delta_bias.shape == (dim,)
        delta = delta + delta_bias[:, None]
    if delta_softplus:
        delta = torch.nn.functional.softplus(delta)
    wide_b, wide_c = (part.repeat_interleave(dim // groups, dim=1) for part in (B, C))
    h = torch.zeros(batch, dim, states).to(u)
    answers = []
    for t in range(length):
        step = delta[:, :, t, None]
        h = torch.exp(step * A) * h + step * wide_b[..., t] * u[:, :, t, None]
        answers.append((h * wide_c[..., t]).sum(-1))
    y = torch.stack(answers, dim=-1)
    return y if D is None else y + u * D[:, None]


@pytest.mark.parametrize("steps", [1, 2, 3, 6, 7, 100])
def test_outputs_and_gradients_are_those_of_the_recurrence(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = drawn()
    weights = drawn(seed=9)[0]
    monkeypatch.setattr(module, "CHUNK_NUMBERS", in_chunks_of(steps, inputs))
    expected = with_gradients(step_by_step, inputs, weights)
    agree(with_gradients(selective_scan, inputs, weights), expected, rtol=1e-10, atol=1e-10)
    assert all(part.abs().max() > 0.01 for part in expected), "nothing agrees by being zero"


@settings(max_examples=40, deadline=None)
@given(
    sides=st.tuples(*(st.integers(1, top) for top in (2, 3, 9, 3, 3))),
    steps=st.integers(1, 10),
    seed=st.integers(0, 2**20),
)
def test_any_shape_in_any_chunks_agrees(
    sides: tuple[int, int, int, int, int], steps: int, seed: int
) -> None:
    inputs = drawn(*sides, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK_NUMBERS", in_chunks_of(steps, inputs))
        found = with_gradients(selective_scan, inputs, inputs[0])
    agree(found, with_gradients(step_by_step, inputs, inputs[0]), rtol=1e-8, atol=1e-8)


def test_a_chunk_holds_a_position_even_where_memory_is_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = drawn()
    expected = selective_scan(*inputs)
    monkeypatch.setattr(module, "CHUNK_NUMBERS", 1)
    torch.testing.assert_close(selective_scan(*inputs), expected)


def test_float32_is_as_near_as_float32_can_be() -> None:
    inputs = drawn(length=60, dtype=torch.float32)
    exact = tuple(part.double() for part in inputs)
    weights = torch.ones_like(inputs[0])
    found = with_gradients(selective_scan, inputs, weights)
    assert {part.dtype for part in found} == {torch.float32}
    expected = with_gradients(step_by_step, exact, weights.double())
    agree([part.double() for part in found], expected, rtol=1e-4, atol=1e-4)


def test_an_answer_knows_no_later_position() -> None:
    x, *rest = drawn()
    before = selective_scan(x, *rest)
    x[:, :, 3] += 1
    moved = (selective_scan(x, *rest) - before).abs().amax((0, 1, 3))
    assert (moved[:3] == 0).all()
    assert (moved[3:] > 0).all()


def test_autocast_does_not_make_it_coarser() -> None:
    inputs = drawn(length=40, dtype=torch.float32)

    def under_autocast(*parts: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return selective_scan(*parts)

    weights = torch.ones_like(inputs[0])
    plain = with_gradients(selective_scan, inputs, weights)
    for ours, theirs in zip(with_gradients(under_autocast, inputs, weights), plain, strict=True):
        assert ours.dtype == torch.float32
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_scanned_in_float32(dtype: torch.dtype) -> None:
    inputs = drawn(length=40, dtype=dtype)
    found = selective_scan(*inputs)
    exact = selective_scan(*(part.float() for part in inputs))
    assert found.dtype == dtype
    assert torch.equal(found, exact.to(dtype))


def test_a_batch_is_scanned_like_its_parts() -> None:
    inputs = drawn(batch=3)
    x, delta, a, b, c, d, bias = inputs
    parts = [
        selective_scan(x[:, [i]], delta[:, [i]], a, b[:, [i]], c[:, [i]], d, bias) for i in range(3)
    ]
    torch.testing.assert_close(selective_scan(*inputs), torch.cat(parts, dim=1))


def test_groups_do_not_mix() -> None:
    inputs = drawn(groups=3)
    x, rest = inputs[0], inputs[1:]
    alone = [selective_scan(x[[g]], *(part[[g]] for part in rest)) for g in range(3)]
    torch.testing.assert_close(selective_scan(*inputs), torch.cat(alone))


def test_turned_and_expanded_inputs_are_taken() -> None:
    inputs = drawn()
    strange = tuple(part.transpose(0, -1).contiguous().transpose(0, -1) for part in inputs)
    weights = torch.ones_like(inputs[0])
    expected = with_gradients(selective_scan, inputs, weights)
    agree(with_gradients(selective_scan, strange, weights), expected)
    wide = (inputs[0][:, :1].expand(-1, 2, -1, -1), *inputs[1:])
    whole = (wide[0].contiguous(), *inputs[1:])
    assert torch.equal(selective_scan(*wide), selective_scan(*whole))


def test_large_and_small_steps_stay_numbers() -> None:
    x, delta, a, *rest = drawn(length=50, dtype=torch.float32)
    extreme = (x, torch.where(delta > 0, 90.0, -90.0), a * 100, *rest)
    for part in with_gradients(selective_scan, extreme, torch.ones_like(x)):
        assert torch.isfinite(part).all()


def test_one_scan_does_not_disturb_another(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = drawn(seed=1), drawn(seed=2)
    monkeypatch.setattr(module, "CHUNK_NUMBERS", in_chunks_of(2, first))
    weights = torch.ones_like(first[0])
    expected = with_gradients(selective_scan, first, weights)
    leaves = [part.clone().requires_grad_() for part in first]
    out = selective_scan(*leaves)
    with_gradients(selective_scan, second, weights)
    agree([out.detach(), *torch.autograd.grad(out.sum(), leaves)], expected)


@pytest.mark.parametrize("name", NAMES)
def test_one_gradient_may_be_asked_alone(name: str) -> None:
    inputs = drawn()
    weights = torch.ones_like(inputs[0])
    at = NAMES.index(name)
    expected = with_gradients(selective_scan, inputs, weights)[1 + at]
    leaves = [part.clone().requires_grad_(i == at) for i, part in enumerate(inputs)]
    (found,) = torch.autograd.grad(selective_scan(*leaves).sum(), leaves[at])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_second_derivative_is_refused_rather_than_wrong(name: str) -> None:
    leaves = [
        part.requires_grad_(name == other) for part, other in zip(drawn(), NAMES, strict=True)
    ]
    leaf = leaves[NAMES.index(name)]
    out = selective_scan(*leaves).square().sum()

    def twice() -> None:
        (first,) = torch.autograd.grad(out, leaf, create_graph=True)
        torch.autograd.grad(first.square().sum(), leaf)

    with pytest.raises(RuntimeError):
        twice()


def test_nothing_is_kept_where_no_gradient_is_wanted() -> None:
    leaves = [part.requires_grad_() for part in drawn()]
    with torch.inference_mode():
        out = selective_scan(*leaves)
    assert not out.requires_grad
    torch.testing.assert_close(out.clone(), selective_scan(*leaves).detach())


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_the_kernels_layout_gives_the_same(groups: int) -> None:
    inputs = drawn(groups, channels=5)
    weights = drawn(groups, channels=5, seed=9)[0]
    found = with_gradients(lambda *parts: kernel_scan(selective_scan_fn, *parts), inputs, weights)
    agree(found, with_gradients(selective_scan, inputs, weights), rtol=1e-9, atol=1e-9)


@pytest.fixture
def kernel() -> Any:
    """The real kernel, where it is installed."""
    if not torch.cuda.is_available() or fused_kernel() is None:
        pytest.skip("needs a GPU and the extra `mamba`")
    return fused_kernel()


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")  # its package warns while it is imported
@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 1e-2)], ids=str
)
def test_the_real_kernel_agrees(dtype: torch.dtype, tolerance: float) -> None:
    rounded = drawn(2, 3, 196, 48, 16, dtype=dtype)
    exact = tuple(part.double() for part in rounded)
    weights = torch.ones_like(exact[0])
    expected = with_gradients(selective_scan, exact, weights)
    there = tuple(part.cuda() for part in rounded)
    found = [part.cpu().double() for part in with_gradients(selective_scan, there, weights.cuda())]
    for ours, theirs in zip(found, expected, strict=True):
        largest = theirs.abs().max().item()
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance * largest)
