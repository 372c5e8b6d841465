"""The size of a new encoder's images: refused if its network would leave out rows of them."""

import torch

from clearbench.encoders import torchvision_patch  # noqa: F401  before any library of networks
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.plugins import family_builder
from clearbench.encoders.unseen.layers import leaving_out
from clearbench.encoders.unseen.refusal import input_shape, why_unseen
from clearbench.errors import BadArgument, BadRequest


def check_size(card: EncoderCard, given: bool) -> None:
    """Refuse a size that the network of a new card doesn't see whole; nothing is downloaded.

    Raises BadArgument for a size that was `given`, BadRequest for the library's own.
    """
    build, random = family_builder(card), card.with_random_weights()
    with torch.device("meta"):
        empty = build(random, None).eval()
    if not leaving_out(empty, input_shape(card)):
        return
    reason = why_unseen(card, build(random, None).eval())
    if reason and given:
        raise BadArgument("size_px", card.seen.size_px, reason)
    if reason:
        raise BadRequest(f"{card.title}: its size, {card.seen.size_px} px, is {reason}")
