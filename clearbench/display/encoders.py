"""Additions to the registry, as a person sees them."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
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


def show_converted(name: str, converted: Any) -> None:
    """Say what was written of a checkpoint, and what was left out: a ConvertedCheckpoint."""
    sizes = ", ".join(f"{key} {value}" for key, value in converted.sizes.model_dump().items())
    say(f"written: {converted.card} and {converted.weights.name} ({sizes})")
    _warn_of_dropped(converted.dropped)
    _say_next(name, converted.card.parent)


def show_added(added: Any) -> None:
    """Say what was written, where each fact comes from, what is unknown, what is next: an Added."""
    files = f"{added.path} and {added.weights.name}" if added.weights else str(added.path)
    say(f"written: {files}")
    for line in added.filled:
        say(f"  {line}")
    _warn_of_dropped(added.dropped)
    if added.unknown:
        warn(f"still unknown: {'; '.join(added.unknown)}")
    _say_next(added.name, added.path.parent)


def _say_next(name: str, folder: Path) -> None:
    """Say how the new encoder is checked; ./registry is found without being typed."""
    found = folder.resolve() == (Path.cwd() / "registry").resolve()
    say(f"next: clearbench models check {name}{'' if found else f' --registry {folder}'}")


def _warn_of_dropped(keys: tuple[str, ...]) -> None:
    """Count what of a checkpoint was left out, by the first word of its keys."""
    heads = Counter(key.partition(".")[0] for key in keys)
    if heads:
        said = ", ".join(f"{count} of {head}" for head, count in sorted(heads.items()))
        warn(f"left out: {said}")
