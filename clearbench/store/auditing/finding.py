"""Find many identifiers in bytes and texts at once: in any encoding, in small and large letters."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from mmap import mmap

import numpy as np
from numpy.typing import NDArray

from clearbench.store.auditing.identifiers import (
    GIVEN,
    WORD,
    Identifier,
    spellings,
    without_accents,
)
from clearbench.store.forgetting.mentions import ID_COLUMNS

ENCODINGS = ("utf-8", "latin-1", "utf-16-le", "utf-16-be", "utf-32-le")
KEY = 3  # first bytes of a pattern, by which places are found
FEWEST_BYTES = 6  # of a pattern: chance writes fewer into any large file
PART = 2**20  # bytes at once; more would not fit the processor's caches
PHRASE = 12  # words of a text that is looked for word by word
BETWEEN = "q0q"
SIGNS = (" ", "_", "-", "^", ", ", ",", "")  # what may stand between two words


@dataclass(frozen=True)
class Finder:
    """Finds identifiers; long ones also inside other words, short ones as whole words of texts.

    patterns  the bytes of long ones, in small letters, by their first bytes and their length
    words     short ones as words, by the first; exact: short numbers, which fill a cell of ids
    starts    which three first bytes patterns have; pairs: which two
    """

    identifiers: tuple[Identifier, ...]
    patterns: dict[bytes, dict[int, dict[bytes, int]]] = field(repr=False)
    words: dict[str, list[tuple[tuple[str, ...], int]]] = field(repr=False)
    exact: dict[str, int] = field(repr=False)
    starts: NDArray[np.bool_] = field(repr=False)
    pairs: NDArray[np.bool_] = field(repr=False)

    def in_bytes(self, content: "bytes | mmap") -> set[Identifier]:
        """Return the long identifiers in some bytes."""
        longest = max((n for group in self.patterns.values() for n in group), default=0)
        found: set[int] = set()
        for start in range(0, len(content), PART):
            # what is before and behind it too, so that nothing is cut in two
            found |= self._in_part(content[max(0, start - 2) : start + PART + longest + 1])
        return {self.identifiers[number] for number in found}

    def in_texts(self, column: str, texts: Sequence[str]) -> set[Identifier]:
        """Return the identifiers in some texts of a column."""
        # a word between them, so that no two texts make one
        text = f"\n{BETWEEN}\n".join(texts)
        found = self.in_bytes(text.encode("utf-8", "surrogateescape"))
        plain = without_accents(text)
        if plain != text:
            found |= self.in_bytes(plain.encode("utf-8", "surrogateescape"))
        numbers = set(self._words_in(plain))
        if column in ID_COLUMNS:
            numbers |= {self.exact[cell] for cell in map(str.strip, texts) if cell in self.exact}
        return found | {self.identifiers[number] for number in numbers}

    def in_name(self, name: str) -> set[Identifier]:
        """Return the identifiers in the name of a file or folder."""
        found = self.in_texts("", [name])
        found |= {
            self.identifiers[self.exact[word]] for word in WORD.findall(name) if word in self.exact
        }
        return found

    def _in_part(self, content: bytes) -> set[int]:
        """Return the numbers of the identifiers in a part of some bytes."""
        if len(content) < KEY or not self.patterns:
            return set()
        small = content.lower()
        found: set[int] = set()
        for place in self._places(np.frombuffer(small, np.uint8)):
            for length, some in self.patterns[small[place : place + KEY]].items():
                number = some.get(small[place : place + length])
                if number is not None and number not in found and _alone(small, place, length):
                    found.add(number)
        return found

    def _places(self, raw: NDArray[np.uint8]) -> list[int]:
        """Return where patterns may begin: by two bytes, which is fast, then by three."""
        pairs = raw[:-2].astype(np.uint16)
        pairs |= np.left_shift(raw[1:-1], 8, dtype=np.uint16)
        places = np.flatnonzero(self.pairs.take(pairs))
        keys = pairs[places].astype(np.uint32)
        keys |= np.left_shift(raw[places + 2], 16, dtype=np.uint32)
        found: list[int] = places[self.starts[keys]].tolist()
        return found

    def _words_in(self, text: str) -> Iterator[int]:
        """Yield the numbers of the short identifiers that are words of a text."""
        if not self.words:
            return
        words = WORD.findall(text.casefold())
        for place, word in enumerate(words):
            for wanted, number in self.words.get(word, ()):
                if tuple(words[place : place + len(wanted)]) == wanted:
                    yield number


def _alone(content: bytes, place: int, length: int) -> bool:
    """Tell whether digits are no part of a longer number; letters may be a part of any word."""
    before, after = content[max(0, place - 1) : place], content[place + length : place + length + 1]
    first, last = content[place : place + 1], content[place + length - 1 : place + length]
    # the digits behind a point are a part of a number, but not those behind a name and a point
    decimals = before == b"." and content[place - 2 : place - 1].isdigit() if place > 1 else False
    if first.isdigit() and (before.isdigit() or decimals):
        return False
    return not (last.isdigit() and after.isdigit())


def make_finder(identifiers: Iterable[Identifier]) -> Finder:
    """Prepare a search for identifiers."""
    listed = tuple(identifiers)
    patterns: dict[bytes, dict[int, dict[bytes, int]]] = defaultdict(lambda: defaultdict(dict))
    words: dict[str, list[tuple[tuple[str, ...], int]]] = defaultdict(list)
    exact: dict[str, int] = {}
    starts = np.zeros(2 ** (8 * KEY), bool)
    for number, identifier in enumerate(listed):
        if identifier.is_long:
            for pattern in _patterns(identifier.text):
                patterns[pattern[:KEY]][len(pattern)].setdefault(pattern, number)
                starts[int.from_bytes(pattern[:KEY], "little")] = True
        elif identifier.text.isdigit() and identifier.kind != GIVEN:
            exact[identifier.text] = number
        else:
            for each in {tuple(WORD.findall(one.casefold())) for one in _plain(identifier.text)}:
                if each:
                    words[each[0]].append((each, number))
    frozen = {key: {n: dict(some) for n, some in group.items()} for key, group in patterns.items()}
    pairs = np.asarray(starts.reshape(-1, 2**16).any(axis=0))
    return Finder(listed, frozen, dict(words), exact, starts, pairs)


def _plain(text: str) -> set[str]:
    """Return the spellings of a text without accents."""
    return {without_accents(each) for each in spellings(text)}


def _patterns(text: str) -> set[bytes]:
    """Return the bytes that a text may be written as, in small letters."""
    found: set[bytes] = set()
    for spelling in written_forms(text):
        for encoding in ENCODINGS:
            try:
                found.add(spelling.encode(encoding).lower())
            except UnicodeEncodeError:  # Latin-1 has no such letter
                continue
    return {each for each in found if len(each) >= FEWEST_BYTES}


def written_forms(text: str) -> set[str]:
    """Return the spellings of a text, and of its words with other signs between them."""
    every = set(spellings(text))
    words = re.split(r"[\s_^,-]+", text)
    if 1 < len(words) <= PHRASE and not any(word.isdigit() for word in words):
        for sign in SIGNS:
            every |= spellings(sign.join(words))
    return every
