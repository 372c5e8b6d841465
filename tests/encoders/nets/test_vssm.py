import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from clearbench.encoders.nets.build import build_net
from clearbench.encoders.nets.sizes import VssmSizes
from clearbench.encoders.nets.vssm import SS2D

SIZES = VssmSizes(depths=(1, 2), dims=(8, 20), ssm_d_state=3)


@pytest.fixture
def vssm() -> nn.Module:
    return build_net(SIZES, seed=0)


def images(height: int, width: int, count: int = 2) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def mixer(dim: int = 6, states: int = 3) -> SS2D:
    """Return a mixer in which nothing is zero or one, so that nothing can be swapped unseen."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = SS2D(dim, states).double()
        with torch.no_grad():
            for parameter in made.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
    return made


def published_scan(mix: SS2D, content: Tensor) -> Tensor:
    """Scan a map [h, w, inner] as VMamba does, one position of one direction at a time."""
    height, width, inner = content.shape
    rows = [(i, j) for i in range(height) for j in range(width)]
    columns = [(i, j) for j in range(width) for i in range(height)]
    decays = -mix.A_logs.exp().view(4, inner, mix.states)
    total = torch.zeros_like(content)
    for k, order in enumerate((rows, columns, rows[::-1], columns[::-1])):
        h = torch.zeros(inner, mix.states).to(content)
        for place in order:
            step, b, c = (mix.x_proj_weight[k] @ content[place]).split(
                [mix.rank, mix.states, mix.states]
            )
            delta = functional.softplus(mix.dt_projs_weight[k] @ step + mix.dt_projs_bias[k])
            u = delta * content[place]
            h = torch.exp(delta[:, None] * decays[k]) * h + u[:, None] * b
            total[place] += h @ c + mix.Ds.view(4, inner)[k] * content[place]
    return total


@pytest.mark.parametrize("side", [(3, 3), (2, 5), (5, 2), (1, 4), (1, 1)], ids=str)
@torch.no_grad()
def test_a_map_is_scanned_along_rows_and_columns_both_ways(side: tuple[int, int]) -> None:
    mix = mixer()
    rng = torch.Generator().manual_seed(1)
    maps = torch.randn(2, *side, 6, dtype=torch.float64, generator=rng)
    content, gate = mix.in_proj(maps).chunk(2, dim=-1)
    content = functional.silu(mix.conv2d(content.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
    scanned = torch.stack([published_scan(mix, one) for one in content])
    expected = mix.out_proj(mix.out_norm(scanned) * functional.silu(gate))
    torch.testing.assert_close(mix(maps), expected)


@pytest.mark.parametrize("side", [(32, 32), (32, 64), (37, 53), (8, 9)], ids=str)
def test_features_are_images_by_dim_for_any_image(vssm: nn.Module, side: tuple[int, int]) -> None:
    features = vssm(images(*side))
    assert features.shape == (2, 20)
    assert torch.isfinite(features).all()


def test_what_no_patch_holds_is_left_out(vssm: nn.Module) -> None:
    batch = images(37, 53)
    with torch.inference_mode():
        torch.testing.assert_close(vssm(batch), vssm(batch[..., :36, :52]))
        assert not torch.allclose(vssm(batch), vssm(batch[..., :32, :52]), atol=1e-4)


def test_every_parameter_learns(vssm: nn.Module) -> None:
    vssm(images(32, 48)).square().sum().backward()
    for name, parameter in vssm.named_parameters():
        assert parameter.requires_grad, name
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_an_image_is_embedded_alone(vssm: nn.Module) -> None:
    with torch.inference_mode():
        whole = vssm(images(32, 48))
        alone = torch.cat([vssm(image[None]) for image in images(32, 48)])
    torch.testing.assert_close(alone, whole)


def test_the_scan_starts_as_mambas_does() -> None:
    network: Any = build_net(VssmSizes(depths=(1,), dims=(32,), ssm_d_state=5), seed=0)
    mix = network.stages[0][0].op
    assert (mix.rank, mix.states) == (2, 5)
    torch.testing.assert_close(
        mix.A_logs.detach().exp(), torch.arange(1.0, 6).expand(4 * 64, 5), check_stride=False
    )
    assert (mix.Ds == 1).all()
    step = functional.softplus(mix.dt_projs_bias.detach())
    assert 0.001 * 0.999 <= step.min() < 0.002
    assert 0.05 < step.max() <= 0.1 * 1.001
    middle = math.log(0.001 * 0.1) / 2
    assert abs(step.log().mean().item() - middle) < 0.5, "as many small steps as large ones"


def test_the_mean_is_taken_after_the_norm(vssm: nn.Module) -> None:
    last = {}
    vssm.norm.register_forward_hook(lambda *given: last.update(maps=given[2]))
    with torch.inference_mode():
        features = vssm(images(32, 48))
        assert last["maps"].shape == (2, 4, 6, 20)
        torch.testing.assert_close(features, last["maps"].mean(dim=(1, 2)))


def test_half_precision_stays_near(vssm: nn.Module) -> None:
    with torch.inference_mode():
        exact = vssm(images(32, 32))
        with torch.autocast("cpu", torch.bfloat16):
            cast = vssm(images(32, 32)).float()
        coarse = vssm.to(torch.bfloat16)(images(32, 32).bfloat16())
    assert coarse.dtype == torch.bfloat16
    torch.testing.assert_close(cast, exact, rtol=0.05, atol=0.05)
    torch.testing.assert_close(coarse.float(), exact, rtol=0.1, atol=0.1)


def test_gradients_under_autocast_are_numbers(vssm: nn.Module) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loss = vssm(images(32, 32)).square().sum()
    loss.backward()
    assert all(torch.isfinite(part.grad).all() for part in vssm.parameters())
