"""Ids as spreadsheets change them: 0012 becomes 12 or 12.0, P7 becomes p7."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def pad_id(key: str, digits: int) -> str:
    """Return a whole number (12, 12.0) as so many digits (0012); other ids stay as they are."""
    number = re.fullmatch(r"(\d+)(\.0+)?", key)
    return number[1].zfill(digits) if number else key


def plain_id(key: str) -> str:
    """Return an id without what spreadsheets change: leading zeros, .0, case, spaces."""
    return re.sub(r"^0+(?=\d)|\.0+$", "", re.sub(r"\s", "", key).lower())


def with_nearest(keys: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return unknown ids, each with the nearest known one, if one may be meant."""
    plain = {plain_id(name): name for name in reversed(known)}
    found = []
    for key in keys:
        close = get_close_matches(key, known, 3, 0.7)
        # Ids of one patient have the same digits: of P-17 and P-18 none is meant by the other.
        same_digits = (name for name in close if _digits(name) == _digits(key))
        near = plain.get(plain_id(key)) or next(same_digits, "")
        found.append(f"{key} (nearest: {near})" if near else key)
    return found


def _digits(key: str) -> str:
    """Return an id's digits without leading zeros."""
    return re.sub(r"\D", "", key).lstrip("0")


def spelled_differently(ids: Iterable[str]) -> list[str]:
    """Return ids that differ only in zeros, .0, case or spaces, as "0012 = 12"."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(ids):
        groups[plain_id(name)].append(name)
    return [" = ".join(names) for names in groups.values() if len(names) > 1]
