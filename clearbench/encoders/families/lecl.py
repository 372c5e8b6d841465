"""LeCL encoders: the card's network in the card's sizes, with weights of `pretrain`."""

from pathlib import Path

from torch import nn

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.nets.build import build_net, our_keys
from clearbench.encoders.nets.sizes import check_sizes
from clearbench.encoders.weights.load import load_strictly, read_weights


def build(card: EncoderCard, weights: Path | None) -> nn.Module:
    """Build a LeCL encoder; without `weights` they are random, with the seed of the card's source.

    Raises WeightsUnavailable for another network's weights.
    """
    sizes = check_sizes(card.net, card.sizes, card.title)
    if weights is None:
        return build_net(sizes, card.seen.size_px, seed=card.seed)
    network = build_net(sizes, card.seen.size_px, seed=0)
    load_strictly(network, our_keys(read_weights(weights, card.weights.ema), sizes), weights)
    return network
