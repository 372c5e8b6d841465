"""A scan's volume → a volume network's input: turned, resampled, scaled, cut or padded."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearbench.encoders.card import AXES, VolumeFacts
from clearbench.errors import MissingExtra, UnreadableScan
from clearbench.scans.volume import refuse_huge


def prepare_volume(
    pixels: NDArray[Any], spacing_mm: Sequence[float], facts: VolumeFacts, device: torch.device
) -> Tensor:
    """Prepare one scan: pixels [z, y, x] in HU, towards S, P, L → [1, 1, a, b, c] float32.

    Steps in the order of published pipelines: axes, grid (trilinear), HU range, foreground, size.
    Raises UnreadableScan if a grid is needed and the spacing is unknown, MissingExtra without
    MONAI.
    """
    if facts.spacing_mm and not all(isfinite(mm) and mm > 0 for mm in spacing_mm):
        raise UnreadableScan("its spacing is unknown, but the encoder needs a grid in mm")
    if facts.spacing_mm:
        refuse_huge(
            [
                count * mm / grid
                for count, mm, grid in zip(pixels.shape, spacing_mm, facts.spacing_mm, strict=True)
            ]
        )
    steps = _steps(facts)
    volume = _with_geometry(pixels, spacing_mm, device)
    for step in steps:
        volume = step(volume)
    return torch.as_tensor(volume.as_tensor())[None]


def _with_geometry(pixels: NDArray[Any], spacing_mm: Sequence[float], device: torch.device) -> Any:
    """Return MONAI's tensor [1, z, y, x] with the affine of our axes (RAS millimetres)."""
    monai = _monai()
    # an unknown spacing becomes 1 mm: without a grid in mm only the axes are used
    z, y, x = (mm if isfinite(mm) and mm > 0 else 1.0 for mm in spacing_mm)
    affine = torch.tensor(
        [[0.0, 0.0, -x, 0.0], [0.0, -y, 0.0, 0.0], [z, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    )
    tensor = torch.from_numpy(np.require(pixels, np.float32, ["C"])).to(device)[None]
    return monai.data.MetaTensor(tensor, affine=affine)


def _steps(facts: VolumeFacts) -> list[Any]:
    """Return MONAI's transforms for a card, in order."""
    transforms = _monai().transforms
    low, high = facts.clip_hu
    bottom, top = facts.scale_to
    steps = [transforms.Orientation(axcodes=facts.axes, labels=None)]
    if facts.spacing_mm:
        steps.append(transforms.Spacing(_ordered(facts.spacing_mm, facts.axes), mode="bilinear"))
    steps.append(transforms.ScaleIntensityRange(low, high, bottom, top, clip=True))
    if facts.foreground:
        steps.append(transforms.CropForeground(lambda volume: volume > bottom, allow_smaller=True))
    if facts.size_zyx:
        size = _ordered(facts.size_zyx, facts.axes)
        steps.append(transforms.ResizeWithPadOrCrop(size, value=bottom))
    return steps


def _ordered(zyx: Sequence[Any], axes: str) -> tuple[Any, ...]:
    """Return values for z, y, x in the order of the network's axes."""
    return tuple(zyx[AXES[letter]] for letter in axes)


def _monai() -> Any:
    """Import MONAI with the modules used here; raises MissingExtra."""
    try:
        import monai.data
        import monai.transforms
    except ImportError as error:
        raise MissingExtra(
            'volume encoders need MONAI: pip install "clearbench[volume]"'
        ) from error
    return monai
