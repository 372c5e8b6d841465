"""The Vision Transformer of LeCL: MoCo v3's (arXiv 2104.02057), from timm's parts."""

from itertools import pairwise
from typing import Any

from clearbench.encoders import torchvision_patch  # noqa: F401  before timm, which imports torchvision

# isort: split
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from clearbench.encoders.nets.sizes import PATCH_PX, VitSizes


class ConvStem(nn.Module):
    """Four convolutions of stride 2 instead of patches: [b, 3, h, w] → [b, tokens, dim]."""

    def __init__(self, img_size: tuple[int, int], embed_dim: int, **_: Any) -> None:
        super().__init__()
        self.grid_size = (img_size[0] // PATCH_PX, img_size[1] // PATCH_PX)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        widths = [3, *(embed_dim // 2**halvings for halvings in (3, 2, 1, 0))]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
        self.proj = nn.Sequential(*layers, nn.Conv2d(embed_dim, embed_dim, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Turn images into tokens."""
        return torch.as_tensor(self.proj(images)).flatten(2).transpose(1, 2)


def build_vit(sizes: VitSizes, size_px: tuple[int, int]) -> nn.Module:
    """Build images [b, 3, *size_px] → features [b, embed_dim]: the class token after a norm.

    Positions are fixed sines and cosines; they are not trained.
    """
    stem: dict[str, Any] = {"embed_layer": ConvStem} if sizes.conv_stem else {}
    network = VisionTransformer(
        img_size=size_px,
        patch_size=PATCH_PX,
        num_classes=0,
        embed_dim=sizes.embed_dim,
        depth=sizes.depth,
        num_heads=sizes.num_heads,
        weight_init="moco",
        **stem,
    )
    with torch.no_grad():
        network.pos_embed[0, 1:] = sincos_positions(network.patch_embed.grid_size, sizes.embed_dim)
        network.pos_embed[0, 0] = 0  # the class token has no place
    network.pos_embed.requires_grad_(False)
    return network  # type: ignore[no-any-return]  # timm is not typed


def sincos_positions(grid: tuple[int, int], dim: int) -> Tensor:
    """Return the position codes of a grid's tokens [rows × columns, dim], row after row.

    Sines and cosines of the row, then of the column, each at dim / 4 frequencies from 1 down to
    1 / 10,000 (MoCo v3's order).
    """
    frequencies = 10_000.0 ** -(torch.arange(dim // 4) / (dim // 4))
    row, column = torch.meshgrid(*(torch.arange(float(side)) for side in grid), indexing="ij")
    angles = [place.reshape(-1, 1) * frequencies for place in (row, column)]
    return torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1)
