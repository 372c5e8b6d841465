"""Small JSON files of a store, read so that any damage is one sentence."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clearbench import bounded
from clearbench.errors import BadStore
from clearbench.scans.damage import why

LARGEST = 2**53  # of a whole number; JSON may have any


def read_json(path: Path, way_out: str) -> dict[str, Any]:
    """Return a JSON object; raises BadStore with the way out if the file has none."""
    try:
        facts = bounded.read_json(path)
    except PermissionError as error:
        raise BadStore(f"{path}: can't be read ({error.strerror}); its owner allows it") from error
    except OSError as error:
        raise damaged_json(path, error.strerror or why(error), way_out) from error
    except ValueError as error:
        raise damaged_json(path, why(error), way_out) from error
    if not isinstance(facts, dict):
        raise damaged_json(path, "not a JSON object", way_out)
    return facts


def damaged_json(path: Path, reason: str, way_out: str) -> BadStore:
    """Return the error for a damaged file, with the way out."""
    return BadStore(f"{path}: damaged ({reason}); {way_out}")


def is_text(value: object) -> bool:
    """Tell whether a JSON value is a text."""
    return isinstance(value, str)


def is_optional_text(value: object) -> bool:
    """Tell whether a JSON value is a text or null."""
    return value is None or is_text(value)


def is_count(value: object) -> bool:
    """Tell whether a JSON value is a whole number from 0 on."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST


def is_number(value: object) -> bool:
    """Tell whether a JSON value is a finite number."""
    if isinstance(value, float):
        return abs(value) < float("inf")
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST


def is_optional_number(value: object) -> bool:
    """Tell whether a JSON value is a finite number or null."""
    return value is None or is_number(value)


def is_texts(value: object) -> bool:
    """Tell whether a JSON value is a list of texts."""
    return isinstance(value, list) and all(map(is_text, value))


def wrong_key(facts: Mapping[str, Any], kinds: Mapping[str, Any]) -> str:
    """Return the first key whose value is not as its test in `kinds` wants it, else ""."""
    return next((key for key, test in kinds.items() if not test(facts.get(key))), "")
