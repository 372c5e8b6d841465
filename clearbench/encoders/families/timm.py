"""timm models: any architecture by name, weights from a hub, a package, a file or a seed.

`net` is timm's name of the architecture, with the tag of its weights if it has one
(resnet50.a1_in1k). A slice is resized whole, without timm's crop (crop_pct), because the border of
a CT slice may show the body.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from clearbench.encoders import torchvision_patch  # noqa: F401  before timm, which imports torchvision

# isort: split
import timm
from timm.models.vision_transformer import VisionTransformer

from clearbench.cards import check_card
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.families.timm_keys import fit_keys
from clearbench.encoders.families.timm_pooled import Pooled, is_trained
from clearbench.encoders.unseen.refusal import other_sizes
from clearbench.encoders.weights.load import load_strictly, read_weights, without_unused
from clearbench.errors import BadCard, BadRequest, UnknownName, WeightsUnavailable

HUB = "https://huggingface.co/"
VIEWS = ("lung", "mediastinum")
LICENCES = MappingProxyType(
    {"apache-2.0": "Apache-2.0", "mit": "MIT", "bsd-3-clause": "BSD-3-Clause"}
)  # timm's name → name in cards; Creative Commons licences are written in capitals
REFUSED = (TypeError, ValueError, RuntimeError, AssertionError, LookupError, AttributeError)


def build(card: EncoderCard, weights: Path | None) -> nn.Module:
    """Build a timm encoder; without `weights` they are random, with the seed of the card's source.

    Raises UnknownName for an unknown architecture, WeightsUnavailable for another's weights.
    """
    if weights is not None:
        return Pooled(
            load_trunk(card, read_weights(weights, card.weights.ema), weights), card.pooling
        )
    _check(card)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(card.seed)
        return Pooled(_create(card), card.pooling)


def load_trunk(card: EncoderCard, state: dict[str, Any], where: Path) -> nn.Module:
    """Build a timm network with the weights of a state dict; `where` is its file, for errors.

    Raises UnknownName for an unknown architecture, WeightsUnavailable for another's weights.
    """
    trunk = make_trunk(card)
    used = without_unused(state, card)
    try:
        fitted = fit_keys(trunk, used, card.source.startswith("pypi:"))
    except REFUSED as error:
        raise WeightsUnavailable(f"{where}: weights of another network than {card.net}") from error
    load_strictly(trunk, fitted, where)
    return trunk


def make_trunk(card: EncoderCard) -> nn.Module:
    """Make a card's network without its classifier; raises UnknownName, or BadCard for sizes."""
    _check(card)
    trunk: nn.Module = _create(card)
    return trunk


def fit_state(trunk: nn.Module, state: dict[str, Any], card: EncoderCard) -> dict[str, Any]:
    """Rename a state dict for a trunk, without a classifier; what can't be renamed stays."""
    try:
        return fit_keys(trunk, without_unused(state, card), other_names=False)
    except REFUSED:
        return state


def describe(net: str, *, pooling: str = "", size_px: int = 0) -> EncoderCard:
    """Fill in a card from timm's configuration of a model; nothing is downloaded.

    Without `pooling` the features are the input of timm's classifier. Raises UnknownName for an
    unknown model or tag, BadRequest for a size or pooling that the model refuses.
    """
    config = _config(net)
    full = f"{config.architecture}.{config.tag}" if config.has_weights and config.tag else net
    size = size_px or config.input_size[-1]
    trunk = _on_meta(full, config, size)
    chosen = pooling or _classifiers_pooling(trunk, size)
    facts = {
        "title": f"timm {full}",
        "family": "timm",
        "source": f"hf-hub:{config.hf_hub_id}" if config.hf_hub_id else "none",
        "net": full,
        "dim": _dim(trunk, chosen, size, len(config.mean)),
        "pooling": chosen,
        "weights": _licence(config),
        "input": {
            "size_px": size,
            "views": "free",
            "default_views": VIEWS,
            "resample": "bilinear" if config.interpolation == "bilinear" else "bicubic",
            "mean": config.mean,
            "std": config.std,
        },
        "facts": {
            "parameters_m": round(sum(p.numel() for p in trunk.parameters()) / 1e6, 2),
            "paper": _paper(config),
        },
    }
    return check_card(facts, EncoderCard, full)


def _config(net: str) -> Any:
    """Return timm's configuration of a model's weights."""
    _check_name(net)
    config = timm.get_pretrained_cfg(net)
    if config is None:
        raise BadRequest(f"timm has no configuration of {net}; write its card by hand")
    return config


def _check_name(net: str) -> None:
    """Refuse an unknown model, or an unknown tag of its weights; raises UnknownName."""
    if not timm.is_model(net):
        raise UnknownName.among("timm model", net, timm.list_models())
    architecture, _, tag = net.partition(".")
    known = [name.partition(".")[2] for name in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in known:
        names = [f"{architecture}.{each}" for each in known]
        more = f" ({architecture} has {', '.join(known) or 'no weights'})"
        raise UnknownName.among("timm model", net, names, more)


def _on_meta(net: str, config: Any, size_px: int) -> Any:
    """Make a trunk with shapes but no numbers: nothing is allocated or downloaded."""
    try:
        with torch.device("meta"):
            return _trunk(net, len(config.mean), size_px).eval()
    except REFUSED as error:
        raise BadRequest(f"timm can't build {net} for {size_px} px ({error})") from error


def _dim(trunk: Any, pooling: str, size_px: int, channels: int) -> int:
    """Run a trunk without numbers, and return the dim of its features."""
    images = torch.empty(1, channels, size_px, size_px, device="meta")
    name = trunk.pretrained_cfg["architecture"]
    try:
        with torch.no_grad():
            return int(Pooled(trunk, pooling)(images).shape[-1])
    except BadCard as error:
        raise BadRequest(str(error)) from error
    except REFUSED as error:
        more = other_sizes(trunk, images.shape)
        raise BadRequest(f"{name} can't take images of {size_px} px ({error}){more}") from error


def _classifiers_pooling(trunk: Any, size_px: int) -> str:
    """Return the pooling before timm's classifier; "native" where no other name is right."""
    head = getattr(trunk, "head", None)
    pool = _pool_type(getattr(trunk, "global_pool", None))
    pool = pool or _pool_type(getattr(head, "global_pool", None))
    if trunk.num_features != getattr(trunk, "head_hidden_size", trunk.num_features):
        return "native"
    if isinstance(trunk, VisionTransformer):
        plain = getattr(trunk, "dist_token", None) is None
        named = {"token": "cls", "avg": "mean"}
        return named.get(pool, "native") if plain else "native"
    images = torch.empty(1, trunk.pretrained_cfg["input_size"][0], size_px, size_px, device="meta")
    try:
        with torch.no_grad():
            maps = trunk.forward_features(images)
    except REFUSED:
        return "native"
    norm = getattr(head, "norm", None)
    known = norm is None or isinstance(norm, nn.Identity) or is_trained(trunk)
    grid = isinstance(maps, Tensor) and maps.ndim == 4
    return "mean" if pool == "avg" and grid and known else "native"


def _pool_type(pool: Any) -> str:
    """Return the name of a pooling, which timm gives as a word or a layer."""
    return pool if isinstance(pool, str) else str(getattr(pool, "pool_type", ""))


def _licence(config: Any) -> dict[str, Any]:
    """Return licence and file of timm's weights."""
    named = config.license or "unknown"
    shown = LICENCES.get(named, named.upper() if named.startswith("cc-") else named)
    url = f"{HUB}{config.hf_hub_id}" if config.hf_hub_id else ""
    file = config.hf_hub_filename or "model.safetensors"
    return {"licence": shown, "licence_url": url, "file": file if config.hf_hub_id else ""}


def _paper(config: Any) -> str:
    """Return the address of a model's paper, if timm names one on arXiv."""
    ids = config.paper_ids or ""
    scheme, _, number = (ids if isinstance(ids, str) else ids[0]).partition(":")
    return f"https://arxiv.org/abs/{number}" if scheme.lower() == "arxiv" else ""


def _check(card: EncoderCard) -> None:
    """Refuse a card with another pooling, or an unknown model."""
    if card.pooling == "projection":
        raise BadCard(
            f"{card.title}: timm models have no projection; "
            "pooling is cls, mean, cls+mean or native"
        )
    _check_name(card.net)


def _create(card: EncoderCard) -> Any:
    """Make a card's trunk without its classifier.

    The card's sizes are those that differ from the named model (e.g. patch_size). Raises BadCard
    for sizes that the model refuses.
    """
    try:
        return _trunk(card.net, len(card.seen.mean), card.seen.size_px, card.sizes)
    except REFUSED as error:
        sizes = " with [sizes]" if card.sizes else ""
        raise BadCard(
            f"{card.title}: timm can't build {card.net} for {card.seen.size_px} px{sizes} ({error})"
        ) from error


def _trunk(
    net: str, channels: int, size_px: int, sizes: Mapping[str, Any] = MappingProxyType({})
) -> Any:
    """Make a trunk, with the image's size if the model fixes it and has another."""
    config = timm.get_pretrained_cfg(net)
    fixed = config and config.fixed_input_size and size_px != config.input_size[-1]
    given = ({"img_size": size_px} if fixed else {}) | dict(sizes)
    return timm.create_model(net, pretrained=False, num_classes=0, in_chans=channels, **given)
