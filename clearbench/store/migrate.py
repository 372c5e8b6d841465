"""Migrations of a store: numbered steps from one schema to the next, without embedding again.

A new schema adds a step to STEPS, and raises SCHEMA in `store.folder` by one. A step changes files
one at a time, whole or not at all, and can run again after it was stopped. After each step
store.json has the new number, so a stopped migration continues at the right step.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clearbench.errors import BadStore
from clearbench.rights import OWNER_ONLY
from clearbench.store.folder import SCHEMA, StoreFolder, read_schema, write_schema

LOCK = "migrate.lock"


@dataclass(frozen=True)
class Step:
    """One step: the schema that the store has after it, what it does in a line, and how."""

    schema: int
    title: str
    run: Callable[[StoreFolder], None]


STEPS: tuple[Step, ...] = ()  # the first schema is the only one so far


@dataclass(frozen=True)
class Migration:
    """What a migration did, or would do: the schema before and after, and the steps."""

    before: int
    after: int
    steps: tuple[str, ...]


def migrate(root: Path | str, *, dry_run: bool = False, steps: Sequence[Step] = STEPS) -> Migration:
    """Bring a store to this version's schema, step by step; `dry_run` only says which steps.

    Raises BadStore for a folder that isn't a store, a store of a newer clearbench, one that no step
    leads away from, or one that another process migrates.
    """
    folder = StoreFolder(Path(root))
    before = read_schema(folder)
    target = max([SCHEMA, *(step.schema for step in steps)])
    if before > target:
        raise BadStore(
            f"{folder.root}: a newer clearbench made this store (schema {before}, this version "
            f"reads {target}); update clearbench"
        )
    todo = [step for step in sorted(steps, key=lambda step: step.schema) if step.schema > before]
    if [step.schema for step in todo] != list(range(before + 1, target + 1)):
        raise BadStore(
            f"{folder.root}: no way leads from schema {before} to {target}; embed into a new store"
        )
    if todo and not dry_run:
        _run(todo, folder)
    return Migration(before, target, tuple(f"{step.schema}: {step.title}" for step in todo))


def _run(steps: Sequence[Step], folder: StoreFolder) -> None:
    """Run steps, one process at a time."""
    lock = folder.root / LOCK
    try:
        # with O_EXCL only one of several processes can make the file
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, OWNER_ONLY))
    except FileExistsError as error:
        raise BadStore(
            f"{lock}: another process migrates this store; wait for it, or remove the file if that "
            "process was killed"
        ) from error
    try:
        for step in steps:
            step.run(folder)
            write_schema(folder, step.schema)
    finally:
        lock.unlink()
