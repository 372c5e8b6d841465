"""Which parts of a checkpoint fit an architecture, whatever they are called there."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from clearbench.encoders.weights.load import KeyFaults, key_faults
from clearbench.encoders.weights.networks import SavedNetwork
from clearbench.errors import WeightsUnavailable

LEAST_SHARE = 0.5  # of the architecture's numbers; positions may be of another size
# first words of names next to a network, which embedding doesn't need
TRAINING_ONLY = re.compile(
    r"(^|_)(loss(es)?|criterion|metrics?|acc(uracy)?|auroc)(_|\d|$)"
    r"|^(mask_token|masked_embed|n_averaged|num_updates|queue|queue_ptr)$"
)

Fit = Callable[[nn.Module, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Fitted:
    """A network of a checkpoint, its tensors by an architecture's names, and what doesn't fit."""

    network: SavedNetwork
    state: Mapping[str, Any]
    faults: KeyFaults
    channels: int | None = None

    @property
    def fits(self) -> bool:
        """Whether it is the whole architecture and nothing else."""
        return not self.faults


def fitting_parts(
    networks: Sequence[SavedNetwork], trunk: nn.Module, fit: Fit, unused: Sequence[str] = ()
) -> list[Fitted]:
    """Compare every part of a checkpoint that is large enough with an architecture.

    A part that fits isn't searched for smaller ones. `fit` renames a state dict for the trunk;
    `unused` are beginnings of names to leave out.
    """
    least = LEAST_SHARE * sum(tensor.numel() for tensor in trunk.state_dict().values())
    waiting, found = [network.without(unused) for network in networks], []
    while waiting:
        network = waiting.pop(0)
        if network.numbers < least:
            continue
        fitted = _fitted(network, trunk, fit)
        found.append(fitted)
        if not fitted.fits:
            waiting += [part.without(unused) for part in network.parts()]
    return found


def _fitted(network: SavedNetwork, trunk: nn.Module, fit: Fit) -> Fitted:
    """Compare one part; keys that only a training needs are left out."""
    have = trunk.state_dict()
    state = {
        key: value
        for key, value in fit(trunk, dict(network.state)).items()
        if key in have or not is_for_training(key)
    }
    faults = key_faults(trunk, state)
    return Fitted(network, state, faults, _channels(have, state, faults))


def is_for_training(key: str) -> bool:
    """Return whether a tensor is of a loss, a metric or a queue, by the first word of its name."""
    return TRAINING_ONLY.search(key.partition(".")[0].lower()) is not None


def _channels(
    have: Mapping[str, Tensor], state: Mapping[str, Any], faults: KeyFaults
) -> int | None:
    """Return the channels of a first layer, if they are all that differs."""
    if faults.extra or faults.missing or len(faults.other) != 1:
        return None
    ours, theirs = have[faults.other[0]].shape, state[faults.other[0]].shape
    same = len(theirs) == len(ours) > 2 and (*ours[:1], *ours[2:]) == (*theirs[:1], *theirs[2:])
    return int(theirs[1]) if same and ours[1] == 3 else None


def no_fit(parts: Sequence[Fitted], where: Path, net: str) -> WeightsUnavailable:
    """Return the error for a checkpoint of which no part fits: what the nearest part lacks."""
    if not parts:
        return WeightsUnavailable(
            f"{where}: weights of another network than {net}: nothing in it is as large"
        )
    nearest = min(parts, key=lambda one: one.faults.count)
    inside = f" (in {nearest.network.name})" if nearest.network.name else ""
    message = f"{where}: weights of another network: keys {nearest.faults}{inside}"
    faults = nearest.faults
    if faults.extra and not (faults.missing or faults.other):
        words = dict.fromkeys(_beginning(key) for key in faults.extra)
        options = " ".join(f"--unused {word}" for word in words)
        message += f"; if they are no part of the encoder, leave them out with unused ({options})"
    return WeightsUnavailable(message)


def _beginning(key: str) -> str:
    """Return the first word of a name, with its dot."""
    word, dot, _ = key.partition(".")
    return word + dot
