"""Layers that leave out the last rows of their input, found by shapes: nothing is computed."""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from clearbench.encoders.unseen.measure import CANT

FARTHEST_PX = 65  # how far a better size is looked for; networks halve an image five or six times


@dataclass(frozen=True)
class Steps:
    """Windows that a layer takes in steps along one axis of its input; all in px of that input.

    scale  how many px of the image one px of the layer's input stands for
    """

    axis: int
    size: int
    kernel: int
    stride: int
    padding: int = 0
    dilation: int = 1
    ceil: bool = False
    scale: int = 1

    @property
    def left_out(self) -> int:
        """How many of the last rows no window takes."""
        if self.ceil:  # the last window may reach beyond the end
            return 0
        reach = self.dilation * (self.kernel - 1) + 1
        windows = (self.size + 2 * self.padding - reach) // self.stride + 1
        taken = (self._last_row(windows, self.dilation * place) for place in range(self.kernel))
        return self.size - 1 - max(taken)

    def _last_row(self, windows: int, place: int) -> int:
        """Return the last row that some window has at a place of its own; -1 if there is none."""
        window = min(windows - 1, (self.size - 1 + self.padding - place) // self.stride)
        return max(-1, window * self.stride - self.padding + place) if window >= 0 else -1

    def at(self, size: int) -> "Steps":
        """Return the same windows on an input of another size."""
        return replace(self, size=size)


def leaving_out(network: nn.Module, shape: Sequence[int]) -> tuple[Steps, ...]:
    """Return the layers that leave out rows of an input [b, c, y, x] or [b, c, z, y, x].

    A deeper layer may leave out rows whose pixels reach the features on another way, so the
    network itself has the last word: clearbench.encoders.unseen.measure. Where the network can't
    run without numbers, its layers are listed by their settings.
    """
    found = _met(network, shape)
    return tuple(_by_settings(network, tuple(shape[2:]))) if found is None else found


def nearest_sizes(
    network: nn.Module, shape: Sequence[int], layers: Sequence[Steps], axis: int
) -> tuple[int, int]:
    """Return the next smaller and larger size of an axis at which no layer leaves anything out.

    A network that takes one size only is not run at others; its patches must divide the size.
    """
    along = [layer for layer in layers if layer.axis == axis]
    ours = [layer for layer in along if layer.scale == 1]
    size = shape[axis + 2]
    first = min(along, key=lambda layer: layer.scale)
    step = first.scale * first.stride
    below, above = size // step * step, (size // step + 1) * step

    def fits(other: int) -> bool:
        """Return whether an image of another size is seen whole."""
        if any(layer.at(other).left_out for layer in ours):
            return False
        # slices are square
        sides = [other] * len(shape[2:]) if len(shape) == 4 else list(shape[2:])
        sides[axis] = other
        return _met(network, (*shape[:2], *sides)) == ()

    smaller = range(size - 1, max(size - FARTHEST_PX, 0), -1)
    larger = range(size + 1, size + FARTHEST_PX)
    return next(filter(fits, smaller), below), next(filter(fits, larger), above)


def _met(network: nn.Module, shape: Sequence[int]) -> tuple[Steps, ...] | None:
    """Run a network without numbers; None if it can't."""
    recorder = _Recorder(tuple(shape[2:]))
    try:
        empty = _without_numbers(network)
        dtype = next((one.dtype for one in empty.parameters()), torch.float32)
        with torch.no_grad(), recorder:
            empty(torch.empty(*shape, device="meta", dtype=dtype))
    except CANT:
        return None
    return tuple(recorder.leaving_out())


def _without_numbers(network: nn.Module) -> nn.Module:
    """Copy a network with shapes but no numbers: what it remembers of a run stays in the copy."""
    tensors = [*network.parameters(), *network.buffers()]
    instead: dict[int, Any] = {
        id(tensor): nn.Parameter(torch.empty_like(tensor, device="meta"), requires_grad=False)
        if isinstance(tensor, nn.Parameter)
        else torch.empty_like(tensor, device="meta")
        for tensor in tensors
    }
    return copy.deepcopy(network, instead)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch is half typed
    """Notes the windows of every convolution and pooling, by the tensor that they are taken of."""

    def __init__(self, image: tuple[int, ...]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.image = image
        self.met: dict[int, list[list[Steps]]] = defaultdict(list)
        self.kept: list[Tensor] = []  # so that no other tensor gets the id of one that was freed

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and note its windows."""
        read = READERS.get(str(func.overloadpacket))
        if read is not None and args[0].ndim == len(self.image) + 2:
            self.met[id(args[0])].append([self._scaled(one) for one in read(*args)])
            self.kept.append(args[0])
        return func(*args, **(kwargs or {}))

    def _scaled(self, steps: Steps) -> Steps:
        """Add how many px of the image a px of the input stands for."""
        return replace(steps, scale=max(1, round(self.image[steps.axis] / max(1, steps.size))))

    def leaving_out(self) -> Iterator[Steps]:
        """Yield windows that leave out rows of a tensor of which no other layer takes them."""
        for readings in self.met.values():
            for along in zip(*readings, strict=True):
                if all(steps.left_out for steps in along):
                    yield along[0]


def _convolution(image: Tensor, weight: Tensor, _: Any, *more: Any) -> list[Steps]:
    """Return the windows of a convolution; a transposed one leaves nothing out."""
    stride, padding, dilation, transposed = more[:4]
    steps = [1] * len(stride) if transposed else stride
    return _steps(image, weight.shape[2:], steps, padding, dilation)


def _max_pool(
    image: Tensor, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil: Any = 0
) -> list[Steps]:
    """Return the windows of a pooling by the maximum."""
    return _steps(image, kernel, stride or kernel, padding, dilation, bool(ceil))


def _average_pool(
    image: Tensor, kernel: Any, stride: Any = (), padding: Any = 0, ceil: Any = 0, *_: Any
) -> list[Steps]:
    """Return the windows of a pooling by the mean."""
    return _steps(image, kernel, stride or kernel, padding, 1, bool(ceil))


def _im2col(image: Tensor, kernel: Any, dilation: Any, padding: Any, stride: Any) -> list[Steps]:
    """Return the windows of torch.nn.Unfold."""
    return _steps(image, kernel, stride, padding, dilation)


READERS: MappingProxyType[str, Callable[..., list[Steps]]] = MappingProxyType(
    {
        "aten.convolution": _convolution,
        "aten.max_pool2d_with_indices": _max_pool,
        "aten.max_pool3d_with_indices": _max_pool,
        "aten.avg_pool2d": _average_pool,
        "aten.avg_pool3d": _average_pool,
        "aten.im2col": _im2col,
    }
)


def _steps(
    image: Tensor, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool = False
) -> list[Steps]:
    """Return the windows along each axis; a single number is that of every axis."""
    sizes = tuple(image.shape[2:])
    each = [_each(fact, len(sizes)) for fact in (kernel, stride, padding, dilation)]
    along = zip(sizes, *each, strict=True)
    return [
        Steps(axis, size, width, step, more, gap, ceil)
        for axis, (size, width, step, more, gap) in enumerate(along)
    ]


def _each(fact: Any, axes: int) -> list[Any]:
    """Return a layer's setting for each axis."""
    values = list(fact) if isinstance(fact, Sequence) else [fact]
    return values * axes if len(values) == 1 else values


def _by_settings(network: nn.Module, image: tuple[int, ...]) -> Iterator[Steps]:
    """Yield patches that don't divide an image, by layers that cut it into patches."""
    for layer in network.modules():
        kernel, stride = getattr(layer, "kernel_size", None), getattr(layer, "stride", None)
        if kernel is None or stride is None or kernel in (1, (1,) * len(image)):
            continue
        windows = zip(_each(kernel, len(image)), _each(stride, len(image)), strict=False)
        for axis, (width, step) in enumerate(windows):
            steps = Steps(axis, image[axis], width, step)
            if width == step and getattr(layer, "padding", 0) in (0, (0,) * len(image)):
                yield from (steps,) if steps.left_out else ()
