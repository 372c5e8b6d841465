"""Golden tensors: weights, an input, and the features of the published implementation."""

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from clearbench.encoders.nets.build import build_net, our_keys
from clearbench.encoders.nets.sizes import NETS, Sizes, check_sizes, why_no_size
from clearbench.encoders.weights.files import check_kind
from clearbench.encoders.weights.load import load_strictly
from clearbench.errors import BadRequest, WeightsUnavailable

TOLERANCE = 1e-4
PREFIX = "weights."
SIZES = tuple(sorted({name for sizes in NETS.values() for name in sizes.model_fields}))


@dataclass(frozen=True)
class GoldenCheck:
    """The difference between a network and the published one, in absolute numbers."""

    net: str
    sizes: Sizes
    tensors: int
    images: tuple[int, ...]
    largest_feature: float
    largest_difference: float

    @property
    def agrees(self) -> bool:
        """Whether the difference is within 1e-4; NaN isn't."""
        return self.largest_difference <= TOLERANCE


def check_golden(net: str, path: Path) -> GoldenCheck:
    """Build `net` in the sizes of a golden file's metadata, and compare its features.

    The file has `weights.*`, `input` [b, 3, h, w] and `features` [b, dim]; the weights are loaded
    strictly. Raises BadRequest for another file, WeightsUnavailable for another network's weights.
    """
    facts, tensors = _read(path)
    images, expected = tensors.get("input"), tensors.get("features")
    if images is None or expected is None or images.ndim != 4 or images.shape[1] != 3:
        raise BadRequest(f"{path}: a golden file needs weights.*, input [b, 3, h, w] and features")
    height, width = images.shape[-2:]
    sizes = check_sizes(net, facts, f"{path} (metadata)")
    reason = why_no_size(sizes, height, width)
    if reason or not len(images):
        raise BadRequest(f"{path}: input {tuple(images.shape)}; {reason or 'no image'}")
    network = build_net(sizes, (height, width), seed=0)
    weights = {
        key.removeprefix(PREFIX): value for key, value in tensors.items() if key.startswith(PREFIX)
    }
    load_strictly(network, our_keys(weights, sizes), path)
    network.eval()
    with torch.inference_mode():
        found = network(images.float())
    if found.shape != expected.shape:
        raise BadRequest(
            f"{path}: features are {tuple(expected.shape)}, but the network returns "
            f"{tuple(found.shape)}"
        )
    difference = (found - expected).abs().max().item()
    shape = tuple(images.shape)
    return GoldenCheck(net, sizes, len(weights), shape, expected.abs().max().item(), difference)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read sizes (Python literals in the metadata) and tensors."""
    check_kind(path)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  not a dict
        # literal_eval runs no code: the file may be a stranger's
        return {key: ast.literal_eval(metadata[key]) for key in SIZES if key in metadata}, tensors
    except (OSError, SafetensorError) as error:
        raise WeightsUnavailable(f"{path}: not a readable safetensors file ({error})") from error
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise BadRequest(
            f"{path}: a size in the metadata is not a Python literal ({error})"
        ) from error
