"""Additions to the registry, as a person sees them."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from clearbench.display.console import say, warn


def encoder_rows(found: Iterable[tuple[Any, Any]]) -> list[dict[str, Any]]:
    """Make one row per encoder: of a Registered and its Availability."""
    return [_row(item, ready) for item, ready in found]


def _row(item: Any, ready: Any) -> dict[str, Any]:
    """Say in one row what an encoder is, and whether it can run."""
    card = item.card
    return {
        "encoder": item.name,
        "title": card.title,
        "dim": card.dim,
        "input": card.size_text,
        "views": card.views_text,
        "weights": card.source.partition(":")[0],
        "ready": "yes" if ready.state == "ready" else ready.state,
        "licence": card.weights.licence,
        "from": "" if item.origin == "clearbench" else item.origin,
    }


def show_adopted(name: str, adopted: Any) -> None:
    """Say what was written of a checkpoint, and what was left out: an Adopted."""
    sizes = ", ".join(f"{key} {value}" for key, value in adopted.sizes.model_dump().items())
    say(f"written: {adopted.card} and {adopted.weights.name} ({sizes})")
    heads = Counter(key.partition(".")[0] for key in adopted.dropped)
    if heads:
        said = ", ".join(f"{count} of {head}" for head, count in sorted(heads.items()))
        warn(f"left out: {said}")
    say(f"next: clearbench embed SCANS --model {name} --registry {adopted.card.parent}")
