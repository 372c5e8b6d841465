"""Additions to the registry, as a person sees them."""

from collections import Counter
from typing import Any

from clearbench.display.console import say, warn


def show_adopted(name: str, adopted: Any) -> None:
    """Say what was written of a checkpoint, and what was left out: an Adopted."""
    sizes = ", ".join(f"{key} {value}" for key, value in adopted.sizes.model_dump().items())
    say(f"written: {adopted.card} and {adopted.weights.name} ({sizes})")
    heads = Counter(key.partition(".")[0] for key in adopted.dropped)
    if heads:
        said = ", ".join(f"{count} of {head}" for head, count in sorted(heads.items()))
        warn(f"left out: {said}")
    say(f"next: clearbench embed SCANS --model {name} --registry {adopted.card.parent}")
