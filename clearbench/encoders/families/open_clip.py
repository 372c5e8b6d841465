"""open_clip models: a visual tower by the card's sizes, or by open_clip's name.

Only the visual tower is built, so the text tower's libraries and downloads are not needed. `sizes`
is open_clip's configuration (`model_cfg`) without the text tower: embed_dim, quick_gelu and
vision_cfg; or `net` names one of open_clip's configurations.
"""

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clearbench.bounded import read_json
from clearbench.encoders import torchvision_patch  # noqa: F401  before open_clip, which imports torchvision

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
from clearbench.encoders.weights.networks import without_wrappers
from clearbench.errors import BadCard, BadRequest, UnknownName, suggestion

CONFIG_FILE = "open_clip_config.json"
PREFIX = "visual."
PRETRAINED = "timm_model_pretrained"
SIZES = ("embed_dim", "quick_gelu", "vision_cfg")
VISION = tuple(field.name for field in fields(CLIPVisionCfg) if field.name != PRETRAINED)
SCALE = ("logit_scale", "logit_bias")
TEXT_MODULE = ("text.", *SCALE)  # keys of models with the text tower in a separate module
CLIP_TEXT = (
    "transformer.",
    "token_embedding.",
    "positional_embedding",
    "ln_final.",
    "text_projection",
    "attn_mask",
    *SCALE,
)


MOST_LAYERS, MOST_WIDTH = 1000, 1_000_000


class Tower(nn.Module):
    """A CLIP visual tower with its projection: images [b, 3, s, s] → features [b, dim]."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, images: Tensor) -> Tensor:
        """Embed a batch; features are not scaled to unit length."""
        features = self.visual(images)
        # some towers return their tokens too
        return torch.as_tensor(features[0] if isinstance(features, tuple) else features)


def build(card: EncoderCard, weights: Path | None) -> nn.Module:
    """Build a card's visual tower; without `weights` they are random, seeded.

    Raises BadCard for sizes that open_clip can't build, UnknownName for an unknown net,
    WeightsUnavailable for weights of another tower.
    """
    if card.pooling != "projection":
        raise BadCard(f"{card.title}: pooling of open_clip must be projection, not {card.pooling}")
    sizes = _sizes(card)
    if weights is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(card.seed)
            return _tower(sizes, card.title)
    tower = _tower(sizes, card.title)
    # checkpoints of open_clip's own training are wrapped in module.
    state = without_wrappers(read_weights(weights, card.weights.ema))
    state = without_unused(state, card)
    # a file of the tower alone has no prefix
    only_visual = not any(key.startswith(PREFIX) for key in state)
    load_strictly(tower, {PREFIX * only_visual + key: v for key, v in state.items()}, weights)
    return tower


def describe(place: str) -> EncoderCard:
    """Fill in a card from open_clip's configuration, in a folder or a hub (hf-hub:org/name).

    Raises BadRequest if there is no configuration, WeightsUnavailable if the hub can't be reached.
    """
    path = _config_file(place)
    try:
        config = read_json(path)
        model, seen = config["model_cfg"], config.get("preprocess_cfg", {})
        vision = _without_blanks(model["vision_cfg"])
        preprocess = PreprocessCfg(**_known_settings(seen))
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
            raise BadRequest(f"{place}: no {CONFIG_FILE} in it; give hf-hub:org/name or a folder")
        return path
    return fetch_file(repository, CONFIG_FILE)


def _without_blanks(vision: dict[str, Any]) -> dict[str, Any]:
    """Leave out blank values, because TOML has no null, and the download of timm's weights."""
    return {key: v for key, v in vision.items() if v is not None and key != PRETRAINED}


def _known_settings(seen: dict[str, Any]) -> dict[str, Any]:
    """Keep the settings of open_clip's preprocessing."""
    return {key: v for key, v in seen.items() if key in PreprocessCfg.__dataclass_fields__}


def _input(preprocess: PreprocessCfg, image_size: Any) -> dict[str, Any]:
    """Return [input] of a card: the tower's size, and the preprocessing of images."""
    return {
        "size_px": _square(image_size),
        "views": "free",
        "default_views": ("lung", "mediastinum"),
        "resample": "bilinear" if preprocess.interpolation == "bilinear" else "bicubic",
        "mean": preprocess.mean,
        "std": preprocess.std,
    }


def _square(image_size: Any) -> int:
    """Return the side of a square image size, which is one number or two."""
    sides = list(image_size) if isinstance(image_size, list | tuple) else [image_size]
    if not sides or any(side != sides[0] for side in sides):
        raise BadRequest(
            f"image_size {image_size}: must be square, as slices are padded to squares"
        )
    side = sides.pop()
    if not isinstance(side, int):
        raise BadRequest(f"image_size {image_size!r}: must be a whole number")
    return side


def _text_keys(model: dict[str, Any]) -> tuple[str, ...]:
    """Return the prefixes of keys that are not part of the visual tower."""
    if "multimodal_cfg" in model:
        return (*TEXT_MODULE, "text_decoder.")
    separate = model.get("custom_text") or "hf_model_name" in model.get("text_cfg", {})
    return TEXT_MODULE if separate else CLIP_TEXT


def _with_parameters(card: EncoderCard) -> EncoderCard:
    """Add the number of a tower's parameters; no memory is allocated."""
    with torch.device("meta"):
        tower = _tower(_sizes(card), card.title)
    count = sum(parameter.numel() for parameter in tower.parameters())
    facts = card.facts.model_copy(update={"parameters_m": round(count / 1e6, 2)})
    return card.model_copy(update={"facts": facts})


def _sizes(card: EncoderCard) -> dict[str, Any]:
    """Return the configuration in a card, or the one it names."""
    if card.net:
        if card.sizes:
            raise BadCard(f"{card.title}: net fixes all sizes; leave net or [sizes] out")
        if card.net not in open_clip.list_models():
            raise UnknownName.among("open_clip model", card.net, open_clip.list_models())
        model = open_clip.get_model_config(card.net)
        sizes = {key: model[key] for key in SIZES if key in model}
        # else open_clip downloads timm's weights first
        sizes["vision_cfg"].pop(PRETRAINED, None)
    else:
        sizes = card.sizes
        _refuse_unknown(card.title, "sizes", sizes, SIZES)
        for key in ("embed_dim", "vision_cfg"):
            if key not in sizes:
                raise BadCard(
                    f"{card.title}: sizes.{key} is missing; add it, or name a model as net"
                )
        _refuse_unknown(card.title, "sizes.vision_cfg", sizes["vision_cfg"], VISION)
    side = _square(sizes["vision_cfg"].get("image_size", CLIPVisionCfg.image_size))
    if card.seen.size_px != side:
        raise BadCard(f"{card.title}: size_px is {card.seen.size_px}, but image_size is {side}")
    return sizes


def _refuse_unknown(title: str, table: str, facts: Any, known: tuple[str, ...]) -> None:
    """Refuse a key that open_clip doesn't have."""
    if not isinstance(facts, dict):
        raise BadCard(f"{title}: {table} must be a table of open_clip's sizes, not {facts!r}")
    for key in facts:
        if key == PRETRAINED:
            raise BadCard(f"{title}: leave {table}.{key} out; the card names the weights")
        if key not in known:
            raise BadCard(f"{title}: unknown key {table}.{key}{suggestion(key, known)}")


def _tower(sizes: dict[str, Any], title: str) -> Tower:
    """Build the visual tower of a configuration."""
    vision = dict(sizes["vision_cfg"])
    _refuse_huge(sizes, title)
    try:
        return Tower(_build_vision_tower(sizes["embed_dim"], vision, bool(sizes.get("quick_gelu"))))
    except (TypeError, ValueError, RuntimeError, AssertionError, LookupError) as error:
        first = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise BadCard(f"{title}: open_clip can't build these sizes ({first})") from error


def _refuse_huge(sizes: dict[str, Any], title: str) -> None:
    """Refuse sizes that no network has, before their layers are made one by one."""
    for table in (sizes, sizes["vision_cfg"]):
        for key, value in table.items():
            most = MOST_LAYERS if key == "layers" else MOST_WIDTH
            for number in value if isinstance(value, list | tuple) else (value,):
                if isinstance(number, int | float) and not abs(number) <= most:
                    raise BadCard(f"{title}: {key} is more than {most:,}, which no network has")
