"""A new encoder in the registry: its card, filled in by its library, and written to a file."""

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
from clearbench.encoders.weights.revision import fix_revision, has_fixed_revision
from clearbench.errors import BadRequest, UnknownName, WeightsUnavailable

FAMILY_BY_ARGUMENTS = {
    ("timm",): "timm",
    ("open_clip",): "open_clip",
    ("transformers",): "transformers",
    ("checkpoint", "net"): "lecl",
    ("checkpoint", "timm"): "timm",
    ("checkpoint", "torchvision"): "torchvision",
}
SOURCES = "timm, open_clip, transformers, or checkpoint with net, timm or torchvision"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class AddRequest:
    """A new encoder's family, its name or place in that family, and a checkpoint of the user."""

    family: str
    place: str
    checkpoint: Path | None = None


@dataclass(frozen=True)
class Changes:
    """Facts from the user instead of the library's; blank: the library's."""

    views: tuple[str, ...] = ()
    size_px: int = 0
    pooling: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Added:
    """A written card: the sources of its facts, the unknown facts, and the unused keys."""

    name: str
    card: EncoderCard
    path: Path
    weights: Path | None
    filled: tuple[str, ...]
    unknown: tuple[str, ...]
    dropped: tuple[str, ...] = ()


def make_request(
    *,
    timm: str = "",
    open_clip: str = "",
    transformers: str = "",
    checkpoint: Path | None = None,
    net: str = "",
    torchvision: str = "",
) -> AddRequest:
    """Return the request of exactly one source; raises BadRequest for none, or for several."""
    values = {
        "checkpoint": checkpoint,
        "net": net,
        "open_clip": open_clip,
        "timm": timm,
        "torchvision": torchvision,
        "transformers": transformers,
    }
    given = tuple(key for key, value in values.items() if value)
    if given not in FAMILY_BY_ARGUMENTS:
        raise BadRequest(f"name one source: {SOURCES}; given: {', '.join(given) or 'none'}")
    family = FAMILY_BY_ARGUMENTS[given]
    return AddRequest(family, net or timm or open_clip or transformers or torchvision, checkpoint)


def add_encoder(
    name: str,
    request: AddRequest,
    folder: Path,
    changes: Changes | None = None,
    *,
    replace: bool = False,
) -> Added:
    """Write the card of a library's model to `folder`/`name`.toml.

    The library fills in the facts; the hub, if it can be reached, gives revision and sha256.
    Weights on this machine are loaded strictly before anything is written. Raises BadRequest for a
    name that exists (unless `replace`), UnknownName, BadCard, MissingExtra or WeightsUnavailable.
    """
    check_new_name(name, folder, replace=replace)
    given = changes or Changes()
    _check_pooling(given.pooling)
    described = _changed(_described(request, given), given, request)
    if request.checkpoint is not None:
        return _with_own_weights(name, described, request.checkpoint, folder, given)
    if described.source == "none":
        raise BadRequest(f"timm has no weights of {request.place} on a hub; give a checkpoint too")
    card = _hashed(described) if described.source.startswith("file:") else fix_revision(described)
    path = folder / f"{name}.toml"
    write_card(card, path)
    library = f"{_facts(card, given)}: from {request.family}, {request.place}"
    return Added(name, card, path, None, (*_given(given), library, _origin(card)), _unknown(card))


def _check_pooling(pooling: str) -> None:
    """Refuse a pooling that no card has."""
    known = get_args(EncoderCard.model_fields["pooling"].annotation)
    if pooling and pooling not in known:
        raise UnknownName.among("pooling", pooling, known, f" ({', '.join(known)})")


def _described(request: AddRequest, changes: Changes) -> EncoderCard:
    """Return a card, filled in by a family's library."""
    options = {"pooling": changes.pooling, "size_px": changes.size_px}
    own = {} if request.family == "open_clip" else options
    card: EncoderCard = family_module(request.family).describe(request.place, **own)
    return card


def _changed(card: EncoderCard, changes: Changes, request: AddRequest) -> EncoderCard:
    """Replace facts of the library by those of the user."""
    if request.family == "open_clip" and (changes.size_px or changes.pooling):
        raise BadRequest("open_clip fixes size and pooling; leave size_px and pooling out")
    facts = card.model_dump(exclude_none=True, exclude_defaults=True)
    if changes.licence:
        facts["weights"]["licence"] = changes.licence
    if changes.views:
        seen = card.seen.model_dump(exclude_none=True)
        facts["input"] = seen | {"views": "free", "default_views": changes.views}
    changed = check_card(facts, EncoderCard, request.place)
    if changed.scope == "slice":
        choose_views(changed)
    return changed


def _hashed(card: EncoderCard) -> EncoderCard:
    """Load weights of this machine once, strictly, and write their sha256 into the card."""
    file = find_weights(card)
    family_builder(card)(card, file)
    if file is None:
        return card
    facts = card.weights.model_copy(update={"sha256": file_sha256(file)})
    return card.model_copy(update={"weights": facts})


def _with_own_weights(
    name: str, described: EncoderCard, checkpoint: Path, folder: Path, changes: Changes
) -> Added:
    """Write the weights of a checkpoint for a library's architecture, and their card."""
    family, state = described.family, unwrapped(read_checkpoint(checkpoint))
    load = partial(family_module(family).load_trunk, described, where=checkpoint)
    try:
        trunk = load(state).state_dict()
    except WeightsUnavailable:
        # only if the keys don't fit as they are: a network may have one part itself
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
    sources = (
        *_given(changes),
        f"{_facts(card, changes)}: from {family}, {described.net}; correct them if your training "
        "was different",
        f"{len(trunk)} tensors, loaded strictly: from {checkpoint}",
    )
    return Added(
        name, card, path, weights, sources, _unknown(card), tuple(sorted({*state} - {*trunk}))
    )


def _within_one_part(state: Mapping[str, Any]) -> dict[str, Any] | None:
    """Remove the first part of every key if all keys share it, as in a wrapper; else None."""
    parts = {key.partition(".")[0] for key in state}
    if len(parts) != 1 or not all("." in key for key in state):
        return None
    return {key.partition(".")[2]: value for key, value in state.items()}


def _given(changes: Changes) -> tuple[str, ...]:
    """Name the facts from the user."""
    size = f"{changes.size_px} px" if changes.size_px else ""
    views = f"views {', '.join(changes.views)}" if changes.views else ""
    pooling = f"pooling {changes.pooling}" if changes.pooling else ""
    licence = f"licence {changes.licence}" if changes.licence else ""
    given = [fact for fact in (size, views, pooling, licence) if fact]
    return (f"{', '.join(given)}: given by you",) if given else ()


def _facts(card: EncoderCard, changes: Changes) -> str:
    """Name the facts from the library."""
    seen, licence = card.input, card.weights.licence
    facts = {
        f"{seen.size_px} px" if seen else "": not changes.size_px,
        f"mean and std, {seen.resample}" if seen else "": True,
        f"pooling {card.pooling}": not changes.pooling,
        f"dim {card.dim}": True,
        f"licence {licence}": not changes.licence and licence != UNKNOWN,
    }
    return ", ".join(fact for fact, from_library in facts.items() if fact and from_library)


def _origin(card: EncoderCard) -> str:
    """Name the source of revision and hash."""
    if not card.source.startswith("hf-hub:"):
        return f"sha256 of the weights, loaded strictly: from {card.source.partition(':')[2]}"
    if has_fixed_revision(card):
        return f"revision {card.revision}, sha256 of {card.weights.file}: from the hub"
    return "the hub can't be reached: no revision, no sha256, so its file may change later"


def _unknown(card: EncoderCard) -> tuple[str, ...]:
    """Name the unknown facts, and how to add them."""
    hub = card.source.startswith("hf-hub:")
    unknown = {
        "licence (weights.licence)": card.weights.licence == UNKNOWN,
        "revision (add the encoder again when the hub can be reached)": hub
        and card.revision is None,
        "sha256 of the weights": card.weights.sha256 is None,
        "pretraining data (facts.pretraining)": not card.facts.pretraining,
    }
    return tuple(key for key, missing in unknown.items() if missing)
