"""Which layers leave out rows is found by shapes alone."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from clearbench.encoders.unseen.layers import Steps, leaving_out, nearest_sizes


def rows(network: nn.Module, size: int) -> list[int]:
    """Return how many of the last rows each layer leaves out."""
    return [one.left_out for one in leaving_out(network, (1, 1, size, size)) if one.axis == 0]


@settings(deadline=None, max_examples=60)
@given(
    size=st.integers(8, 40),
    kernel=st.integers(1, 6),
    stride=st.integers(1, 6),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
)
def test_left_out_rows_are_those_without_a_gradient(
    size: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    steps = Steps(0, size, kernel, stride, padding, dilation)
    layer = nn.Conv2d(1, 1, kernel, stride, padding, dilation)
    image = torch.ones(1, 1, size, size, requires_grad=True)
    if size + 2 * padding < dilation * (kernel - 1) + 1:
        return
    nn.init.ones_(layer.weight)
    layer(image).sum().backward()
    assert image.grad is not None
    seen = image.grad[0, 0].sum(1).nonzero()
    assert steps.left_out == size - 1 - (int(seen.max()) if len(seen) else -1)


@pytest.mark.parametrize(
    ("layer", "size", "left_out"),
    [
        (nn.Conv2d(1, 2, 14, stride=14), 512, [8]),
        (nn.Conv2d(1, 2, 14, stride=14), 504, []),
        (nn.Conv2d(1, 2, 3, stride=2), 224, [1]),
        (nn.Conv2d(1, 2, 3, stride=2), 225, []),
        (nn.Conv2d(1, 2, 3, stride=2, padding=1), 224, []),
        (nn.ConvTranspose2d(1, 2, 2, stride=2), 33, []),
        (nn.MaxPool2d(4), 30, [2]),
        (nn.MaxPool2d(4, ceil_mode=True), 30, []),
        (nn.AvgPool2d(4), 30, [2]),
        (nn.Unfold(7, stride=7), 30, [2]),
        (nn.AdaptiveAvgPool2d(7), 30, []),
    ],
)
def test_every_kind_of_window_is_read(layer: nn.Module, size: int, left_out: list[int]) -> None:
    assert rows(layer, size) == left_out


class Padding(nn.Module):
    """Patches of 14 px, after padding to a multiple of them, as timm's dynamic_img_pad does."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 2, 14, stride=14)

    def forward(self, images: Tensor) -> Tensor:
        more = -images.shape[-1] % 14
        return torch.as_tensor(self.patches(functional.pad(images, (0, more, 0, more))))


def test_a_network_that_pads_leaves_nothing_out() -> None:
    assert rows(Padding(), 512) == []


class Shortcut(nn.Module):
    """A block whose shortcut takes every second pixel, and whose other branch takes all."""

    def __init__(self) -> None:
        super().__init__()
        self.short, self.long = nn.Conv2d(1, 2, 1, stride=2), nn.Conv2d(1, 2, 3, 2, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return torch.as_tensor(self.short(images) + self.long(images))


def test_what_another_layer_takes_of_the_same_tensor_is_not_left_out() -> None:
    assert rows(Shortcut(), 32) == []


class Remembering(nn.Module):
    """A foreign network that keeps a grid of its first run."""

    grid: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 2, 4, stride=4)

    def forward(self, images: Tensor) -> Tensor:
        if self.grid is None:
            self.grid = torch.ones(1, device=images.device)
        return torch.as_tensor(self.patches(images) * self.grid)


def test_the_network_itself_is_left_as_it_was() -> None:
    network = Remembering()
    assert rows(network, 30) == [2]
    assert network.grid is None
    assert network(torch.ones(1, 1, 32, 32)).device.type == "cpu"


class Counting(Remembering):
    """A network that can't run without numbers."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images * float(images.mean()))


def test_layers_of_a_network_that_needs_numbers_are_listed_by_their_settings() -> None:
    assert rows(Counting(), 30) == [2]
    assert rows(Counting(), 32) == []


class Fixed(nn.Module):
    """Patches of 16 px for one size of image, as a ViT with its positions."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 2, 16, stride=16)
        self.positions = nn.Parameter(torch.ones((size // 16) ** 2))

    def forward(self, images: Tensor) -> Tensor:
        return torch.as_tensor(self.patches(images).flatten(2) + self.positions)


def stages() -> nn.Module:
    """Make a stem of 4 px patches, then halvings: its total stride is 16."""
    halvings = [nn.Conv2d(2, 2, 2, stride=2) for _ in range(2)]
    return nn.Sequential(nn.Conv2d(1, 2, 4, stride=4), *halvings)


def stem() -> nn.Module:
    """Make windows of 3 px in steps of 2, twice: 4 n + 3 px leave nothing out."""
    return nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.Conv2d(2, 2, 3, stride=2))


@pytest.mark.parametrize(
    ("network", "size", "nearest"),
    [
        (Fixed(230), 230, (224, 240)),
        (nn.Conv2d(1, 2, 14, stride=14), 512, (504, 518)),
        (stages(), 230, (224, 240)),
        (stem(), 224, (223, 227)),
    ],
    ids=["one size", "patches", "stages", "overlapping windows"],
)
def test_the_nearest_sizes_leave_nothing_out(
    network: nn.Module, size: int, nearest: tuple[int, int]
) -> None:
    shape = (1, 1, size, size)
    assert nearest_sizes(network, shape, leaving_out(network, shape), 0) == nearest
