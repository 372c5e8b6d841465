"""A new encoder in the registry: its card filled in by its library, pinned, and written."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

from clearbench.cards import check_card, write_card
from clearbench.encoders.adding.checkpoint import unwrapped
from clearbench.encoders.adding.names import check_new_name
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.inputs.views import choose_views
from clearbench.encoders.plugins import family_builder, family_module
from clearbench.encoders.weights.load import (
    file_sha256,
    find_weights,
    read_checkpoint,
    write_weights,
)
from clearbench.encoders.weights.pinning import is_pinned, pin
from clearbench.errors import BadRequest, UnknownName, WeightsUnavailable

WAYS = {
    ("timm",): "timm",
    ("open_clip",): "open_clip",
    ("transformers",): "transformers",
    ("checkpoint", "net"): "lecl",
    ("checkpoint", "timm"): "timm",
    ("checkpoint", "torchvision"): "torchvision",
}
TYPED = (
    "--timm NAME, --open-clip PLACE, --transformers PLACE, or --checkpoint FILE beside "
    "--net NET, --timm NAME or --torchvision NAME"
)
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Way:
    """Where a new encoder comes from: its family, its name or place there, and its own weights."""

    family: str
    place: str
    checkpoint: Path | None = None


@dataclass(frozen=True)
class Changes:
    """What the user says otherwise than the library; blank: as the library says."""

    views: tuple[str, ...] = ()
    size_px: int = 0
    pooling: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Added:
    """A card that was written, where its facts come from, and which are still unknown."""

    name: str
    card: EncoderCard
    path: Path
    weights: Path | None
    filled: tuple[str, ...]
    unknown: tuple[str, ...]
    dropped: tuple[str, ...] = ()


def choose_way(
    *,
    timm: str = "",
    open_clip: str = "",
    transformers: str = "",
    checkpoint: Path | None = None,
    net: str = "",
    torchvision: str = "",
) -> Way:
    """Return the one way that was typed; raises BadRequest for none, or for several."""
    values = {
        "checkpoint": checkpoint,
        "net": net,
        "open_clip": open_clip,
        "timm": timm,
        "torchvision": torchvision,
        "transformers": transformers,
    }
    typed = tuple(key for key, value in values.items() if value)
    if typed not in WAYS:
        options = ", ".join(f"--{key.replace('_', '-')}" for key in typed) or "none of them"
        raise BadRequest(f"an encoder comes in one way: {TYPED}; typed: {options}")
    return Way(WAYS[typed], net or timm or open_clip or transformers or torchvision, checkpoint)


def add_encoder(
    name: str, way: Way, folder: Path, changes: Changes | None = None, *, replace: bool = False
) -> Added:
    """Write the card of a library's model to `folder`/`name`.toml.

    The library fills it in; the hub, if it can be reached, pins revision and sha256. Weights on
    this machine are loaded strictly before anything is written. Raises BadRequest for a name that
    exists (unless `replace`), UnknownName, BadCard, MissingExtra or WeightsUnavailable.
    """
    check_new_name(name, folder, replace=replace)
    typed = changes or Changes()
    _check_pooling(typed.pooling)
    described = _changed(_described(way, typed), typed, way)
    if way.checkpoint is not None:
        return _with_own_weights(name, described, way.checkpoint, folder, typed)
    if described.source == "none":
        raise BadRequest(
            f"timm has no weights of {way.place} on a hub; type --checkpoint FILE beside --timm"
        )
    card = _hashed(described) if described.source.startswith("file:") else pin(described)
    path = folder / f"{name}.toml"
    write_card(card, path)
    said = (f"{_facts(card, typed)}: as {way.family} describes {way.place}", _pins(card))
    return Added(name, card, path, None, (*_typed(typed), *said), _unknown(card))


def _check_pooling(pooling: str) -> None:
    """Refuse a pooling that no card has."""
    known = get_args(EncoderCard.model_fields["pooling"].annotation)
    if pooling and pooling not in known:
        raise UnknownName.among("pooling", pooling, known, f" ({', '.join(known)})")


def _described(way: Way, changes: Changes) -> EncoderCard:
    """Let a family's library fill in a card."""
    options = {"pooling": changes.pooling, "size_px": changes.size_px}
    own = {} if way.family == "open_clip" else options
    card: EncoderCard = family_module(way.family).describe(way.place, **own)
    return card


def _changed(card: EncoderCard, changes: Changes, way: Way) -> EncoderCard:
    """Put what the user typed in the place of what the library says."""
    if way.family == "open_clip" and (changes.size_px or changes.pooling):
        raise BadRequest("open_clip's towers have their own size and pooling; leave both out")
    facts = card.model_dump(exclude_none=True, exclude_defaults=True)
    if changes.licence:
        facts["weights"]["licence"] = changes.licence
    if changes.views:
        seen = card.seen.model_dump(exclude_none=True)
        facts["input"] = seen | {"views": "free", "default_views": changes.views}
    changed = check_card(facts, EncoderCard, way.place)
    if changed.scope == "slice":
        choose_views(changed)
    return changed


def _hashed(card: EncoderCard) -> EncoderCard:
    """Load weights of this machine once, strictly, and put their sha256 on the card."""
    file = find_weights(card)
    family_builder(card)(card, file)
    if file is None:
        return card
    facts = card.weights.model_copy(update={"sha256": file_sha256(file)})
    return card.model_copy(update={"weights": facts})


def _with_own_weights(
    name: str, described: EncoderCard, checkpoint: Path, folder: Path, changes: Changes
) -> Added:
    """Write somebody's own weights of a library's architecture, and their card."""
    family, state = described.family, unwrapped(read_checkpoint(checkpoint))
    load = partial(family_module(family).load_trunk, described, where=checkpoint)
    try:
        trunk = load(state).state_dict()
    except WeightsUnavailable:
        inner = _within_one_part(state)
        if inner is None:
            raise
        state, trunk = inner, load(inner).state_dict()
    weights, path = folder / f"{name}.safetensors", folder / f"{name}.toml"
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(trunk, weights)
    facts = {"licence": changes.licence or UNKNOWN, "sha256": file_sha256(weights)}
    whole = described.model_dump(exclude_none=True, exclude_defaults=True) | {
        "title": f"{name} ({family} {described.net}, from a checkpoint)",
        "source": f"file:{weights.name}",
        "weights": facts,
        "facts": {"parameters_m": described.facts.parameters_m},
    }
    card = check_card(whole, EncoderCard, name)
    write_card(card, path)
    said = (
        *_typed(changes),
        f"{_facts(card, changes)}: as {family} describes {described.net}; change what your "
        "training did otherwise",
        f"{len(trunk)} tensors, loaded strictly: from {checkpoint}",
    )
    return Added(
        name, card, path, weights, said, _unknown(card), tuple(sorted({*state} - {*trunk}))
    )


def _within_one_part(state: Mapping[str, Any]) -> dict[str, Any] | None:
    """Take off the name of the one part that holds every tensor, as of a wrapper; None if none."""
    parts = {key.partition(".")[0] for key in state}
    if len(parts) != 1 or not all("." in key for key in state):
        return None
    return {key.partition(".")[2]: value for key, value in state.items()}


def _typed(changes: Changes) -> tuple[str, ...]:
    """Name the facts that the user typed."""
    size = f"{changes.size_px} px" if changes.size_px else ""
    views = f"views {', '.join(changes.views)}" if changes.views else ""
    pooling = f"pooling {changes.pooling}" if changes.pooling else ""
    licence = f"licence {changes.licence}" if changes.licence else ""
    typed = [fact for fact in (size, views, pooling, licence) if fact]
    return (f"{', '.join(typed)}: as typed",) if typed else ()


def _facts(card: EncoderCard, changes: Changes) -> str:
    """Name the facts that a library knew, less those that were typed."""
    seen, licence = card.input, card.weights.licence
    facts = {
        f"{seen.size_px} px" if seen else "": not changes.size_px,
        f"mean and std, {seen.resample}" if seen else "": True,
        f"pooling {card.pooling}": not changes.pooling,
        f"dim {card.dim}": True,
        f"licence {licence}": not changes.licence and licence != UNKNOWN,
    }
    return ", ".join(fact for fact, told in facts.items() if fact and told)


def _pins(card: EncoderCard) -> str:
    """Say where revision and hash come from."""
    if not card.source.startswith("hf-hub:"):
        return f"sha256 of the weights, loaded strictly: from {card.source.partition(':')[2]}"
    if is_pinned(card):
        return f"revision {card.revision}, sha256 of {card.weights.file}: from the hub"
    return "the hub can't be reached: no revision, no sha256; what it serves may change"


def _unknown(card: EncoderCard) -> tuple[str, ...]:
    """Name the facts that nobody told, and how they may be told."""
    hub = card.source.startswith("hf-hub:")
    found = {
        "licence (--licence, or weights.licence)": card.weights.licence == UNKNOWN,
        "revision (online: add it again with --replace)": hub and card.revision is None,
        "sha256 of the weights": card.weights.sha256 is None,
        "pretraining data (facts.pretraining)": not card.facts.pretraining,
    }
    return tuple(key for key, missing in found.items() if missing)
