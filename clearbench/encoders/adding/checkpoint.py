"""Import a checkpoint of another training: its weights and card in clearbench's format.

Reads MoCo checkpoints of CLEAR's released code (`module.base_encoder.*`, `.pth.tar`), files of
VMamba and MambaOut (timm's names too), and checkpoints of `clearbench pretrain`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from clearbench.cards import write_card
from clearbench.encoders.adding.choice import Chosen, choose_network, refuse_lists
from clearbench.encoders.adding.inferred import USUAL, infer_sizes, not_of
from clearbench.encoders.adding.names import check_new_name
from clearbench.encoders.card import MOST_PX, EncoderCard, WeightFacts
from clearbench.encoders.inputs.views import choose_views
from clearbench.encoders.nets.build import build_net, our_keys
from clearbench.encoders.nets.sizes import (
    NETS,
    Sizes,
    check_sizes,
    features_dim,
    pooling_of,
)
from clearbench.encoders.registry import find_encoder
from clearbench.encoders.weights.load import (
    file_sha256,
    load_strictly,
    read_checkpoint,
    write_weights,
)
from clearbench.encoders.weights.networks import SavedNetwork, keys_outside, saved_networks
from clearbench.errors import BadArgument, BadCard, UnknownName, WeightsUnavailable

Branch = Literal["base", "momentum"]
StateDict = dict[str, Any]

BRANCHES: Mapping[Branch, tuple[str, ...]] = MappingProxyType(
    {
        "base": ("base_encoder.", "encoder_q.", "base.0."),
        "momentum": ("momentum_encoder.", "encoder_k.", "momentum.0."),
    }
)


@dataclass(frozen=True)
class ConvertedCheckpoint:
    """A written card and weights, the network's sizes, the unused keys, and what was taken."""

    card: Path
    weights: Path
    sizes: Sizes
    dropped: tuple[str, ...]
    taken: str = ""


def convert_checkpoint(  # noqa: PLR0913  options of a command
    name: str,
    checkpoint: Path,
    net: str,
    folder: Path,
    *,
    branch: Branch = "base",
    num_heads: int | None = None,
    licence: str = "unknown",
    views: tuple[str, ...] = (),
    ema: bool | None = None,
    unused: Sequence[str] = (),
    replace: bool = False,
) -> ConvertedCheckpoint:
    """Write the encoder of a checkpoint as `folder`/`name`.safetensors and its card.

    A checkpoint of `clearbench pretrain` has the sizes; from others they are inferred from the
    tensors. The heads of a ViT can't be inferred: without `num_heads` they are 64 channels wide.
    `branch` chooses the encoder of a MoCo checkpoint; projector, predictor and classifier are left
    out. `ema` chooses between raw and averaged weights of others, as choose_network does; `unused`
    are beginnings of names to leave out. Raises BadRequest, UnknownName, or WeightsUnavailable if
    keys are left over or missing, and then writes nothing.
    """
    check_new_name(name, folder, replace=replace)
    path, weights = folder / f"{name}.toml", folder / f"{name}.safetensors"
    if net not in NETS:
        raise UnknownName.among("LeCL network", net, NETS, f" ({', '.join(NETS)})")
    if branch not in BRANCHES:
        raise BadArgument("branch", branch, "must be base or momentum")
    usual = _with_views(find_encoder(USUAL[net]).card, views)
    saved = read_checkpoint(checkpoint)
    refuse_lists(saved, ema, checkpoint)
    sized = _saved_sizes(saved, net, checkpoint)
    networks = saved_networks(saved)
    chosen = _chosen(networks, net, branch, checkpoint, ema, unused)
    everything = dict(chosen.network.state)
    kept = without_heads(chosen_branch(everything, branch, checkpoint), net)
    sizes, size_px = sized or infer_sizes(kept, net, checkpoint, num_heads)
    network = build_net(sizes, size_px, seed=0)
    load_strictly(network, our_keys(kept, sizes), checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(network.state_dict(), weights)
    facts = {"licence": licence, "ema": chosen.averaged, "part": chosen.network.name}
    write_card(_card(name, usual, sizes, size_px, weights, facts), path)
    left = (*_left_out(everything, kept, branch), *keys_outside(chosen.network, networks))
    return ConvertedCheckpoint(path, weights, sizes, left, f"{chosen.taken}{chosen.instead}")


def _saved_sizes(saved: StateDict, net: str, where: Path) -> tuple[Sizes, int] | None:
    """Return the sizes in a checkpoint of `clearbench pretrain`; None for others."""
    facts = saved.get("net")
    if not isinstance(facts, dict) or "sizes" not in facts:
        return None
    if facts.get("net") != net:
        raise BadArgument("net", net, f"{where} has the network {facts.get('net')}")
    try:
        sizes, size_px = dict(facts["sizes"]), int(facts["size_px"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise WeightsUnavailable(f"{where}: the sizes in it are damaged ({error})") from error
    if not 0 < size_px <= MOST_PX:
        raise WeightsUnavailable(f"{where}: its images have {size_px} px")
    return check_sizes(net, sizes, str(where)), size_px


def _left_out(everything: StateDict, kept: StateDict, branch: Branch) -> tuple[str, ...]:
    """Return the keys that are not part of the chosen encoder."""
    used = {prefix + key for key in kept for prefix in ("", *BRANCHES[branch])}
    return tuple(sorted(key for key in everything if key not in used))


def _card(
    name: str,
    usual: EncoderCard,
    sizes: Sizes,
    size_px: int,
    weights: Path,
    facts: Mapping[str, Any],
) -> EncoderCard:
    """Return the new card: the usual card of its network, with the checkpoint's sizes."""
    return usual.model_copy(
        update={
            "title": f"{name} (LeCL {usual.net}, from a checkpoint)",
            "source": f"file:{weights.name}",
            "sizes": sizes.model_dump(),
            "dim": features_dim(sizes),
            "pooling": pooling_of(sizes),
            "input": usual.seen.model_copy(update={"size_px": size_px}),
            "weights": WeightFacts(**facts, sha256=file_sha256(weights)),
            "facts": usual.facts.model_copy(update={"parameters_m": None, "paper": ""}),
        }
    )


def _with_views(card: EncoderCard, views: tuple[str, ...]) -> EncoderCard:
    """Replace the usual views by the user's."""
    if not views:
        return card
    seen = card.seen.model_copy(update={"views": "free", "default_views": views})
    changed = card.model_copy(update={"input": seen})
    choose_views(changed)
    return changed


def _chosen(
    networks: Sequence[SavedNetwork],
    net: str,
    branch: Branch,
    where: Path,
    ema: bool | None,
    unused: Sequence[str],
) -> Chosen:
    """Choose the part of a checkpoint that is a network `net`, or holds its MoCo branches.

    Raises WeightsUnavailable if there is none, BadArgument for `ema` without such weights.
    """
    waiting, found, fault = [*networks], [], None
    while waiting:
        network = waiting.pop(0).without(unused)
        try:
            kept = without_heads(chosen_branch(dict(network.state), branch, where), net)
            infer_sizes(kept, net, where)
            found.append(network)
        except (WeightsUnavailable, BadCard) as error:
            fault = fault or error
            waiting += [] if _has_branches(network.state) else network.parts()
    if not found:
        raise fault or not_of(net, where)
    if ema is not None and _has_branches(found[0].state):
        raise BadArgument(
            "ema", ema, f"{where} is a MoCo checkpoint; choose base or momentum by branch"
        )
    return choose_network(found, ema, where, f"are a network {net}")


def chosen_branch(state: StateDict, branch: Branch, where: Path) -> StateDict:
    """Return one encoder of a MoCo checkpoint; a state dict of one network is returned unchanged.

    Raises WeightsUnavailable if the branch is missing.
    """
    if not _has_branches(state):
        return state
    found = {
        key.removeprefix(prefix): value
        for prefix in BRANCHES[branch]
        for key, value in state.items()
        if key.startswith(prefix)
    }
    if not found:
        raise WeightsUnavailable(f"{where}: this MoCo checkpoint has no {branch} encoder")
    return found


def _has_branches(state: Mapping[str, Any]) -> bool:
    """Return whether a state dict has the two encoders of MoCo."""
    return any(key.startswith(prefix) for key in state for p in BRANCHES.values() for prefix in p)


def without_heads(state: StateDict, net: str) -> StateDict:
    """Leave out projector or classifier.

    timm calls MambaOut's last norm `head.norm`. In the published files the last norm is `norm`, and
    `head.norm` is a part of the classifier.
    """
    heads = ("head.", "classifier.head.")
    own = () if "norm.weight" in state or net != "gated-cnn" else ("head.norm.",)
    return {
        key: value
        for key, value in state.items()
        if not key.startswith(heads) or key.startswith(own)
    }
