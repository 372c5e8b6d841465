"""Checks and additions to the registry, as a person sees them."""

from collections import Counter
from pathlib import Path
from typing import Any

from clearbench.display.console import say, warn


def show_golden(check: Any) -> None:
    """Say how far a network is from the published one: a GoldenCheck."""
    sizes = ", ".join(f"{key} {value}" for key, value in check.sizes.model_dump().items())
    say(f"{check.net}: {sizes}")
    say(f"{check.tensors} tensors loaded strictly; input {' × '.join(map(str, check.images))}")
    verdict = "agrees" if check.agrees else "DIFFERS (1e-4 is allowed)"
    say(
        f"largest difference {check.largest_difference:.2e} in features up to "
        f"{check.largest_feature:.2f}: {verdict}"
    )


def show_adopted(name: str, adopted: Any) -> None:
    """Say what was written of a checkpoint, and what was left out: an Adopted."""
    sizes = ", ".join(f"{key} {value}" for key, value in adopted.sizes.model_dump().items())
    say(f"written: {adopted.card} and {adopted.weights.name} ({sizes})")
    _warn_of_dropped(adopted.dropped)
    _say_next(name, adopted.card.parent)


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
