"""A new encoder in the registry: its card, filled in by its library, and written to a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from clearbench.cards import check_card, write_card
from clearbench.encoders.adding.names import check_new_name
from clearbench.encoders.adding.own_weights import OwnWeights, take_weights
from clearbench.encoders.adding.request import UNKNOWN, AddRequest, Changes
from clearbench.encoders.adding.request import make_request as make_request
from clearbench.encoders.adding.size import check_size
from clearbench.encoders.adding.sources import given_facts, library_facts, origin, unknown_facts
from clearbench.encoders.card import MOST_PX, EncoderCard
from clearbench.encoders.inputs.views import choose_views
from clearbench.encoders.plugins import family_builder, family_module
from clearbench.encoders.weights.load import file_sha256, find_weights, write_weights
from clearbench.encoders.weights.revision import fix_revision
from clearbench.errors import BadRequest, UnknownName, check_between


@dataclass(frozen=True)
class Added:
    """A written card: the sources of its facts, the unknown facts, and the unused keys.

    `left_out` counts the unused keys, with the reason.
    """

    name: str
    card: EncoderCard
    path: Path
    weights: Path | None
    filled: tuple[str, ...]
    unknown: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


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
    name that exists (unless `replace`), or a size of which the network leaves out rows;
    UnknownName, BadCard, MissingExtra or WeightsUnavailable.
    """
    check_new_name(name, folder, replace=replace)
    given = changes or Changes()
    _check_pooling(given.pooling)
    check_between("size_px", given.size_px, 0, MOST_PX)
    described = _changed(_described(request, given), given, request)
    check_size(described, given=bool(given.size_px))
    if request.checkpoint is not None:
        return _with_own_weights(name, described, request, folder, given)
    if described.source == "none":
        raise BadRequest(f"timm has no weights of {request.place} on a hub; give a checkpoint too")
    card = _hashed(described) if described.source.startswith("file:") else fix_revision(described)
    path = folder / f"{name}.toml"
    write_card(card, path)
    library = f"{library_facts(card, given)}: from {request.family}, {request.place}"
    sources = (*given_facts(given), library, origin(card))
    return Added(name, card, path, None, sources, unknown_facts(card))


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
    name: str, described: EncoderCard, request: AddRequest, folder: Path, changes: Changes
) -> Added:
    """Write the weights of a checkpoint for a library's architecture, and their card."""
    checkpoint = Path(request.checkpoint or "")
    own = take_weights(described, checkpoint, ema=request.ema, unused=request.unused)
    weights, path = folder / f"{name}.safetensors", folder / f"{name}.toml"
    state = own.trunk.state_dict()
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(state, weights)
    card = _own_card(name, own, weights, changes)
    write_card(card, path)
    sources = (
        *given_facts(changes),
        f"{library_facts(card, changes)}: from {card.family}, {card.net}; correct them if your "
        "training was different",
        *own.notes,
        f"{len(state)} {own.chosen.taken}, loaded strictly: from {checkpoint}{own.chosen.instead}",
    )
    return Added(name, card, path, weights, sources, unknown_facts(card), own.dropped, own.reasons)


def _own_card(name: str, own: OwnWeights, weights: Path, changes: Changes) -> EncoderCard:
    """Return the card of weights that were taken of a checkpoint."""
    described, taken = own.card, own.card.weights
    facts = {
        "licence": changes.licence or UNKNOWN,
        "sha256": file_sha256(weights),
        "ema": taken.ema,
        "part": taken.part,
    }
    whole = described.model_dump(exclude_none=True, exclude_defaults=True) | {
        "title": f"{name} ({described.family} {described.net}, from a checkpoint)",
        "source": f"file:{weights.name}",
        "weights": facts,
        "facts": {"parameters_m": described.facts.parameters_m},
    }
    return check_card(whole, EncoderCard, name)
