"""Where ids are mentioned: as whole words, and never inside another id that stays."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from mmap import mmap

LONG = 6  # characters; a shorter id may be any word or number
MIXED = 4  # characters, if there are letters and digits
BY_CHANCE = 1e-6  # expected hits in bytes without meaning; a name that is likelier proves nothing
ID_COLUMNS = frozenset(
    {"scan_id", "patient_id", "study_id", "series_id", "unit", "pseudonym", "identifier"}
)
AROUND = 400  # bytes, the longest id that may cover a name
PREFIXED = ("unit", "patient_id")
REMOVED = "(removed)"
STACK_HEX = r"-[0-9a-f]{12}"  # after the scan in the name of a stack of slices


@dataclass(frozen=True)
class Mentions:
    """Finds `names` in texts, bytes and names of files; an id of `staying` is never one of them.

    Names that are not telling count only where ids stand: in columns of ids, in names of files, and
    in notes of results.
    """

    names: frozenset[str]
    staying: frozenset[str]

    @cached_property
    def telling(self) -> tuple[str, ...]:
        """Return the names that are no usual words, the longest first."""
        return tuple(sorted(filter(is_telling, self.names), key=len, reverse=True))

    @cached_property
    def short(self) -> tuple[str, ...]:
        """Return the other names."""
        return tuple(sorted(self.names - set(self.telling), key=len, reverse=True))

    @cached_property
    def _longer(self) -> dict[str, list[str]]:
        """Return the staying ids that contain a name."""
        return {
            name: [other for other in self.staying if name in other and name != other]
            for name in self.names
        }

    def in_text(self, text: str) -> str:
        """Return the first telling name that is a word of a text; "" if there is none."""
        return next((name for name, _ in self._words(text, self.telling)), "")

    def in_cell(self, column: str, text: str) -> str:
        """Return the name that a cell has: the whole cell of a column of ids, else a word."""
        if column in ID_COLUMNS and text in self.names:
            return text
        # where a task has two cohorts, the cohort stands before the id
        if column in PREFIXED and text.rpartition("/")[2] in self.names:
            return text.rpartition("/")[2]
        return self.in_text(text)

    def in_note(self, text: str) -> str:
        """Return the first name, of any length, that is a word of a result's note; "" if none."""
        return next((name for name, _ in self._noted(text)), "")

    def without(self, text: str) -> str:
        """Return a result's note with REMOVED in the place of every name."""
        places = {(start, start + len(name)) for name, start in self._noted(text)}
        done, parts = 0, []
        for start, end in sorted(places, key=lambda place: (place[0], -place[1])):
            if start >= done:
                parts += [text[done:start], REMOVED]
                done = end
        return "".join(parts) + text[done:]

    def in_file_name(self, name: str) -> str:
        """Return the name that a file's or folder's name has; "" if it has none."""
        plain = name.lstrip(".")
        for each in self.short:
            if re.fullmatch(rf"{re.escape(each)}({STACK_HEX})?(\.[A-Za-z].*)?", plain):
                return "" if self._covered(plain, 0, each) else each
        return self.in_text(plain)

    def in_bytes(self, content: bytes | mmap) -> str:
        """Return the first telling name whose bytes are in some content; "" if none is there.

        Bytes have no words, so letters may touch a name; digits that touch a number don't count. A
        name that is so short that chance alone may write it is not looked for.
        """
        for name in self.telling:
            wanted = name.encode()
            if len(content) * 256.0 ** -len(wanted) > BY_CHANCE:
                continue
            at = content.find(wanted)
            while at >= 0:
                start = max(0, at - AROUND)
                text = content[start : at + len(wanted) + AROUND].decode("latin-1")
                part_of_number = name.isdigit() and not _alone(text, at - start, name)
                if not part_of_number and not self._covered(text, at - start, name, apart=False):
                    return name
                at = content.find(wanted, at + 1)
        return ""

    def _noted(self, text: str) -> Iterator[tuple[str, int]]:
        """Yield the names in a note; numbers of few digits only in the list after its colon."""
        yield from self._words(text, [n for n in (*self.telling, *self.short) if not _number(n)])
        start = text.find(": ") + 1
        numbers = [name for name in self.names if _number(name)]
        for name, place in self._words(text[start:], numbers) if start else ():
            yield name, place + start

    def _words(self, text: str, names: Collection[str]) -> Iterator[tuple[str, int]]:
        """Yield every name that is a word of a text, with its place."""
        for name in names:
            at = text.find(name)
            while at >= 0:
                if _alone(text, at, name) and not self._covered(text, at, name):
                    yield name, at
                at = text.find(name, at + 1)

    def _covered(self, text: str, at: int, name: str, *, apart: bool = True) -> bool:
        """Tell whether a name at a place is only a part of an id that stays, a word if `apart`."""
        for longer in self._longer[name]:
            inside = longer.find(name)
            while inside >= 0:
                start = at - inside
                there = start >= 0 and text.startswith(longer, start)
                if there and (not apart or _alone(text, start, longer)):
                    return True
                inside = longer.find(name, inside + 1)
        return False


def is_telling(name: str) -> bool:
    """Tell whether a name is no usual word or number: by its length, letters and digits."""
    digits = sum(letter.isdigit() for letter in name)
    return len(name) >= LONG or (len(name) >= MIXED and 0 < digits < len(name))


def _number(name: str) -> bool:
    """Tell whether a name is a number of few digits."""
    return name.isdigit() and len(name) < LONG


def _alone(text: str, at: int, name: str) -> bool:
    """Tell whether no letter or digit touches a name at a place; nor, for a number, a point."""
    before, after = text[max(0, at - 1) : at], text[at + len(name) : at + len(name) + 2]
    if name.isdigit() and (before == "." or re.match(r"\.\d", after)):
        return False
    return not (before.isalnum() or after[:1].isalnum())
