"""open_clip models: the visual tower that a card describes, or one of open_clip's by name.

Only the visual tower is built, so the text tower's libraries and downloads are not needed. `sizes`
is open_clip's own configuration (`model_cfg`) less the text tower: embed_dim, quick_gelu and
vision_cfg; or `net` names one of open_clip's configurations.
"""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clearbench.encoders import torchvision_cure  # noqa: F401  before open_clip, which imports torchvision

# isort: split
import open_clip
from open_clip.model import CLIPVisionCfg, _build_vision_tower
from open_clip.transform import PreprocessCfg

from clearbench.cards import check_card
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights.hub import fetch_file
from clearbench.encoders.weights.load import (
    load_strictly,
    read_weights,
    without_unused,
)
from clearbench.errors import BadCard, BadRequest, UnknownName, suggestion

CONFIG_FILE = "open_clip_config.json"
PREFIX = "visual."
PRETRAINED = "timm_model_pretrained"
SIZES = ("embed_dim", "quick_gelu", "vision_cfg")
VISION = tuple(field.name for field in fields(CLIPVisionCfg) if field.name != PRETRAINED)
SCALE = ("logit_scale", "logit_bias")
OWN_TEXT = ("text.", *SCALE)  # of models whose text tower is a module of its own
CLIP_TEXT = (
    "transformer.",
    "token_embedding.",
    "positional_embedding",
    "ln_final.",
    "text_projection",
    "attn_mask",
    *SCALE,
)


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
    """Build a card's visual tower and load its weights strictly; None means seeded random ones.

    Raises BadCard for sizes open_clip can't build, UnknownName for a net it lacks,
    WeightsUnavailable for weights of another tower.
    """
    if card.pooling != "projection":
        raise BadCard(
            f"{card.title}: open_clip encoders have pooling = projection, not {card.pooling}"
        )
    sizes = _sizes(card)
    if weights is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(card.seed)
            return _tower(sizes, card.title)
    tower = _tower(sizes, card.title)
    state = without_unused(read_weights(weights), card)
    alone = not any(key.startswith(PREFIX) for key in state)
    load_strictly(tower, {PREFIX * alone + key: v for key, v in state.items()}, weights)
    return tower


def describe(place: str) -> EncoderCard:
    """Fill in a card from open_clip's configuration in a folder, or in a hub's (hf-hub:org/name).

    Raises BadRequest for a place without one, WeightsUnavailable if the hub can't be reached.
    """
    path = _config_file(place)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        model, seen = config["model_cfg"], config.get("preprocess_cfg", {})
        vision = _told(model["vision_cfg"])
        preprocess = PreprocessCfg(**_known(seen))
        sizes = {"embed_dim": model["embed_dim"], "vision_cfg": vision}
        unused = _text_keys(model)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise BadRequest(f"{path}: not an open_clip configuration ({error})") from error
    if model.get("quick_gelu"):
        sizes["quick_gelu"] = True
    hub = place.startswith("hf-hub:")
    facts = {
        "title": f"{Path(place.partition(':')[2]).name if hub else path.parent.name} (open_clip)",
        "family": "open_clip",
        "source": place if hub else f"file:{path.parent}",
        "dim": sizes["embed_dim"],
        "pooling": "projection",
        "sizes": sizes,
        "weights": {"licence": "unknown", "unused": unused},
        "input": _input(preprocess, vision.get("image_size", CLIPVisionCfg.image_size)),
    }
    card = check_card(facts, EncoderCard, str(path))
    return _with_parameters(card)


def _config_file(place: str) -> Path:
    """Find the configuration in a folder, in the hub's cache, or at the hub."""
    scheme, _, repository = place.partition(":")
    if scheme != "hf-hub":
        path = Path(place).resolve() / CONFIG_FILE
        if not path.is_file():
            raise BadRequest(f"{place}: no {CONFIG_FILE} there; type hf-hub:org/name or a folder")
        return path
    return fetch_file(repository, CONFIG_FILE)


def _told(vision: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is blank (TOML has no null), and whether timm's own weights are fetched."""
    return {key: v for key, v in vision.items() if v is not None and key != PRETRAINED}


def _known(seen: dict[str, Any]) -> dict[str, Any]:
    """Keep what open_clip's preprocessing knows."""
    return {key: v for key, v in seen.items() if key in PreprocessCfg.__dataclass_fields__}


def _input(preprocess: PreprocessCfg, image_size: Any) -> dict[str, Any]:
    """Say what the tower sees: the size of the tower, the rest as images are prepared for it."""
    return {
        "size_px": _square(image_size),
        "views": "free",
        "default_views": ("lung", "mediastinum"),
        "resample": "bilinear" if preprocess.interpolation == "bilinear" else "bicubic",
        "mean": preprocess.mean,
        "std": preprocess.std,
    }


def _square(image_size: Any) -> int:
    """Return the side of a square image size, one number or two."""
    sides = set(image_size) if isinstance(image_size, list | tuple) else {image_size}
    if len(sides) != 1:
        raise BadRequest(f"image_size {image_size}: slices are padded to squares")
    return int(sides.pop())


def _text_keys(model: dict[str, Any]) -> tuple[str, ...]:
    """Name what of a file with both towers is not the visual one."""
    if "multimodal_cfg" in model:
        return (*OWN_TEXT, "text_decoder.")
    own = model.get("custom_text") or "hf_model_name" in model.get("text_cfg", {})
    return OWN_TEXT if own else CLIP_TEXT


def _with_parameters(card: EncoderCard) -> EncoderCard:
    """Count a tower's parameters; nothing is allocated."""
    with torch.device("meta"):
        tower = _tower(_sizes(card), card.title)
    count = sum(parameter.numel() for parameter in tower.parameters())
    facts = card.facts.model_copy(update={"parameters_m": round(count / 1e6, 2)})
    return card.model_copy(update={"facts": facts})


def _sizes(card: EncoderCard) -> dict[str, Any]:
    """Return the configuration that a card holds or names."""
    if card.net:
        if card.sizes:
            raise BadCard(f"{card.title}: net names all sizes; leave net or [sizes] out")
        if card.net not in open_clip.list_models():
            raise UnknownName.among("open_clip model", card.net, open_clip.list_models())
        model = open_clip.get_model_config(card.net)
        sizes = {key: model[key] for key in SIZES if key in model}
        sizes["vision_cfg"].pop(PRETRAINED, None)
    else:
        sizes = card.sizes
        _refuse_unknown(card.title, "sizes", sizes, SIZES)
        for key in ("embed_dim", "vision_cfg"):
            if key not in sizes:
                raise BadCard(f"{card.title}: sizes.{key} is missing, and net names no model")
        _refuse_unknown(card.title, "sizes.vision_cfg", sizes["vision_cfg"], VISION)
    side = _square(sizes["vision_cfg"].get("image_size", CLIPVisionCfg.image_size))
    if card.seen.size_px != side:
        raise BadCard(f"{card.title}: size_px is {card.seen.size_px}, and image_size {side}")
    return sizes


def _refuse_unknown(title: str, table: str, facts: Any, known: tuple[str, ...]) -> None:
    """Refuse a key that open_clip doesn't know."""
    if not isinstance(facts, dict):
        raise BadCard(f"{title}: {table} is a table of open_clip's sizes, not {facts!r}")
    for key in facts:
        if key == PRETRAINED:
            raise BadCard(f"{title}: leave {table}.{key} out; weights are the card's")
        if key not in known:
            raise BadCard(f"{title}: unknown key {table}.{key}{suggestion(key, known)}")


def _tower(sizes: dict[str, Any], title: str) -> Tower:
    """Build the visual tower of a configuration."""
    vision = dict(sizes["vision_cfg"])
    try:
        return Tower(_build_vision_tower(sizes["embed_dim"], vision, bool(sizes.get("quick_gelu"))))
    except (TypeError, ValueError, RuntimeError, AssertionError, LookupError) as error:
        raise BadCard(f"{title}: open_clip can't build these sizes ({error})") from error
