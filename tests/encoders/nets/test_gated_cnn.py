from typing import Any

import pytest
import torch
from torch import Tensor, nn

from clearbench.encoders.nets.build import build_net, our_keys
from clearbench.encoders.nets.sizes import GatedCnnSizes

# isort: split
from timm.models.mambaout import MambaOut

SIZES = GatedCnnSizes(depths=(1, 2, 1), dims=(8, 12, 20))


@pytest.fixture
def gated_cnn() -> nn.Module:
    return build_net(SIZES, seed=0)


def images(height: int, width: int, count: int = 2) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("side", [(32, 32), (32, 64), (37, 53), (1, 7)], ids=str)
def test_features_are_images_by_dim_for_any_image(
    gated_cnn: nn.Module, side: tuple[int, int]
) -> None:
    features = gated_cnn(images(*side))
    assert features.shape == (2, 20)
    assert torch.isfinite(features).all()


@torch.inference_mode()
def test_features_are_timms_before_its_classifier(gated_cnn: nn.Module) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        timms: Any = MambaOut(num_classes=7, depths=SIZES.depths, dims=SIZES.dims).eval()
        for parameter in timms.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    state = timms.state_dict()
    heads = ("head.pre_logits", "head.fc")
    kept = {key: value for key, value in state.items() if not key.startswith(heads)}
    gated_cnn.load_state_dict(our_keys(kept, SIZES), strict=True)
    batch = images(40, 64)
    expected = timms.head.norm(timms.forward_features(batch).mean(dim=(1, 2)))
    torch.testing.assert_close(gated_cnn.eval()(batch), expected)


def test_every_parameter_learns(gated_cnn: nn.Module) -> None:
    gated_cnn(images(32, 48)).pow(3).sum().backward()
    for name, parameter in gated_cnn.named_parameters():
        assert parameter.requires_grad, name
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_an_image_is_embedded_alone_also_while_training(gated_cnn: nn.Module) -> None:
    whole = gated_cnn(images(32, 48))
    alone = torch.cat([gated_cnn(image[None]) for image in images(32, 48)])
    torch.testing.assert_close(alone, whole)


def test_features_are_normed(gated_cnn: nn.Module) -> None:
    features = gated_cnn(images(32, 48)).detach()
    torch.testing.assert_close(features.mean(dim=1), torch.zeros(2), atol=1e-5, rtol=0)
    spread = features.var(dim=1, unbiased=False)
    torch.testing.assert_close(spread, torch.ones(2), atol=0.01, rtol=0)
