"""A vision network with code in its repository; it runs only if the user trusts the card.

Code, configuration and weights are read from one folder, at the card's revision. The network
returns the output of a model of transformers, or a plain tensor.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from clearbench.bounded import read_json
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.families.transformers_towers import Pooled, last_line, quiet
from clearbench.encoders.weights.hub import fetch_code
from clearbench.encoders.weights.load import load_strictly, read_weights, without_unused
from clearbench.errors import BadCard

# isort: split
from transformers import AutoConfig
from transformers.dynamic_module_utils import get_class_from_dynamic_module

CONFIG = "config.json"
KNOWN = ("pooler_output", "last_hidden_state", "image_embeds")
CLASS = re.compile(r"\w+(\.\w+)+")


class TensorOutput(nn.Module):
    """A foreign network for images, which may return a plain tensor."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.config = network.config

    def forward(self, pixel_values: Tensor) -> Any:
        """Return an output like transformers': [b, dim] is pooled, [b, tokens, dim] isn't."""
        found = self.network(pixel_values)
        if not isinstance(found, Tensor):
            if any(isinstance(getattr(found, name, None), Tensor) for name in KNOWN):
                return found
            raise BadCard(
                f"the code of {type(self.network).__name__} returns a {type(found).__name__}; "
                f"it must return a tensor [b, dim], or an output of transformers "
                f"({', '.join(KNOWN)})"
            )
        name = "pooler_output" if found.ndim == 2 else "last_hidden_state"
        return SimpleNamespace(**{name: found})


def build(card: EncoderCard, weights: Path | None) -> nn.Module:
    """Build the network of a card with `remote_code = true`, from its repository's code.

    Raises BadCard if there is no code, or it fails; WeightsUnavailable for another network's
    weights, or code that can't be downloaded.
    """
    if weights is None:
        raise BadCard(
            f"{card.title}: the network's code is with its weights, so they can't be random"
        )
    folder = fetch_code(card, weights)
    classes = _classes(card, folder)
    if "AutoModel" not in classes:
        raise BadCard(
            f"{folder / CONFIG}: auto_map has no AutoModel, so this repository has no code of its "
            "network; leave remote_code out of the card, and write its model type as net"
        )
    try:
        with torch.random.fork_rng(devices=[]), quiet():
            network = _create(classes, folder).float()
    except (Exception, SystemExit) as error:  # foreign code may raise anything
        raise BadCard(
            f"{card.title}: the code in {folder} fails ({type(error).__name__}: {last_line(error)})"
        ) from error
    load_strictly(network, without_unused(read_weights(weights, card.weights.ema), card), weights)
    size_px = (
        card.input.size_px if card.input is not None else 0
    )  # patches of volumes are not counted
    return Pooled(TensorOutput(network), card.pooling, size_px).eval()


def _create(classes: Mapping[str, str], folder: Path) -> Any:
    """Import the code of a folder, and make its network with new weights."""
    place = str(folder)
    if "AutoConfig" in classes:
        of_config: Any = get_class_from_dynamic_module(classes["AutoConfig"], place)
    else:
        of_config = AutoConfig
    config = of_config.from_pretrained(place, local_files_only=True)
    return get_class_from_dynamic_module(classes["AutoModel"], place)(config)


def _classes(card: EncoderCard, folder: Path) -> dict[str, str]:
    """Return a repository's classes (module.Class) by transformers' names for them.

    Raises BadCard for classes of another repository: the card's revision doesn't fix that code.
    """
    try:
        listed = read_json(folder / CONFIG).get("auto_map", {})
        named = {key: str(value) for key, value in listed.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise BadCard(f"{folder / CONFIG}: not a readable configuration ({error})") from error
    classes = {}
    for key, value in named.items():
        repository, _, entry = value.rpartition("--")
        if repository not in ("", card.source.partition(":")[2]) or not CLASS.fullmatch(entry):
            raise BadCard(
                f'{folder / CONFIG}: {key} = "{value}" is not code of this repository, and the '
                "card fixes no revision of another; write a plug-in"
            )
        classes[key] = entry
    return classes
