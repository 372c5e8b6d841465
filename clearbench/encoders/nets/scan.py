"""The selective scan of state space models: a fused kernel if installed, else PyTorch.

The recurrence, per channel d and state n along positions t (Gu & Dao, arXiv 2312.00752, eq. 2):

    h_t = exp(Δ_t · A) · h_{t-1} + Δ_t · B_t · x_t        y_t = Σ_n C_t · h_t + D · x_t

Memory limits its speed, not arithmetic: every position has channels × states numbers. The PyTorch
scan processes chunks that fit in the processor's cache, with one fused multiply-add per position.
It stores only the state at the borders of chunks; the backward pass computes the rest again.
Decays are powers of two, exp(Δ · A) = 2^(Δ · A · log2 e), because a vectorised exp2 takes about a
third of the time of exp.
"""

import importlib
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

CHUNK_NUMBERS = 1 << 20  # numbers in one buffer of a chunk: 4 MiB, the size of a cache


def selective_scan(  # noqa: PLR0913  the letters of the formula
    x: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, delta_bias: Tensor
) -> Tensor:
    """Scan g groups of sequences from first to last position: [g, batch, length, channels].

    x, delta       [g, batch, length, channels]; Δ = softplus(delta + delta_bias)
    a              [g, channels, states], negative
    b, c           [g, batch, length, states]
    d, delta_bias  [g, channels]
    Computes in float32 (float64 if `x` is float64), also with autocast; differentiable once.
    """
    exact = torch.float64 if x.dtype == torch.float64 else torch.float32
    with torch.autocast(device_type=x.device.type, enabled=False):
        inputs = [part.to(exact) for part in (x, delta, a, b, c, d, delta_bias)]
        kernel = fused_kernel() if x.is_cuda and exact == torch.float32 else None
        scanned: Tensor = kernel_scan(kernel, *inputs) if kernel else _Scan.apply(*inputs)
    return scanned.to(x.dtype)


@lru_cache(maxsize=1)
def fused_kernel() -> Any:
    """Return mamba_ssm's CUDA kernel; None if the extra `mamba` is not installed."""
    try:
        module = importlib.import_module("mamba_ssm.ops.selective_scan_interface")
    except ImportError:
        return None
    return module.selective_scan_fn


def kernel_scan(kernel: Any, x: Tensor, delta: Tensor, a: Tensor, *rest: Tensor) -> Tensor:
    """Scan with mamba_ssm's selective_scan_fn, which takes [batch, groups × channels, length]."""
    b, c, d, delta_bias = rest
    scanned: Tensor = kernel(
        *(part.permute(1, 0, 3, 2).flatten(1, 2).contiguous() for part in (x, delta)),
        a.flatten(0, 1).contiguous(),
        *(part.permute(1, 0, 3, 2).contiguous() for part in (b, c)),
        d.flatten().contiguous(),
        delta_bias=delta_bias.flatten().contiguous(),
        delta_softplus=True,
    )
    back: Tensor = scanned.unflatten(1, (len(x), x.shape[3])).permute(1, 0, 3, 2)
    return back


class _Scan(torch.autograd.Function):
    """The scan and its gradient, chunk by chunk; see selective_scan."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        x, _, a = inputs[:3]
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        work = _Buffers(x, a)
        before, borders = work.start(), []
        for part in work.parts():
            borders += [before] if any(ctx.needs_input_grad) else []
            at = work.cut(inputs, part)
            hidden = work.run(at, before)[0]
            before = hidden[:, :, -1].clone()  # the next chunk overwrites the buffer
            torch.addcmul(at.c.matmul(hidden).squeeze(3), at.x, at.d, out=out[:, :, part])
        ctx.save_for_backward(*inputs, *borders)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(device_type=grads[0].device.type, enabled=False):
            return _backward(ctx, grads[0])


def _backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, ...]:
    """Process the chunks from last to first; each is computed again from its border."""
    inputs, borders = ctx.saved_tensors[:7], ctx.saved_tensors[7:]
    to_x, to_delta, to_a, to_b, to_c, to_d, to_bias = (
        torch.zeros(part.shape).to(part) for part in inputs
    )
    work = _Buffers(inputs[0], inputs[2])
    buffer, carry = torch.empty_like(work.hidden), work.start()
    for part, before in zip(reversed(work.parts()), reversed(borders), strict=True):
        at = work.cut(inputs, part)
        grad_y = grad_out[:, :, part]
        hidden, decay, step, u = work.run(at, before)
        to_c[:, :, part] = grad_y.unsqueeze(3).matmul(hidden.transpose(-1, -2)).squeeze(3)
        grad = torch.mul(
            at.c.transpose(-1, -2), grad_y.unsqueeze(3), out=_cut(buffer, hidden.shape)
        )
        carry = _back_in_time(grad, decay, carry)
        to_b[:, :, part] = grad.matmul(u.unsqueeze(4)).squeeze(4)
        grad_u = at.b.transpose(-1, -2).matmul(grad).squeeze(3)
        grad.mul_(decay)
        grad[:, :, 1:].mul_(hidden[:, :, :-1])
        grad[:, :, 0].mul_(before)
        # the decays are not needed any more, so the product may overwrite them
        to_a += torch.mul(grad, step.unsqueeze(3), out=decay).sum((1, 2)).transpose(1, 2)
        grad_step = grad.mul_(work.a).sum(dim=3).addcmul_(grad_u, at.x)
        grad_delta = grad_step.mul_(torch.sigmoid(at.delta + at.bias))
        to_delta[:, :, part] = grad_delta
        torch.addcmul(grad_u * step, grad_y, at.d, out=to_x[:, :, part])
        to_d += (grad_y * at.x).sum((1, 2))
        to_bias += grad_delta.sum((1, 2))
    return to_x, to_delta, to_a, to_b, to_c, to_d, to_bias


class _Part(NamedTuple):
    """One chunk of a scan's inputs.

    x, Δ [g, batch, t, channels], B [g, batch, t, states, 1], C [g, batch, t, 1, states],
    D and Δ's bias [g, 1, 1, channels].
    """

    x: Tensor
    delta: Tensor
    b: Tensor
    c: Tensor
    d: Tensor
    bias: Tensor


class _Buffers:
    """Decays and hidden states of one chunk [g, batch, t, states, channels], used for every chunk.

    Groups are the first axis in every operation, so that each thread works on its own groups, in
    its own cache.
    """

    def __init__(self, x: Tensor, a: Tensor) -> None:
        groups, batch, self.length, channels = x.shape
        self.border = (groups, batch, a.shape[2], channels)
        numbers = math.prod(self.border)
        self.steps = max(1, min(self.length, CHUNK_NUMBERS // numbers))
        self.decay, self.hidden = (x.new_empty(self.steps * numbers) for _ in range(2))
        self.a = a.transpose(1, 2)[:, None, None].contiguous()
        self.a_base_two = self.a * math.log2(math.e)

    def start(self) -> Tensor:
        """Return the state before the first position: zeros."""
        return self.hidden.new_zeros(self.border)

    def parts(self) -> list[slice]:
        """Return the positions of each chunk, from first to last."""
        starts = range(0, self.length, self.steps)
        return [slice(at, min(at + self.steps, self.length)) for at in starts]

    def cut(self, inputs: Sequence[Tensor], part: slice) -> _Part:
        """Cut one chunk out of the inputs."""
        x, delta, _, b, c, d, bias = inputs
        return _Part(
            x[:, :, part],
            delta[:, :, part],
            b[:, :, part].unsqueeze(4),
            c[:, :, part].unsqueeze(3),
            d[:, None, None],
            bias[:, None, None],
        )

    def run(self, at: _Part, before: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Fill the buffers for one chunk; returns hidden states, decays, Δ and Δ · x."""
        groups, batch, states, channels = self.border
        shape = (groups, batch, at.x.shape[2], states, channels)
        step = functional.softplus(at.delta + at.bias)
        u = step * at.x
        decay = torch.mul(step.unsqueeze(3), self.a_base_two, out=_cut(self.decay, shape)).exp2_()
        hidden = torch.mul(at.b, u.unsqueeze(3), out=_cut(self.hidden, shape))
        decays, rows = decay.unbind(2), hidden.unbind(2)
        rows[0].addcmul_(decays[0], before)
        for t in range(1, len(rows)):
            rows[t].addcmul_(decays[t], rows[t - 1])
        return hidden, decay, step, u


def _cut(buffer: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the start of a flat buffer as a tensor of this shape."""
    return buffer[: math.prod(shape)].view(shape)


def _back_in_time(grad: Tensor, decay: Tensor, carry: Tensor) -> Tensor:
    """Add the gradient of later states to each state; returns the gradient for earlier chunks."""
    rows, decays = grad.unbind(2), decay.unbind(2)
    rows[-1].add_(carry)
    for t in range(len(rows) - 1, 0, -1):
        rows[t - 1].addcmul_(decays[t], rows[t])
    return decays[0] * rows[0]
