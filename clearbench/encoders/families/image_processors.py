"""Settings of a published image processor → facts of a card."""

from typing import Any

from clearbench.errors import BadCard

RESAMPLES = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers


def input_facts(processor: dict[str, Any], channels: int, where: str) -> dict[str, Any]:
    """Return a card's [input] from a processor's settings, with its defaults filled in.

    Slices are resized whole, so a border that the processor crops is kept. Raises BadCard for
    settings that a card can't express.
    """
    resample = RESAMPLES.get(int(processor.get("resample") or 0))
    if resample is None:
        raise BadCard(f"{where}: resizing is not bicubic or bilinear; write the card by hand")
    factor = processor.get("rescale_factor") or 0.0
    if not processor.get("do_rescale", True) or abs(factor * 255 - 1) > 1e-3:
        raise BadCard(f"{where}: 0…255 isn't scaled to 0…1; write the card by hand")
    normal = processor.get("do_normalize", True)
    return {
        "size_px": _size(processor, where),
        "views": "free",
        "default_views": ("lung", "mediastinum"),
        "resample": resample,
        "mean": _per_channel(processor.get("image_mean") if normal else 0.0, channels, where),
        "std": _per_channel(processor.get("image_std") if normal else 1.0, channels, where),
    }


def _size(processor: dict[str, Any], where: str) -> int:
    """Return the side in px of the network's square input."""
    cropped = processor.get("do_center_crop") and processor.get("crop_size")
    size = processor["crop_size"] if cropped else processor.get("size")
    if isinstance(size, int):
        return size
    sides = {size.get("height"), size.get("width")} if size else {None}
    if sides == {None} and size:
        sides = {size.get("shortest_edge")}
    side = sides.pop()
    if sides or not isinstance(side, int):
        raise BadCard(f"{where}: images are not square ({size}); write the card by hand")
    return side


def _per_channel(value: Any, channels: int, where: str) -> tuple[float, ...]:
    """Return one number per channel."""
    values = (value,) * channels if isinstance(value, int | float) else tuple(value or ())
    if len(values) != channels:
        raise BadCard(f"{where}: {len(values)} means for {channels} channels")
    return tuple(float(number) for number in values)
