"""Slices as read → a slice network's input, in batches on the device, in float32."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from clearbench.encoders.card import InputFacts
from clearbench.encoders.inputs.views import View
from clearbench.scans.hu import AIR_HU

LEAST_SPREAD_HU = 1e-6  # below this an image is constant, and dividing would give NaN


def prepare(
    pixels: Tensor,
    windows: tuple[str, ...],
    views: tuple[View, ...],
    facts: InputFacts,
    around: Sequence[Sequence[int]] | None = None,
) -> Tensor:
    """Window, pad to a square, resize and normalise slices.

    pixels   [n, y, x] HU, or [n, windows, y, x] uint8 that are already windowed
    around   for each wanted slice, the indices in `pixels` of the slice and its neighbours, in the
             order of its channels; absent: every slice alone
    returns  [n, views, c, size, size] float32 on the device of `pixels`
    """
    lowest = (facts.clip_hu or (float(AIR_HU),))[0] if facts.channels == "hu" else 0.0
    squares = [
        _resized(_square(_channels(pixels, windows, view, facts), lowest), facts) for view in views
    ]
    if facts.z_score:
        squares = [_z_scored(square) for square in squares]
    if around is not None:
        indices = torch.tensor(around, device=pixels.device)
        squares = [square[:, 0][indices] for square in squares]
    mean = torch.tensor(facts.mean, device=pixels.device)[:, None, None]
    std = torch.tensor(facts.std, device=pixels.device)[:, None, None]
    return (torch.stack(squares, dim=1) - mean) / std


def neighbourhood(wanted: range, count: int, context: int) -> tuple[range, list[list[int]] | None]:
    """Return the needed slices of a scan's `count`, and each wanted slice's indices among them.

    At the ends of the scan, the first or last slice is repeated. Without context, the indices are
    None.
    """
    if not context:
        return wanted, None
    taken = range(max(0, wanted.start - context), min(count, wanted.stop + context))
    steps = range(-context, context + 1)
    return taken, [
        [min(max(row + step, 0), count - 1) - taken.start for step in steps] for row in wanted
    ]


def _channels(pixels: Tensor, windows: tuple[str, ...], view: View, facts: InputFacts) -> Tensor:
    """Return one view's channels [n, 1 or c, y, x]: 0 to 1 within its windows, or raw HU."""
    if windows:
        columns = [windows.index(name) for name in view.window_names]
        return pixels[:, columns].float() / 255.0
    hu = pixels[:, None].float()
    if not view.windows_hu:
        # Not in place: float() makes no copy of pixels that are float32, and they are the caller's.
        return hu if facts.clip_hu is None else hu.clamp(*facts.clip_hu)
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
    """Resize with antialiasing; windowed values stay in 0 to 1, as in 8-bit image libraries."""
    size = (facts.size_px, facts.size_px)
    if channels.shape[-2:] == size:
        return channels
    resized = functional.interpolate(channels, size=size, mode=facts.resample, antialias=True)
    return resized if facts.channels == "hu" else resized.clamp_(0.0, 1.0)


def _z_scored(squares: Tensor) -> Tensor:
    """Standardise each image by its own pixels; a constant image becomes 0."""
    spread, mean = torch.std_mean(squares, dim=(-2, -1), keepdim=True)
    return (squares - mean) / torch.where(spread < LEAST_SPREAD_HU, 1.0, spread)
