"""open_clip models from a hub-shaped folder: `open_clip_config.json` beside the weights.

Only the visual tower is built, so the text tower's libraries and downloads are not needed.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clearbench.encoders import torchvision_cure  # noqa: F401  before open_clip, which imports torchvision

# isort: split
from huggingface_hub import hf_hub_download
from open_clip.model import _build_vision_tower

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights import HUB_ERROR, load_strictly, read_weights
from clearbench.errors import BadCard, WeightsUnavailable

CONFIG_FILE = "open_clip_config.json"
PREFIX = "visual."


class Tower(nn.Module):
    """A CLIP visual tower with its projection: images [b, 3, s, s] → features [b, dim]."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, images: Tensor) -> Tensor:
        """Embed a batch; not scaled to unit length."""
        features = self.visual(images)
        return torch.as_tensor(features[0] if isinstance(features, tuple) else features)


def build(card: EncoderCard, weights: Path | None) -> nn.Module:
    """Build an open_clip visual tower and load its weights strictly.

    Raises WeightsUnavailable if the configuration or the weights are missing or don't fit.
    """
    if card.pooling != "projection":
        raise BadCard(
            f"{card.title}: open_clip encoders have pooling = projection, not {card.pooling}"
        )
    if weights is None:
        raise BadCard(
            f"{card.title}: open_clip encoders need weights; source is hf-hub:… or a folder"
        )
    config = _config(card, weights)
    tower = Tower(_visual(config, weights))
    state = read_weights(weights)
    visual = {key[len(PREFIX) :]: v for key, v in state.items() if key.startswith(PREFIX)}
    load_strictly(tower.visual, visual or state, weights)
    return tower


def _config(card: EncoderCard, weights: Path) -> dict[str, Any]:
    """Read the configuration beside the weights, or the hub's."""
    path = weights.parent / CONFIG_FILE
    scheme, _, repository = card.source.partition(":")
    try:
        if not path.is_file() and scheme == "hf-hub":
            path = Path(hf_hub_download(repository, CONFIG_FILE, revision=card.revision))
        return dict(json.loads(path.read_text(encoding="utf-8"))["model_cfg"])
    except (HUB_ERROR, OSError) as error:
        raise WeightsUnavailable(
            f"no {CONFIG_FILE} beside {weights}; fetch it from {card.source}"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsUnavailable(f"{path}: not an open_clip configuration ({error})") from error


def _visual(config: dict[str, Any], where: Path) -> nn.Module:
    """Build the visual tower that a configuration describes."""
    try:
        vision = {
            key: value
            for key, value in config["vision_cfg"].items()
            if key != "timm_model_pretrained"
        }
        tower: nn.Module = _build_vision_tower(
            config["embed_dim"], vision, bool(config.get("quick_gelu"))
        )
    except (KeyError, TypeError, RuntimeError) as error:
        raise WeightsUnavailable(
            f"{where.parent / CONFIG_FILE}: open_clip can't build it ({error})"
        ) from error
    return tower
