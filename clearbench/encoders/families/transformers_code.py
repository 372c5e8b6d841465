"""A vision network whose code lies in its repository; run only for a card that the user trusts.

Code, configuration and weights are read from one folder, at the card's revision; the code answers
images as a model of transformers does, or with a plain tensor.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.families.transformers_towers import Pooled, quiet, said
from clearbench.encoders.weights.hub import fetch_code
from clearbench.encoders.weights.load import load_strictly, read_weights, without_unused
from clearbench.errors import BadCard

# isort: split
from transformers import AutoConfig
from transformers.dynamic_module_utils import get_class_from_dynamic_module

CONFIG = "config.json"
KNOWN = ("pooler_output", "last_hidden_state", "image_embeds")
CLASS = re.compile(r"\w+(\.\w+)+")


class Answering(nn.Module):
    """A stranger's network that takes images alone, and may answer a plain tensor."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.config = network.config

    def forward(self, pixel_values: Tensor) -> Any:
        """Answer as transformers' models do: [b, dim] is pooled, [b, tokens, dim] is not."""
        found = self.network(pixel_values)
        if not isinstance(found, Tensor):
            if any(isinstance(getattr(found, name, None), Tensor) for name in KNOWN):
                return found
            raise BadCard(
                f"the code of {type(self.network).__name__} answers a {type(found).__name__}; "
                f"it takes a tensor [b, dim], or what transformers' models answer "
                f"({', '.join(KNOWN)})"
            )
        kind = "pooler_output" if found.ndim == 2 else "last_hidden_state"
        return SimpleNamespace(**{kind: found})


def build(card: EncoderCard, weights: Path | None) -> nn.Module:
    """Build the network of a card that says `remote_code = true`, by its repository's code.

    Raises BadCard if there is no code, or it fails; WeightsUnavailable for another network's
    weights, or code that can't be had.
    """
    if weights is None:
        raise BadCard(
            f"{card.title}: its network is code beside its weights, so it has no random ones"
        )
    folder = fetch_code(card, weights)
    classes = _classes(card, folder)
    if "AutoModel" not in classes:
        raise BadCard(
            f"{folder / CONFIG}: names no AutoModel in auto_map, so this repository brings no code "
            "of its network; leave remote_code out of the card, and say its model type as net"
        )
    try:
        with torch.random.fork_rng(devices=[]), quiet():
            network = _create(classes, folder).float()
    except (Exception, SystemExit) as error:  # a stranger's code may raise anything
        raise BadCard(
            f"{card.title}: the code in {folder} fails ({type(error).__name__}: {said(error)})"
        ) from error
    load_strictly(network, without_unused(read_weights(weights), card), weights)
    size_px = card.input.size_px if card.input is not None else 0  # of volumes none are counted
    return Pooled(Answering(network), card.pooling, size_px).eval()


def _create(classes: Mapping[str, str], folder: Path) -> Any:
    """Import the code of a folder, and make its network with fresh weights."""
    here = str(folder)
    if "AutoConfig" in classes:
        of_config: Any = get_class_from_dynamic_module(classes["AutoConfig"], here)
    else:
        of_config = AutoConfig
    config = of_config.from_pretrained(here, local_files_only=True)
    return get_class_from_dynamic_module(classes["AutoModel"], here)(config)


def _classes(card: EncoderCard, folder: Path) -> dict[str, str]:
    """Return the classes, as module.Class, that a repository brings under transformers' names.

    Raises BadCard for those of another repository, which the card's revision doesn't pin.
    """
    try:
        listed = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("auto_map", {})
        named = {key: str(value) for key, value in listed.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise BadCard(f"{folder / CONFIG}: not a readable configuration ({error})") from error
    classes = {}
    for key, value in named.items():
        repository, _, entry = value.rpartition("--")
        if repository not in ("", card.source.partition(":")[2]) or not CLASS.fullmatch(entry):
            raise BadCard(
                f'{folder / CONFIG}: {key} = "{value}" is no code of this repository, and no '
                "revision pins that of another; bring it as a plug-in"
            )
        classes[key] = entry
    return classes
