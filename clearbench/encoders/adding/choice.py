"""Which network of a checkpoint is taken: the one that fits, and of two the average or the raw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from clearbench.encoders.weights.networks import SavedNetwork, averages_in_lists
from clearbench.errors import BadArgument, WeightsUnavailable, name_some


@dataclass(frozen=True)
class Chosen:
    """The network that is taken of a checkpoint, and those that could be taken instead."""

    network: SavedNetwork
    others: tuple[SavedNetwork, ...]

    @property
    def averaged(self) -> bool | None:
        """Whether averaged weights are taken; None if the checkpoint has no average."""
        any_average = any(network.averaged for network in (self.network, *self.others))
        return self.network.averaged if any_average else None

    @property
    def taken(self) -> str:
        """Name what was taken: "tensors of state_dict_ema (EMA)"."""
        whole = f"tensors of {self.network.name}" if self.network.name else "tensors"
        return whole if self.averaged is None else f"{whole} ({kind(self.network)})"

    @property
    def instead(self) -> str:
        """Name what could be taken instead, and how; "" if there is nothing."""
        if not self.others:
            return ""
        names = ", ".join(f"{other.name or 'the rest'} ({kind(other)})" for other in self.others)
        option = "--no-ema" if self.network.averaged else "--ema"
        return f"; not taken: {names}, which {option} takes"


def kind(network: SavedNetwork) -> str:
    """Say whether a network's weights are averaged or raw."""
    return "EMA" if network.averaged else "raw"


def choose_network(
    networks: Sequence[SavedNetwork], ema: bool | None, where: Path, part: str = ""
) -> Chosen:
    """Choose one of the networks that fit; `ema` means the average (True) or the raw one.

    Without `ema`, the average is taken where its method evaluates it: an EMA as timm's loader does,
    a teacher; not MoCo's momentum encoder. Raises BadArgument if the checkpoint has no such
    weights, WeightsUnavailable if several fit. `part` names what fits, for errors.
    """
    averaged = [network for network in networks if network.averaged]
    raw = [network for network in networks if not network.averaged]
    if ema is not None and not (averaged if ema else raw):
        have = ", ".join(f"{network.name or 'the file'} ({kind(network)})" for network in networks)
        raise BadArgument("ema", ema, f"{where} has only {have}")
    evaluated = any(network.evaluated for network in averaged) and not _is_byol(raw, averaged)
    wanted = _distinct(averaged if (ema if ema is not None else evaluated or not raw) else raw)
    if len(wanted) > 1:
        names = [network.name or "the file" for network in wanted]
        raise WeightsUnavailable(
            f"{where}: several networks in it {part or 'may be meant'}: {', '.join(names)}; leave "
            f"the others out with unused (--unused {wanted[-1].place[-1]}.)"
        )
    return Chosen(wanted[0], tuple(one for one in networks if one is not wanted[0]))


def refuse_lists(checkpoint: Mapping[str, object], ema: bool | None, where: Path) -> None:
    """Raise WeightsUnavailable for an average that a checkpoint keeps without the names of tensors.

    With `ema` False the raw weights are wanted, so nothing is refused.
    """
    lists = averages_in_lists(checkpoint) if ema is not False else []
    if lists:
        raise WeightsUnavailable(
            f"{where} has an average of the weights at {name_some(lists)}, as a list of tensors "
            "without their names, which can't be read: save the model's state dict with the "
            "average copied into it, or take the raw weights with --no-ema"
        )


def _distinct(networks: Sequence[SavedNetwork]) -> list[SavedNetwork]:
    """Leave out networks that are an earlier one under another name."""
    kept: list[SavedNetwork] = []
    for network in networks:
        if not any(_same(network, other) for other in kept):
            kept.append(network)
    return kept


def _same(one: SavedNetwork, other: SavedNetwork) -> bool:
    """Return whether two networks have the same tensors."""
    return one.state.keys() == other.state.keys() and all(
        torch.equal(tensor, other.state[key]) for key, tensor in one.state.items()
    )


def _is_byol(raw: Sequence[SavedNetwork], averaged: Sequence[SavedNetwork]) -> bool:
    """Return whether these are BYOL's online and target network: BYOL evaluates the online one."""
    online = any("online" in word for network in raw for word in network.place)
    return online and all(any("target" in word for word in each.place) for each in averaged)
