"""An input size of which a network leaves out rows is refused, with the nearest that it takes."""

import copy
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import nn

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.unseen.layers import Steps, leaving_out, nearest_sizes
from clearbench.encoders.unseen.measure import CANT, Unseen, measure_structure
from clearbench.encoders.unseen.wording import axis_names, card_axes, in_words, stated, statement
from clearbench.errors import BadCard

REFUSALS = (AssertionError, ValueError)  # of networks that check the size themselves


def refuse_unseen(card: EncoderCard, network: nn.Module) -> None:
    """Refuse a card whose size makes its network leave out the last rows or columns.

    The layers are asked first, by shapes alone; the network runs only if one of them leaves out
    rows. Raises BadCard with the two nearest sizes, unless the card states what is left out.
    """
    reason = why_unseen(card, network)
    if reason:
        size = f"size_px = {card.input.size_px}" if card.input is not None else "size_zyx"
        raise BadCard(f"{card.title}: {size} is {reason}")


def why_unseen(card: EncoderCard, network: nn.Module) -> str:
    """Return why a size is refused, and the two nearest; "" if all is seen, or stated."""
    shape = input_shape(card)
    layers = leaving_out(network, shape) if shape else ()
    if not layers:
        return ""
    try:
        found = _measured(network, shape)
    except REFUSALS as error:
        sizes = _two(nearest_sizes(network, shape, layers, layers[0].axis))
        return f"{_windows(layers)}, and the network can't take it ({error}); use {sizes}"
    if found is None or found.nothing or found.everything or found.borders == stated(card):
        return ""
    axes = [axis for axis, (_, last) in enumerate(found.borders) if last]
    if not {layer.axis for layer in layers}.issuperset(axes):
        return ""  # no layer explains it: another fault, for `models check` to tell
    nearest = {axis: nearest_sizes(network, shape, layers, axis) for axis in axes}
    return _sentence(card, found, _windows(layers), nearest)


def other_sizes(network: nn.Module, shape: Sequence[int]) -> str:
    """Return the two nearest sizes for an input [b, c, y, x] that a network refuses; "" if any."""
    layers = leaving_out(network, shape)
    return f"; use {_two(nearest_sizes(network, shape, layers, 0))}" if layers else ""


def input_shape(card: EncoderCard) -> tuple[int, ...]:
    """Return the shape of a network's input [1, c, …]; () if it depends on the scan."""
    if card.input is not None:
        return (1, len(card.input.mean), card.input.size_px, card.input.size_px)
    size = card.volume.size_zyx if card.volume is not None else None
    return (1, 1, *(size[axis] for axis in card_axes(card))) if size is not None else ()


def _measured(network: nn.Module, shape: Sequence[int]) -> Unseen | None:
    """Return which borders are unseen; None if the network can't say, or fails elsewhere."""
    like = next(network.parameters(), torch.empty(0))
    images = torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(like)
    try:
        # a copy, because a network may remember its first run, and then move to another device
        return measure_structure(copy.deepcopy(network), images)
    except REFUSALS:
        raise
    except CANT:  # what is wrong shows when it embeds
        return None


def _windows(layers: Iterable[Steps]) -> str:
    """Say what a size doesn't fit: the windows of the layer nearest to the image."""
    first = min(layers, key=lambda layer: layer.scale)
    if first.kernel == first.stride and first.scale == 1:
        return f"not a multiple of its patches of {first.kernel} px"
    return "no fit for the windows of its layers"


def _two(sizes: tuple[int, int]) -> str:
    """Return two sizes to choose from."""
    return " or ".join(map(str, sizes))


def _sentence(
    card: EncoderCard, found: Unseen, windows: str, nearest: Mapping[int, tuple[int, int]]
) -> str:
    """Return what a size is not, what is therefore never seen, and the sizes to use instead."""
    reason = f"{windows}, so the network never sees {in_words(card, found.borders)}"
    sizes = [_two(sizes) for sizes in nearest.values()]
    if card.volume is not None:
        names = axis_names(card)
        sizes = [f"{size} {names[axis]}" for axis, size in zip(nearest, sizes, strict=True)]
    return (
        f"{reason}; use {', '.join(dict.fromkeys(sizes))}, the nearest that fit (or, if it was "
        f"trained so, state it in the card: {statement(card, found.borders)})"
    )
