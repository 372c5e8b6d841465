"""Random weights that are the same on every processor, to the last bit."""

from math import sqrt

import numpy as np
import torch
from torch import Tensor, nn


def draw_alike(network: nn.Module, other: nn.Module, seed: int) -> None:
    """Draw a network's random parameters again, with numpy, from the same seed on every machine.

    torch's generators give other last bits on processors with other vector units, and so another
    fingerprint. `other` is the same network from another seed: what is equal in both isn't random,
    and stays. A tensor keeps the mean and standard deviation of its architecture's initialisation;
    its values are uniform, for which numpy needs no function but multiplication.
    """
    rng = np.random.default_rng(seed)
    others = dict(other.named_parameters())
    with torch.no_grad():
        for name, values in network.named_parameters():
            if not torch.equal(values, others[name]):
                values.copy_(_drawn(values, rng))


def _drawn(values: Tensor, rng: np.random.Generator) -> Tensor:
    """Draw a tensor with the mean and standard deviation of another."""
    # rounded, because they come from torch's last bits
    spread = float(f"{values.double().std(correction=0).item():.2e}")
    middle = values.double().mean().item()
    # in steps of a tenth of the spread: the mean of draws around 0 is 0
    middle = round(middle / spread, 1) * spread if spread else float(f"{middle:.2e}")
    uniform = 2 * rng.random(tuple(values.shape)) - 1
    return torch.from_numpy(np.asarray(middle + sqrt(3) * spread * uniform))
