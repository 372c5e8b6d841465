"""The selective scan of state space models: a fused kernel where there is one, else PyTorch.

The recurrence, per channel d and state n along positions t (Gu & Dao, arXiv 2312.00752, eq. 2):

    h_t = exp(Δ_t · A) · h_{t-1} + Δ_t · B_t · x_t        y_t = Σ_n C_t · h_t + D · x_t

Memory decides its speed, not arithmetic: every position has channels × states numbers. The PyTorch
scan works through chunks that stay in the processor's cache, one fused multiply-add per position,
and keeps only the state at the chunks' borders; the backward pass makes the rest again.
"""

import importlib
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CHUNK_NUMBERS = 1 << 20  # numbers of one buffer of a chunk; two or three of them share the cache
CHUNK_STEPS = 64


def selective_scan(
    x: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, delta_bias: Tensor
) -> Tensor:
    """Scan sequences [batch, groups × channels, length]; returns the same shape and dtype as `x`.

    x, delta   [batch, groups × channels, length]; Δ = softplus(delta + delta_bias)
    a          [groups × channels, states], negative
    b, c       [batch, groups, states, length]
    d, delta_bias  [groups × channels]
    Computed in float32 (float64 if `x` is) also under autocast. Differentiable once.
    """
    exact = torch.float64 if x.dtype == torch.float64 else torch.float32
    with torch.autocast(device_type=x.device.type, enabled=False):
        parts = [part.to(exact) for part in (x, delta, a, b, c, d, delta_bias)]
        kernel = fused_kernel() if x.is_cuda and exact == torch.float32 else None
        scanned = _kernel_scan(kernel, *parts) if kernel is not None else _torch_scan(*parts)
    return scanned.to(x.dtype)


@lru_cache(maxsize=1)
def fused_kernel() -> Any:
    """Return mamba_ssm's CUDA kernel; None where the extra `mamba` is not installed."""
    try:
        module = importlib.import_module("mamba_ssm.ops.selective_scan_interface")
    except ImportError:
        return None
    return module.selective_scan_fn


def _kernel_scan(kernel: Any, *parts: Tensor) -> Tensor:
    """Scan by mamba_ssm."""
    x, delta, a, b, c, d, delta_bias = (part.contiguous() for part in parts)
    scanned: Tensor = kernel(x, delta, a, b, c, d, delta_bias=delta_bias, delta_softplus=True)
    return scanned


def _torch_scan(
    x: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, delta_bias: Tensor
) -> Tensor:
    """Scan by PyTorch: the channels' own terms around the recurrence."""
    step = functional.softplus(delta + delta_bias[:, None])
    return torch.addcmul(_Recurrence.apply(step * x, step, a, b, c), x, d[:, None])


class _Recurrence(torch.autograd.Function):
    """y_t = Σ_n C_t h_t with h_t = exp(Δ_t A) h_{t-1} + B_t u_t, and its gradient.

    Inside, time comes first and channels last: u, Δ [t, batch, groups, 1, channels],
    B [t, batch, groups, states, 1], C [t, batch, groups, 1, states], A [groups, states, channels].
    """

    @staticmethod
    def forward(ctx: Any, u: Tensor, step: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        groups, states = b.shape[1:3]
        channels = u.shape[1] // groups
        ut, st = (_time_first(part, groups) for part in (u, step))
        at = a.view(groups, channels, states).transpose(1, 2).contiguous()
        bt, ct = b.permute(3, 0, 1, 2).unsqueeze(4), c.permute(3, 0, 1, 2).unsqueeze(3)
        chunk = _chunk_steps(ut, states)
        work = _Chunk(ut, states, chunk)
        borders, out = [], torch.empty_like(ut)
        before = ut.new_zeros(*ut.shape[1:3], states, channels)
        for start in range(0, len(ut), chunk):
            part = slice(start, start + chunk)
            borders.append(before)
            hidden, _ = work.run(ut[part], st[part], at, bt[part], before)
            before = hidden[-1].clone()
            torch.matmul(ct[part], hidden, out=out[part])
        ctx.save_for_backward(ut, st, at, bt, ct, torch.stack(borders))
        return _time_last(out)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        ut, st, at, bt, ct, borders = ctx.saved_tensors
        groups, states, channels = at.shape
        gt = _time_first(grads[0], groups)
        chunk = _chunk_steps(ut, states)
        work = _Chunk(ut, states, chunk)
        buffer = torch.empty_like(work.hidden)
        grad_u, grad_step = torch.empty_like(ut), torch.empty_like(st)
        grad_b, grad_c = torch.empty_like(bt), torch.empty_like(ct)
        grad_a = torch.zeros_like(at)
        carry = torch.zeros_like(borders[0])
        for number in reversed(range(len(borders))):
            part = slice(number * chunk, (number + 1) * chunk)
            before = borders[number]
            hidden, decay = work.run(ut[part], st[part], at, bt[part], before)
            torch.matmul(gt[part], hidden.transpose(-1, -2), out=grad_c[part])
            grad = torch.mul(ct[part].transpose(-1, -2), gt[part], out=buffer[: len(hidden)])
            grad[-1] += carry
            rows, decays = grad.unbind(0), decay.unbind(0)
            for t in range(len(rows) - 1, 0, -1):
                rows[t - 1].addcmul_(decays[t], rows[t])
            carry = decays[0] * rows[0]
            torch.matmul(bt[part].transpose(-1, -2), grad, out=grad_u[part])
            grad_b[part] = torch.matmul(grad, ut[part].transpose(-1, -2))
            grad.mul_(decay)
            grad[1:].mul_(hidden[:-1])
            grad[0].mul_(before)
            grad_a += torch.mul(grad, st[part], out=decay).sum((0, 1))
            torch.sum(grad.mul_(at), dim=3, keepdim=True, out=grad_step[part])
        return (
            _time_last(grad_u),
            _time_last(grad_step),
            grad_a.transpose(1, 2).reshape(groups * channels, states),
            grad_b.squeeze(4).permute(1, 2, 3, 0),
            grad_c.squeeze(3).permute(1, 2, 3, 0),
        )


class _Chunk:
    """The two buffers that all chunks of a scan share: decays and hidden states."""

    def __init__(self, like: Tensor, states: int, steps: int) -> None:
        _, batch, groups, _, channels = like.shape
        shape = (steps, batch, groups, states, channels)
        self.decay, self.hidden = like.new_empty(shape), like.new_empty(shape)

    def run(
        self, u: Tensor, step: Tensor, a: Tensor, b: Tensor, before: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Fill the buffers for one chunk; returns hidden states and decays, time first."""
        decay = torch.mul(step, a, out=self.decay[: len(u)]).exp_()
        hidden = torch.mul(b, u, out=self.hidden[: len(u)])
        decays, rows = decay.unbind(0), hidden.unbind(0)
        rows[0].addcmul_(decays[0], before)
        for t in range(1, len(rows)):
            rows[t].addcmul_(decays[t], rows[t - 1])
        return hidden, decay


def _chunk_steps(like: Tensor, states: int) -> int:
    """Return how many positions make a chunk: as many as the cache holds."""
    length, batch, groups, _, channels = like.shape
    numbers = batch * groups * channels * states
    return max(1, min(length, CHUNK_STEPS, CHUNK_NUMBERS // numbers))


def _time_first(part: Tensor, groups: int) -> Tensor:
    """Turn [batch, groups × channels, length] into [length, batch, groups, 1, channels]."""
    batch, width, length = part.shape
    return part.permute(2, 0, 1).reshape(length, batch, groups, 1, width // groups)


def _time_last(part: Tensor) -> Tensor:
    """Turn [length, batch, groups, 1, channels] into [batch, groups × channels, length]."""
    length, batch, groups, _, channels = part.shape
    return part.view(length, batch, groups * channels).permute(1, 2, 0)
