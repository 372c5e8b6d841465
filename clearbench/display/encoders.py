"""Additions to the registry, as a person sees them."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from clearbench.display.console import say, warn


def encoder_rows(found: Iterable[tuple[Any, Any]]) -> list[dict[str, Any]]:
    """Return one row per encoder, from its Registered and its Availability."""
    return [_row(item, available) for item, available in found]


def _row(item: Any, available: Any) -> dict[str, Any]:
    """Return the facts of one encoder, and whether it can run."""
    card = item.card
    return {
        "encoder": item.name,
        "ready": "yes" if available.state == "ready" else available.state,
        "dim": card.dim,
        "input": card.size_text,
        "views": card.views_text,
        "weights": card.source.partition(":")[0],
        "licence": card.weights.licence,
        "from": "" if item.origin == "clearbench" else item.origin,
        "title": card.title,
    }


def show_converted(name: str, converted: Any) -> None:
    """Say what was written of a checkpoint, and what was left out: a ConvertedCheckpoint."""
    sizes = ", ".join(f"{key} {value}" for key, value in converted.sizes.model_dump().items())
    say(f"written: {converted.card} and {converted.weights.name} ({sizes})")
    say(f"  loaded strictly: {converted.taken}")
    _warn_of_dropped(converted.dropped)
    _say_next(name, converted.card.parent)


def show_added(added: Any) -> None:
    """Print the new card, the source of each fact, what is unknown, and what is next: an Added."""
    files = f"{added.path} and {added.weights.name}" if added.weights else str(added.path)
    say(f"written: {files}")
    for line in added.filled:
        say(f"  {line}")
    if added.left_out:
        warn(f"left out: {', '.join(added.left_out)}")
    if added.unknown:
        warn(f"still unknown: {'; '.join(added.unknown)}")
    _say_next(added.name, added.path.parent)


def _say_next(name: str, folder: Path) -> None:
    """Print the command that checks the new encoder; ./registry needs no option."""
    default = folder.resolve() == (Path.cwd() / "registry").resolve()
    say(f"next: clearbench models check {name}{'' if default else f' --registry {folder}'}")


def _warn_of_dropped(keys: tuple[str, ...]) -> None:
    """Count the tensors that were left out of a checkpoint, by the first word of their keys."""
    words = Counter(key.partition(".")[0] for key in keys)
    if words:
        counts = ", ".join(f"{count} of {word}" for word, count in sorted(words.items()))
        warn(f"left out: {counts}")
