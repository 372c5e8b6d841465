"""What a network never sees is measured on the network itself, to the last bit."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from clearbench.encoders.unseen.measure import Unseen, measure_structure, measure_values

IMAGES = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))


class Cut(nn.Module):
    """The mean of the pixels that are left after cutting the borders off, and of their squares."""

    def __init__(self, first: int = 0, last: int = 0, left: int = 0, right: int = 0) -> None:
        super().__init__()
        self.cut = first, last, left, right

    def forward(self, images: Tensor) -> Tensor:
        first, last, left, right = self.cut
        kept = images[..., first : 32 - last, left : 32 - right].flatten(1)
        return torch.stack([kept.mean(1), kept.square().mean(1)], dim=1)


@pytest.mark.parametrize("cut", [(0, 0, 0, 0), (0, 8, 0, 8), (3, 0, 0, 0), (1, 2, 4, 7)])
def test_borders_are_counted_to_the_row(cut: tuple[int, int, int, int]) -> None:
    first, last, left, right = cut
    expected = Unseen(((first, last), (left, right)), (32, 32))
    assert measure_values(Cut(*cut), IMAGES) == expected
    assert measure_structure(Cut(*cut), IMAGES) == expected
    assert expected.nothing == (cut == (0, 0, 0, 0))


class Weighted(nn.Module):
    """A weighted sum of the rows; the weights of the last four are given."""

    def __init__(self, last: float) -> None:
        super().__init__()
        weights = torch.ones(32)
        weights[-4:] = last
        self.weights = nn.Parameter(weights)

    def forward(self, images: Tensor) -> Tensor:
        return (images.mean(-1) * self.weights).sum(-1) + 1


def test_a_weight_that_single_precision_loses_is_seen_all_the_same() -> None:
    found = measure_values(Weighted(1e-12), IMAGES)
    assert found is not None
    assert found.nothing


def test_weights_of_zero_are_unseen_by_value_and_seen_by_structure() -> None:
    by_value = measure_values(Weighted(0), IMAGES)
    by_structure = measure_structure(Weighted(0), IMAGES)
    assert by_value is not None
    assert by_structure is not None
    assert by_value.borders == ((0, 4), (0, 0))
    assert by_structure.nothing


def test_a_dead_network_sees_nothing() -> None:
    class Dead(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.ones(len(images), 3)

    found = measure_values(Dead(), IMAGES)
    assert found is not None
    assert found.everything


def test_noise_tells_nothing() -> None:
    class Noisy(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return functional.dropout(images.flatten(1), 0.5, training=True)

    assert measure_values(Noisy(), IMAGES) is None
    assert measure_structure(Noisy(), IMAGES) is None


def test_images_are_left_as_they_were() -> None:
    before = IMAGES.clone()
    measure_values(Cut(), IMAGES)
    measure_structure(Cut(), IMAGES)
    assert torch.equal(IMAGES, before)


def test_volumes_have_a_third_axis() -> None:
    volume = torch.rand(1, 1, 10, 12, 14)
    network = nn.Conv3d(1, 1, 4, stride=4)
    found = measure_structure(network, volume)
    assert found is not None
    assert found.borders == ((0, 2), (0, 0), (0, 2))
