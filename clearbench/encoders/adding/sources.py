"""Where each fact of a new card is from, and which facts are unknown: what is printed."""

from clearbench.encoders.adding.request import UNKNOWN, Changes
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights.revision import has_fixed_revision


def given_facts(changes: Changes) -> tuple[str, ...]:
    """Name the facts from the user."""
    size = f"{changes.size_px} px" if changes.size_px else ""
    views = f"views {', '.join(changes.views)}" if changes.views else ""
    pooling = f"pooling {changes.pooling}" if changes.pooling else ""
    licence = f"licence {changes.licence}" if changes.licence else ""
    given = [fact for fact in (size, views, pooling, licence) if fact]
    return (f"{', '.join(given)}: given by you",) if given else ()


def library_facts(card: EncoderCard, changes: Changes) -> str:
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


def origin(card: EncoderCard) -> str:
    """Name the source of revision and hash."""
    if not card.source.startswith("hf-hub:"):
        return f"sha256 of the weights, loaded strictly: from {card.source.partition(':')[2]}"
    if has_fixed_revision(card):
        return f"revision {card.revision}, sha256 of {card.weights.file}: from the hub"
    return "the hub can't be reached: no revision, no sha256, so its file may change later"


def unknown_facts(card: EncoderCard) -> tuple[str, ...]:
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
