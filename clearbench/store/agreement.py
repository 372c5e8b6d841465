"""What a feature file must agree with: itself, its place in the store, its encoder's record."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clearbench.errors import BadStore
from clearbench.store.folder import ScanKey
from clearbench.store.json_files import is_optional_number
from clearbench.store.records import EncoderRecord
from clearbench.technical import FROM_HEADER


class Disagreement(ValueError):
    """Something in a feature file can't be true; the message says what."""


def damaged(path: Path, reason: str) -> BadStore:
    """Return the error for a feature file that can't be used."""
    return BadStore(
        f"{path}: not a readable feature file ({reason}); embed that scan again, which replaces it"
    )


def check_about(about: object, views: int) -> Mapping[str, Any]:
    """Return the JSON of a feature file if the catalogue and the evaluation can rely on it.

    views: how many views the features have. Raises Disagreement.
    """
    if not isinstance(about, dict):
        raise Disagreement("about is no JSON object")
    names = view_names(about)
    if len(set(names)) != views or len(names) != views:
        raise Disagreement(f"about names {len(names)} views, the features have {views}")
    spacing = about.get("spacing_mm")
    if spacing is not None and (
        not isinstance(spacing, list) or len(spacing) != 3 or not all(map(_is_number, spacing))
    ):
        raise Disagreement("spacing_mm is not three numbers")
    _check_facts(about.get("facts", {}))
    return about


def view_names(about: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of a file's views; raises Disagreement if they have none."""
    views = about.get("views")
    if not isinstance(views, list) or not all(
        isinstance(view, dict) and isinstance(view.get("name"), str) for view in views
    ):
        raise Disagreement("about has no list of views with names")
    return tuple(view["name"] for view in views)


def _check_facts(facts: object) -> None:
    """Raise Disagreement unless the technical facts are of the types of their columns."""
    if not isinstance(facts, dict):
        raise Disagreement("facts is no JSON object")
    for column in FROM_HEADER:
        value = facts.get(column.name)
        if not (_is_number(value) if column.number else value is None or isinstance(value, str)):
            raise Disagreement(f"{column.name} is no {'number' if column.number else 'text'}")
    problems = facts.get("problems", [])
    if not isinstance(problems, list) or not all(isinstance(text, str) for text in problems):
        raise Disagreement("problems is not a list of texts")


def _is_number(value: object) -> bool:
    """Tell whether a value is a number that a column can hold, or unknown: NaN is unknown too."""
    return isinstance(value, float) or is_optional_number(value)


def check_place(key: ScanKey, path: Path) -> None:
    """Raise Disagreement if a file is where another one belongs."""
    fp8 = key.fingerprint[:8]
    if path.parts[-3:] != (f"{key.encoder}-{fp8}", key.cohort, f"{key.scan_id}.h5"):
        raise Disagreement(
            f"it belongs to scan {key.scan_id} of cohort {key.cohort} and {key.encoder}@{fp8}"
        )


def check_record(stated: tuple[str, str, str, tuple[str, ...], int], record: EncoderRecord) -> None:
    """Raise Disagreement if a file's features are others than those of its encoder's record.

    stated: encoder, fingerprint, type, names of views and length of the features, as the file says
    """
    wanted = (
        record.name,
        record.fingerprint,
        record.store_dtype,
        record.stored_views or record.views,
        record.dim,
    )
    if stated != wanted:
        raise Disagreement(f"its views, length, type or fingerprint are not {record.reference}'s")
