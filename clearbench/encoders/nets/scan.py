"""The selective scan of state space models: a fused kernel where there is one, else PyTorch.

The recurrence, per channel d and state n along positions t (Gu & Dao, arXiv 2312.00752, eq. 2):

    h_t = exp(Δ_t · A) · h_{t-1} + Δ_t · B_t · x_t        y_t = Σ_n C_t · h_t + D · x_t

Memory decides its speed, not arithmetic: every position has channels × states numbers. The PyTorch
scan works through chunks that stay in the processor's cache, one fused multiply-add per position,
and keeps only the state at the chunks' borders; the backward pass makes the rest again.
"""

import importlib
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

CHUNK_NUMBERS = 1 << 20  # numbers in one buffer of a chunk: 4 MiB, what caches hold


def scan_both_ways(  # noqa: PLR0913  the letters of the formula
    x: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, delta_bias: Tensor
) -> Tensor:
    """Scan g sequences forwards and backwards, and add the two up: [g, batch, length, channels].

    x        [g, batch, length, channels]
    delta    [2 g, batch, length, channels]; Δ = softplus(delta + delta_bias)
    a        [2 g, channels, states], negative
    b, c     [2 g, batch, length, states]
    d, delta_bias  [2 g, channels]
    The first g of the 2 g scan forwards, the last g backwards; nothing is given reversed. Computed
    in float32 (float64 if `x` is) also under autocast; differentiable once.
    """
    exact = torch.float64 if x.dtype == torch.float64 else torch.float32
    with torch.autocast(device_type=x.device.type, enabled=False):
        inputs = [part.to(exact) for part in (x, delta, a, b, c, d, delta_bias)]
        kernel = fused_kernel() if x.is_cuda and exact == torch.float32 else None
        scanned: Tensor = kernel_scan(kernel, *inputs) if kernel else _Scan.apply(*inputs)
    return scanned.to(x.dtype)


@lru_cache(maxsize=1)
def fused_kernel() -> Any:
    """Return mamba_ssm's CUDA kernel; None where the extra `mamba` is not installed."""
    try:
        module = importlib.import_module("mamba_ssm.ops.selective_scan_interface")
    except ImportError:
        return None
    return module.selective_scan_fn


def kernel_scan(kernel: Any, x: Tensor, delta: Tensor, a: Tensor, *rest: Tensor) -> Tensor:
    """Scan by mamba_ssm (selective_scan_fn), which knows only forwards; see scan_both_ways.

    It wants [batch, groups × channels, length].
    """
    b, c, d, delta_bias = rest
    g, channels = len(x), x.shape[3]
    wide = [_turned(torch.cat([x, x])), _turned(delta)]
    narrow = [_turned(b), _turned(c)]
    scanned: Tensor = kernel(
        *(part.permute(1, 0, 3, 2).flatten(1, 2).contiguous() for part in wide),
        a.flatten(0, 1).contiguous(),
        *(part.permute(1, 0, 3, 2).contiguous() for part in narrow),
        d.flatten().contiguous(),
        delta_bias=delta_bias.flatten().contiguous(),
        delta_softplus=True,
    )
    both: Tensor = scanned.unflatten(1, (2 * g, channels)).permute(1, 0, 3, 2)
    return both[:g] + both[g:].flip(2)


def _turned(part: Tensor) -> Tensor:
    """Reverse the last half of the groups in time."""
    half = len(part) // 2
    return torch.cat([part[:half], part[half:].flip(2)])


class _Scan(torch.autograd.Function):
    """The scan and its gradient, chunk by chunk; see scan_both_ways."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        x, _, a = inputs[:3]
        out = torch.zeros_like(x, memory_format=torch.contiguous_format)
        work = _Buffers(x, a)
        before, borders = work.start(), []
        for part in work.forwards():
            borders += [before] if any(ctx.needs_input_grad) else []
            at = _part_of(inputs, part)
            hidden = work.run(at, before)[0]
            before = hidden[:, :, -1].clone()
            _add_back(out, part, torch.addcmul(at.c.matmul(hidden), at.x, at.d))
        ctx.save_for_backward(*inputs, *borders)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(device_type=grads[0].device.type, enabled=False):
            return _backward(ctx, grads[0])


def _backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, ...]:
    """Go through the chunks from the last to the first, each run again from its border."""
    inputs, borders = ctx.saved_tensors[:7], ctx.saved_tensors[7:]
    found = [torch.zeros(part.shape).to(part) for part in inputs]
    work = _Buffers(inputs[0], inputs[2])
    buffer, carry = torch.empty_like(work.hidden), work.start()
    for part, before in zip(reversed(work.forwards()), reversed(borders), strict=True):
        at = _part_of(inputs, part)
        grad_y = _both(grad_out, part)
        hidden, decay, step, u = work.run(at, before)
        grad_c = grad_y.matmul(hidden.transpose(-1, -2))
        grad = torch.mul(at.c.transpose(-1, -2), grad_y, out=_cut(buffer, hidden.shape))
        carry = _back_in_time(grad, decay, carry)
        grad_b = grad.matmul(u.transpose(-1, -2))
        grad_u = at.b.transpose(-1, -2).matmul(grad)
        grad.mul_(decay)
        grad[:, :, 1:].mul_(hidden[:, :, :-1])
        grad[:, :, 0].mul_(before)
        grad_a = torch.mul(grad, step, out=decay).sum((1, 2))
        grad_step = grad.mul_(at.a).sum(dim=3, keepdim=True).addcmul_(grad_u, at.x)
        grad_delta = grad_step.mul_(torch.sigmoid(at.delta + at.bias))
        _add_back(found[0], part, (grad_u * step).addcmul_(grad_y, at.d))
        for slot, value in ((1, grad_delta), (3, grad_b.transpose(-1, -2)), (4, grad_c)):
            _put(found[slot], part, value)
        found[2] += grad_a.transpose(1, 2)
        found[5] += (grad_y * at.x).sum((1, 2, 3))
        found[6] += grad_delta.sum((1, 2, 3))
    return tuple(found)


class _Part(NamedTuple):
    """One chunk of what a scan reads, each sequence in its own order of time.

    x, Δ [2 g, batch, t, 1, channels], B [2 g, batch, t, states, 1], C [2 g, batch, t, 1, states],
    A [2 g, 1, 1, states, channels], D and Δ's bias [2 g, 1, 1, 1, channels].
    """

    x: Tensor
    delta: Tensor
    a: Tensor
    b: Tensor
    c: Tensor
    d: Tensor
    bias: Tensor


def _part_of(inputs: Sequence[Tensor], part: slice) -> _Part:
    """Cut one chunk out of the inputs."""
    x, delta, a, b, c, d, bias = inputs
    return _Part(
        _both(x, part),
        _cut_both(delta, part).unsqueeze(3),
        a.transpose(1, 2)[:, None, None].contiguous(),
        _cut_both(b, part).unsqueeze(4),
        _cut_both(c, part).unsqueeze(3),
        d[:, None, None, None],
        bias[:, None, None, None],
    )


def _mirrored(part: slice, length: int) -> slice:
    """Return the positions that the backward scans reach when the forward ones reach `part`."""
    return slice(max(0, length - part.stop), length - part.start)


def _both(values: Tensor, part: slice) -> Tensor:
    """Cut a chunk of [g, …], once forwards and once backwards: [2 g, batch, t, 1, channels]."""
    back = values[:, :, _mirrored(part, values.shape[2])].flip(2)
    return torch.cat([values[:, :, part], back]).unsqueeze(3)


def _cut_both(values: Tensor, part: slice) -> Tensor:
    """Cut a chunk of [2 g, …], the last half backwards."""
    half = len(values) // 2
    back = values[half:, :, _mirrored(part, values.shape[2])].flip(2)
    return torch.cat([values[:half, :, part], back])


def _put(whole: Tensor, part: slice, value: Tensor) -> None:
    """Write a chunk back to its place; the reverse of _cut_both."""
    half = len(whole) // 2
    flat = value.squeeze(3)
    whole[:half, :, part] = flat[:half]
    whole[half:, :, _mirrored(part, whole.shape[2])] = flat[half:].flip(2)


def _add_back(whole: Tensor, part: slice, value: Tensor) -> None:
    """Add both directions of a chunk up at their place; the reverse of _both."""
    half = len(whole)
    flat = value.squeeze(3)
    whole[:, :, part] += flat[:half]
    whole[:, :, _mirrored(part, whole.shape[2])] += flat[half:].flip(2)


class _Buffers:
    """Decays and hidden states of one chunk [2 g, batch, t, states, channels], used over and over.

    Groups come first in every operation, so that each thread keeps to its own ones and its cache.
    """

    def __init__(self, x: Tensor, a: Tensor) -> None:
        groups, self.length, states = len(a), x.shape[2], a.shape[2]
        self.border = (groups, x.shape[1], states, x.shape[3])
        numbers = math.prod(self.border)
        self.steps = max(1, min(self.length, CHUNK_NUMBERS // numbers))
        self.decay, self.hidden = (x.new_empty(self.steps * numbers) for _ in range(2))

    def start(self) -> Tensor:
        """Return the state before the first position: zeros."""
        return self.hidden.new_zeros(self.border)

    def forwards(self) -> list[slice]:
        """Return the positions of each chunk, in the order of time."""
        starts = range(0, self.length, self.steps)
        return [slice(at, min(at + self.steps, self.length)) for at in starts]

    def run(self, at: _Part, before: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Fill the buffers for one chunk; returns hidden states, decays, Δ and Δ · x."""
        groups, batch, states, channels = self.border
        shape = (groups, batch, at.x.shape[2], states, channels)
        step = functional.softplus(at.delta + at.bias)
        u = step * at.x
        decay = torch.mul(step, at.a, out=_cut(self.decay, shape)).exp_()
        hidden = torch.mul(at.b, u, out=_cut(self.hidden, shape))
        decays, rows = decay.unbind(2), hidden.unbind(2)
        rows[0].addcmul_(decays[0], before)
        for t in range(1, len(rows)):
            rows[t].addcmul_(decays[t], rows[t - 1])
        return hidden, decay, step, u


def _cut(buffer: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the beginning of a flat buffer in another shape."""
    return buffer[: math.prod(shape)].view(shape)


def _back_in_time(grad: Tensor, decay: Tensor, carry: Tensor) -> Tensor:
    """Add to each state's gradient what comes from later ones; returns what goes on to earlier."""
    rows, decays = grad.unbind(2), decay.unbind(2)
    rows[-1].add_(carry)
    for t in range(len(rows) - 1, 0, -1):
        rows[t - 1].addcmul_(decays[t], rows[t])
    return decays[0] * rows[0]
