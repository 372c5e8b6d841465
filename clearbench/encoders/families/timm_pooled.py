"""Pooling of a timm network: tokens or maps → one vector per image."""

from typing import Any

import torch
from torch import Tensor, nn

from clearbench.encoders import torchvision_patch  # noqa: F401  before timm, which imports torchvision

# isort: split
from timm.layers import LayerNorm2d

from clearbench.errors import BadCard


class Pooled(nn.Module):
    """A timm trunk with its card's pooling: images [b, c, h, w] → features [b, dim]."""

    def __init__(self, trunk: Any, pooling: str) -> None:
        super().__init__()
        self.trunk = trunk
        self.pooling = pooling

    def forward(self, images: Tensor) -> Tensor:
        """Embed a batch."""
        if self.pooling == "native":
            return torch.as_tensor(self.trunk(images))
        return _pool(self.trunk, self.trunk.forward_features(images), self.pooling)


def _pool(trunk: Any, features: Tensor, pooling: str) -> Tensor:
    """Pool tokens [b, t, d], maps [b, h, w, d] (channels last) or [b, d, h, w] to [b, d]."""
    prefix = int(getattr(trunk, "num_prefix_tokens", 0))
    if features.ndim == 4:
        if pooling != "mean":
            raise BadCard(f"pooling {pooling} needs a network with a class token")
        last = (
            getattr(trunk, "output_fmt", "NCHW") == "NHWC"
            or features.shape[-1] == trunk.num_features
        )
        return _normed(trunk, features.mean(dim=(1, 2) if last else (2, 3)))
    mean = features[:, prefix:].mean(dim=1)
    if pooling == "mean":
        norm = getattr(trunk, "fc_norm", None)
        return mean if norm is None else torch.as_tensor(norm(mean))
    if prefix == 0:
        raise BadCard(f"pooling {pooling} needs a network with a class token")
    first = features[:, 0]
    return first if pooling == "cls" else torch.cat([first, mean], dim=1)


def _normed(trunk: Any, pooled: Tensor) -> Tensor:
    """Apply the norm after the pooling of classifiers (MambaOut, ConvNeXt).

    Networks published without a classifier (SAM 2's Hiera) have no trained norm.
    """
    norm = getattr(getattr(trunk, "head", None), "norm", None)
    if not is_trained(trunk) or not isinstance(norm, nn.LayerNorm):
        return pooled
    shaped = pooled[:, :, None, None] if isinstance(norm, LayerNorm2d) else pooled
    return torch.as_tensor(norm(shaped)).flatten(1)


def is_trained(trunk: Any) -> bool:
    """Return whether the weights were published with a classifier."""
    return bool(trunk.pretrained_cfg.get("num_classes"))
