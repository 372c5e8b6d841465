"""Slices as they were read → what a network sees, in batches on the device, in float32."""

import torch
from torch import Tensor
from torch.nn import functional

from clearbench.encoders.card import InputFacts
from clearbench.encoders.views import View
from clearbench.scans.volume import AIR_HU


def prepare(
    pixels: Tensor, windows: tuple[str, ...], views: tuple[View, ...], facts: InputFacts
) -> Tensor:
    """Window, pad to a square, resize and normalise slices.

    pixels   [n, y, x] HU, or [n, windows, y, x] uint8 that were windowed before
    returns  [n, views, c, size, size] float32 on the device of `pixels`
    """
    lowest = float(AIR_HU) if facts.channels == "hu" else 0.0
    squares = [_resized(_square(_channels(pixels, windows, view), lowest), facts) for view in views]
    mean = torch.tensor(facts.mean, device=pixels.device)[:, None, None]
    std = torch.tensor(facts.std, device=pixels.device)[:, None, None]
    return (torch.stack(squares, dim=1) - mean) / std


def _channels(pixels: Tensor, windows: tuple[str, ...], view: View) -> Tensor:
    """Return one view's channels [n, 1 or c, y, x]: 0 to 1 within its windows, or raw HU."""
    if windows:
        columns = [windows.index(name) for name in view.window_names]
        return pixels[:, columns].float() / 255.0
    hu = pixels[:, None].float()
    if not view.windows_hu:
        return hu
    scaled = [((hu - low) / (high - low)).clamp_(0.0, 1.0) for low, high in view.windows_hu]
    return torch.cat(scaled, dim=1) if len(scaled) > 1 else scaled[0]


def _square(channels: Tensor, lowest: float) -> Tensor:
    """Pad the shorter side with air (the lowest value), so that resizing keeps proportions."""
    height, width = channels.shape[-2:]
    if height == width:
        return channels
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    around = (left, side - width - left, top, side - height - top)
    return functional.pad(channels, around, value=lowest)


def _resized(channels: Tensor, facts: InputFacts) -> Tensor:
    """Resize with antialiasing; values stay in their range, as in 8-bit image libraries."""
    size = (facts.size_px, facts.size_px)
    if channels.shape[-2:] == size:
        return channels
    resized = functional.interpolate(channels, size=size, mode=facts.resample, antialias=True)
    return resized if facts.channels == "hu" else resized.clamp_(0.0, 1.0)
