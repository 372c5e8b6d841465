"""Sizes → a LeCL network; keys of published checkpoints → keys of clearbench."""

import re
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from clearbench.encoders.nets.gated_cnn import GatedCnn
from clearbench.encoders.nets.sizes import GatedCnnSizes, Sizes, VitSizes, VssmSizes
from clearbench.encoders.nets.vit import build_vit
from clearbench.encoders.nets.vssm import Vssm

Rules = tuple[tuple[str, str], ...]

# published name → our name by the first rule that matches; other names stay
KEYS: MappingProxyType[type[Sizes], Rules] = MappingProxyType(
    {
        VitSizes: (),
        VssmSizes: (
            (r"^patch_embed\.0\.", "patch_embed."),
            (r"^patch_embed\.2\.", "patch_norm."),
            (r"^layers\.(\d+)\.blocks\.(\d+)\.", r"stages.\1.\2."),
            (r"^layers\.(\d+)\.downsample\.1\.", r"downsample.\1.0.convolution."),
            (r"^layers\.(\d+)\.downsample\.3\.", r"downsample.\1.1."),
            (r"^classifier\.norm\.", "norm."),
        ),
        GatedCnnSizes: (
            (r"^downsample_layers\.0\.", "trunk.stem."),
            (r"^downsample_layers\.(\d+)\.", r"trunk.stages.\1.downsample."),
            (r"^stages\.(\d+)\.blocks\.(\d+)\.", r"trunk.stages.\1.blocks.\2."),
            (r"^stages\.(\d+)\.downsample\.", r"trunk.stages.\1.downsample."),
            (r"^stages\.(\d+)\.(\d+)\.", r"trunk.stages.\1.blocks.\2."),
            (r"^stem\.", "trunk.stem."),
            (r"^head\.norm\.", "norm."),
        ),
    }
)


def build_net(
    sizes: Sizes, size_px: int | tuple[int, int] = 224, *, seed: int | None = None
) -> nn.Module:
    """Build a network: images [b, 3, h, w] → features [b, dim].

    Only the ViT needs `size_px`, for its positions. With `seed` the random weights are the same
    every time, and torch's global generator doesn't change.
    """
    # devices=[]: weights are made on the CPU, and saving the state of GPUs would start CUDA
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        if isinstance(sizes, VitSizes):
            pair = size_px if isinstance(size_px, tuple) else (size_px, size_px)
            return build_vit(sizes, pair)
        return Vssm(sizes) if isinstance(sizes, VssmSizes) else GatedCnn(sizes)


def our_keys(state: dict[str, Any], sizes: Sizes) -> dict[str, Any]:
    """Rename the keys of a published checkpoint; keys of clearbench stay."""
    return {_our_key(key, KEYS[type(sizes)]): value for key, value in state.items()}


def _our_key(key: str, rules: Rules) -> str:
    """Rename one key."""
    for pattern, ours in rules:
        if re.match(pattern, key):
            return re.sub(pattern, ours, key)
    return key
