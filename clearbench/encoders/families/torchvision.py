"""torchvision's networks with weights of state dicts: RadImageNet's ResNet-50, DenseNet-121."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clearbench.encoders import torchvision_patch  # noqa: F401  before torchvision

# isort: split
from torchvision import models
from torchvision.models import DenseNet, EfficientNet, GoogLeNet, Inception3, RegNet, ResNet

from clearbench.cards import check_card
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights.load import load_strictly, read_weights, without_unused
from clearbench.errors import BadCard, UnknownName, suggestion

AVERAGED = (DenseNet, EfficientNet, GoogLeNet, Inception3, RegNet, ResNet)


def build(card: EncoderCard, weights: Path | None) -> nn.Module:
    """Build a network without its last layer; without `weights` they are random, seeded.

    `prefix` of [sizes] is removed from the keys of the file; parts of the keys may be numbers, in
    the network's order. Raises UnknownName for an unknown network, BadCard for a pooling or sizes
    that it doesn't have, WeightsUnavailable for another's weights.
    """
    if weights is not None:
        return load_trunk(card, read_weights(weights, card.weights.ema), weights).eval()
    _check(card)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(card.seed)
        return _create(card.net).eval()


def load_trunk(card: EncoderCard, state: dict[str, Any], where: Path) -> nn.Module:
    """Build a network with the weights of a state dict; `where` is its file, for errors.

    Raises the errors of build.
    """
    network = make_trunk(card)
    load_strictly(network, fit_state(network, state, card), where)
    return network


def make_trunk(card: EncoderCard) -> nn.Module:
    """Make a card's network without its last layer; raises UnknownName or BadCard."""
    _check(card)
    with torch.random.fork_rng(devices=[]):
        return _create(card.net)


def fit_state(trunk: nn.Module, state: dict[str, Any], card: EncoderCard) -> dict[str, Any]:
    """Rename a state dict for a network, without the keys that the card lists as unused."""
    return _named(trunk, without_unused(state, card), _prefix(card))


def describe(net: str, *, pooling: str = "", size_px: int = 0, source: str = "none") -> EncoderCard:
    """Fill in the card of a network, with the input of torchvision's own weights.

    `source` names the weights. Raises UnknownName for an unknown network, BadCard for a size or
    pooling that the network refuses.
    """
    with torch.device("meta"):
        last = _last_layer(_whole(net))
    preset: Any = models.get_model_weights(net).DEFAULT.transforms()
    size = size_px or preset.crop_size[0]
    network = _without_numbers(net)
    facts = {
        "title": f"torchvision {net}",
        "family": "torchvision",
        "source": source,
        "net": net,
        "dim": _dim(network, net, size),
        "pooling": pooling or "native",
        "weights": {"licence": "unknown", "unused": (f"{last}.",)},
        "input": {
            "size_px": size,
            "views": "free",
            "default_views": ("lung", "mediastinum"),
            "resample": preset.interpolation.value,
            "mean": tuple(preset.mean),
            "std": tuple(preset.std),
        },
        "facts": {"parameters_m": round(sum(p.numel() for p in network.parameters()) / 1e6, 2)},
    }
    card = check_card(facts, EncoderCard, net)
    _check(card)
    return card


def _whole(net: str) -> nn.Module:
    """Make a network with its classifier."""
    known = models.list_models(module=models)
    if net not in known:
        raise UnknownName.among("torchvision model", net, known)
    # without the argument, these two warn that their default will change
    more = {"init_weights": True} if net in ("googlenet", "inception_v3") else {}
    network: nn.Module = models.get_model(net, weights=None, **more)
    return network


def _create(net: str) -> nn.Module:
    """Make a network that returns the input of its last linear layer."""
    network = _whole(net)
    last = _last_layer(network)
    if not last:
        raise BadCard(f"torchvision's {net} has no linear layer at its end, so no features")
    network.set_submodule(last, nn.Identity())
    return network


def _check(card: EncoderCard) -> None:
    """Refuse a card with other sizes, pooling, channels or dim than its network."""
    _prefix(card)
    network = _without_numbers(card.net)
    poolings = ("mean", "native") if isinstance(network, AVERAGED) else ("native",)
    if card.pooling not in poolings:
        raise BadCard(f"{card.title}: pooling of {card.net} must be {' or '.join(poolings)}")
    if len(card.seen.mean) != 3:
        raise BadCard(f"{card.title}: {len(card.seen.mean)} channels, but {card.net} has 3")
    dim = _dim(network, card.net, card.seen.size_px)
    if dim != card.dim:
        raise BadCard(f"{card.title}: the card has dim = {card.dim}, but {card.net} returns {dim}")


def _without_numbers(net: str) -> nn.Module:
    """Make a network with shapes but no numbers: no memory is allocated."""
    with torch.device("meta"):
        return _create(net).eval()


def _dim(network: nn.Module, net: str, size: int) -> int:
    """Run a network without numbers, and return the dim of its features."""
    try:
        with torch.inference_mode():
            return int(network(torch.zeros(1, 3, size, size, device="meta")).shape[-1])
    except (AssertionError, RuntimeError, ValueError) as error:
        raise BadCard(f"torchvision's {net} can't take {size} px ({error})") from error


def _last_layer(network: nn.Module) -> str:
    """Name the last linear layer; "" if there is none."""
    linear = [name for name, part in network.named_modules() if isinstance(part, nn.Linear)]
    return linear[-1] if linear else ""


def _prefix(card: EncoderCard) -> str:
    """Return `prefix`, the only key that [sizes] may have."""
    for key in card.sizes:
        if key != "prefix":
            more = suggestion(key, ["prefix"])
            raise BadCard(f"{card.title}: [sizes] has only prefix, not {key}{more}")
    return str(card.sizes.get("prefix", ""))


def _named(network: nn.Module, state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Remove the prefix from the keys, and replace numbers of parts by the network's names.

    Many files come from nn.Sequential(*network.children()), with keys that begin with 0., 1., ….
    """
    cut = {key.removeprefix(prefix): value for key, value in state.items()}
    names = [name for name, _ in network.named_children()]
    if not all(key.partition(".")[0].isdecimal() for key in cut):
        return cut
    return {_name(key, names): value for key, value in cut.items()}


def _name(key: str, names: list[str]) -> str:
    """Replace the number of a key by the part's name, if the network has so many parts."""
    number, _, rest = key.partition(".")
    return f"{names[int(number)]}.{rest}" if int(number) < len(names) else key
