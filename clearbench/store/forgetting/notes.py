"""The notes of results: texts in JSON that may name patients and scans."""

import json
from pathlib import Path

from clearbench import bounded
from clearbench.errors import BadStore
from clearbench.store.forgetting.mentions import Mentions

# of a result: names and numbers, which a short id may equal, and never an id
NO_NOTES = frozenset(
    {
        "task", "task_title", "task_sha256", "cohort", "test_cohort", "target", "metric", "outputs",
        "encoder", "encoder_title", "fingerprint", "views", "precision", "head", "declared_head",
        "head_precision", "preset", "split_sha256", "scores", "fold_scores", "guard", "licence",
        "versions", "created",
    }
)  # fmt: skip


DEEPEST = 100


def read_json(path: Path) -> object:
    """Return the content of a JSON file; its text if it isn't JSON, "" if it isn't text.

    Raises BadStore if it can't be read.
    """
    text = read_text(path)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if _is_shallow(value) else text


def _is_shallow(value: object) -> bool:
    """Tell whether JSON isn't nested so deeply that a search through it would stop."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return True
    return False


def read_text(path: Path) -> str:
    """Return a file's text, "" if it isn't text; raises BadStore if it can't be read."""
    try:
        return bounded.read_text(path)
    except OSError as error:
        raise BadStore(
            f"{path}: can't be searched ({error.strerror}); remove it or allow it, and forget the "
            "patient again"
        ) from error
    except ValueError:
        return ""


def count_notes(value: object, mentions: Mentions) -> int:
    """Return how many texts in JSON mention one of those who leave."""
    if isinstance(value, str):
        return int(bool(mentions.in_note(value)))
    if isinstance(value, dict):
        inner = [
            part for name, each in value.items() if name not in NO_NOTES for part in (name, each)
        ]
    else:
        inner = value if isinstance(value, list) else []
    return sum(count_notes(each, mentions) for each in inner)


def without_names(value: object, mentions: Mentions) -> object:
    """Return JSON whose texts don't mention those who leave."""
    if isinstance(value, str):
        return mentions.without(value)
    if isinstance(value, dict):
        return {
            name if name in NO_NOTES else mentions.without(name): (
                each if name in NO_NOTES else without_names(each, mentions)
            )
            for name, each in value.items()
        }
    return [without_names(each, mentions) for each in value] if isinstance(value, list) else value
