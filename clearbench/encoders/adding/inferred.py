"""Sizes of LeCL's networks, inferred from the tensors of a checkpoint."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from clearbench.encoders.nets.build import our_keys
from clearbench.encoders.nets.sizes import PATCH_PX, Sizes, check_sizes
from clearbench.encoders.registry import find_encoder
from clearbench.errors import WeightsUnavailable

StateDict = dict[str, Any]

USUAL = MappingProxyType(  # network → its card in full size
    {"vit": "lecl-vit-base", "vssm": "lecl-vssm-tiny", "gated-cnn": "lecl-gated-cnn-tiny"}
)


def infer_sizes(
    state: StateDict, net: str, where: Path, num_heads: int | None = None
) -> tuple[Sizes, int]:
    """Return a network's sizes and image size in px, inferred from its tensors' shapes.

    Raises WeightsUnavailable for another network's tensors.
    """
    named = our_keys(state, _any_sizes(net))
    try:
        facts, size_px = READERS[net](named)
    except (KeyError, IndexError, AttributeError, ValueError) as error:
        raise not_of(net, where) from error
    if num_heads is not None and net == "vit":
        facts["num_heads"] = num_heads
    return check_sizes(net, facts, str(where)), size_px


def not_of(net: str, where: Path) -> WeightsUnavailable:
    """Return the error for another network's checkpoint."""
    return WeightsUnavailable(f"{where}: not weights of the network {net}; its keys are missing")


def _any_sizes(net: str) -> Sizes:
    """Return some valid sizes of a network; only their type is used."""
    usual = find_encoder(USUAL[net]).card
    return check_sizes(net, usual.sizes, USUAL[net])


def _vit_sizes(state: Mapping[str, Tensor]) -> tuple[StateDict, int]:
    """Infer a ViT's sizes, and its image size from the number of positions."""
    dim = state["cls_token"].shape[-1]
    # one position is the class token's
    side = math.isqrt(state["pos_embed"].shape[1] - 1)
    facts = {
        "embed_dim": dim,
        "depth": _count(state, r"blocks\.(\d+)\."),
        "num_heads": max(1, dim // 64),
        "conv_stem": "patch_embed.proj.weight" not in state,
    }
    return facts, side * PATCH_PX


def _vssm_sizes(state: Mapping[str, Tensor]) -> tuple[StateDict, int]:
    """Infer a VSSM's sizes; it takes images of any size, and is trained at 224 px."""
    depths = _depths(state, r"stages\.(\d+)\.(\d+)\.")
    dims = [state[f"stages.{stage}.0.norm.weight"].shape[0] for stage in range(len(depths))]
    states = state["stages.0.0.op.A_logs"].shape[1]
    return {"depths": depths, "dims": dims, "ssm_d_state": states}, 224


def _gated_cnn_sizes(state: Mapping[str, Tensor]) -> tuple[StateDict, int]:
    """Infer a gated CNN's sizes; it takes images of any size, and is trained at 224 px."""
    depths = _depths(state, r"trunk\.stages\.(\d+)\.blocks\.(\d+)\.")
    dims = [
        state[f"trunk.stages.{stage}.blocks.0.norm.weight"].shape[0] for stage in range(len(depths))
    ]
    return {"depths": depths, "dims": dims}, 224


READERS = MappingProxyType({"vit": _vit_sizes, "vssm": _vssm_sizes, "gated-cnn": _gated_cnn_sizes})


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    """Count the numbered blocks in the keys; raises KeyError if there are none."""
    found = {int(match[1]) for key in state if (match := re.match(pattern, key))}
    if not found:
        raise KeyError(pattern)
    return len(found)


def _depths(state: Mapping[str, Tensor], pattern: str) -> list[int]:
    """Count the numbered blocks of each stage; raises KeyError if there are none."""
    found = {(int(m[1]), int(m[2])) for key in state if (m := re.match(pattern, key))}
    if not found:
        raise KeyError(pattern)
    stages = {stage for stage, _ in found}
    return [len({block for at, block in found if at == stage}) for stage in sorted(stages)]
