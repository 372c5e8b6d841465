"""Search files and folders for identifiers, and report where they are without showing them."""

import errno
import os
import re
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

from clearbench.errors import BadRequest, name_some, plain_text
from clearbench.rights import is_store
from clearbench.store.auditing.finding import Finder, make_finder, written_forms
from clearbench.store.auditing.identifiers import Identifier, Wanted, gather_identifiers
from clearbench.store.contents import NAME, pieces

GONE = (errno.ENOENT, errno.ELOOP)
ITS_NAME = "its name"
# Where a store keeps them on purpose, for its owner alone.
KEPT = {
    "keys.csv": "the key table",
    "forgetting.json": "the list of a removal that isn't finished",
    "cohorts/*.parquet": "paths of a cohort",
}

AT_ONCE = 2**20  # letters

OnFile = Callable[[int, int], None]


@dataclass(frozen=True)
class Finding:
    """Identifiers of one kind in one file.

    path     the file or folder, its names masked where they are what was found
    where    "its name", "" for the file itself, or the names that lead to a file inside it
    count    how many different identifiers; example: one of them, masked
    kept     what a store keeps there on purpose, "" if it should not be there
    """

    path: str
    where: str
    kind: str
    count: int
    example: str
    kept: str = ""


@dataclass(frozen=True)
class Audit:
    """What was looked for, where it was found, and what could not be searched.

    unsearched  path and reason; skipped: paths that were left out on request, and special files
    """

    wanted: Wanted
    files: int
    findings: tuple[Finding, ...]
    unsearched: tuple[tuple[str, str], ...]
    skipped: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Return True if everything was searched, and nothing was found."""
        return not (self.findings or self.unsearched)


def audit(
    places: Sequence[Path],
    *,
    sources: Sequence[Path] = (),
    texts: Sequence[str] = (),
    skip: Sequence[str] = (),
    on_file: OnFile | None = None,
) -> Audit:
    """Search files and folders for the identifiers of `sources` (folders of DICOM) and for `texts`.

    `skip` are patterns of names or paths to leave out. Raises BadRequest if a place doesn't exist,
    or if there is nothing to look for.
    """
    missing = [str(path) for path in (*places, *sources) if not os.path.lexists(path)]
    if missing:
        raise BadRequest(f"{name_some(missing)}: no such file or folder")
    wanted = gather_identifiers(sources, texts)
    if not wanted.identifiers:
        where = f" in {name_some([str(source) for source in sources])}" if sources else ""
        raise BadRequest(
            f"nothing to look for{where}: give a folder of DICOM files (--from) or texts (--id)"
        )
    search = _Search(make_finder(wanted.identifiers), tuple(skip), [p.resolve() for p in sources])
    listed = [entry for place in places for entry in search.entries(place)]
    for number, (root, path) in enumerate(listed, start=1):
        search.look(root, path)
        if on_file is not None:
            on_file(number, len(listed))
    return Audit(
        wanted,
        search.files,
        search.findings(),
        tuple((search.masked(path), search.masked(why)) for path, why in search.gaps),
        tuple(map(search.masked, sorted(search.skipped))),
    )


class _Search:
    """A search that goes on from file to file."""

    def __init__(self, finder: Finder, skip: tuple[str, ...], sources: list[Path]) -> None:
        self.finder, self.skip, self.sources = finder, skip, sources
        self.found: dict[tuple[Path, Path, str], set[Identifier]] = defaultdict(set)
        self.in_names: set[Identifier] = set()
        self.gaps: list[tuple[str, str]] = []
        self.skipped: set[str] = set()
        self.files = 0

    def entries(self, place: Path) -> Iterator[tuple[Path, Path]]:
        """Yield a place and everything below it, hidden files too, and what is behind links."""
        yield place, place
        if not place.is_dir():
            return
        seen: set[Path] = set()

        def closed(error: OSError) -> None:
            self.gaps.append((str(error.filename), error.strerror or "can't be opened"))

        for folder, names, files in os.walk(place, onerror=closed, followlinks=True):
            real = Path(folder).resolve()
            if real in seen:  # several links may lead to a folder, also from inside it
                names.clear()
                continue
            seen.add(real)
            names[:] = [name for name in names if not self._skips(place, Path(folder, name))]
            there = [name for name in files if not self._skips(place, Path(folder, name))]
            for name in (*sorted(names), *sorted(there)):
                yield place, Path(folder, name)

    def _skips(self, place: Path, path: Path) -> bool:
        """Tell whether a path is to be left out, and remember it then."""
        names = (path.name, path.relative_to(place).as_posix())
        asked = any(fnmatch(name, pattern) for name in names for pattern in self.skip)
        if asked or (path.is_dir() and path.resolve() in self.sources):
            self.skipped.add(str(path))
            return True
        return False

    def look(self, root: Path, path: Path) -> None:
        """Search one file or folder: its name, where a link leads, and what it says."""
        name = (path if path.name else path.resolve()).name
        self._add(root, path, ITS_NAME, self.finder.in_name(name))
        self.in_names |= self.finder.in_name(name)
        try:
            facts = path.lstat()
            if stat.S_ISLNK(facts.st_mode):
                target = str(path.readlink())
                self._add(root, path, "where its link leads", self.finder.in_name(target))
                facts = path.stat()
            if stat.S_ISDIR(facts.st_mode):
                return
            if not stat.S_ISREG(facts.st_mode):
                self.skipped.add(f"{path} (a pipe, socket or device)")
                return
            self.files += 1
            self._look_inside(root, path)
        except OSError as error:
            if error.errno in GONE:  # a link to nothing, or a draft that was there before
                return
            self.gaps.append((str(path), f"can't be read ({error.strerror or error})"))

    def _look_inside(self, root: Path, path: Path) -> None:
        """Search what a file says."""
        gaps: list[tuple[str, str]] = []
        texts: dict[tuple[str, str], list[str]] = defaultdict(list)
        size = 0
        for piece in pieces(path, path.name, lambda inside, why: gaps.append((inside, why))):
            if not isinstance(piece.content, str):
                self._add(root, path, piece.inside, self.finder.in_bytes(piece.content))
            elif piece.column == NAME:
                found = self.finder.in_name(piece.content)
                self.in_names |= found
                self._add(root, path, piece.inside, found)
            else:
                texts[piece.inside, piece.column].append(piece.content)
                size += len(piece.content)
            if size > AT_ONCE:
                self._look_at(root, path, texts)
                size = 0
        self._look_at(root, path, texts)
        for _, why in gaps:  # libraries quote names of files and what they can't read
            self.in_names |= self.finder.in_name(why)
        shown = str(path)
        self.gaps += [(f"{shown}: {inside}" if inside else shown, why) for inside, why in gaps]

    def _look_at(self, root: Path, path: Path, texts: dict[tuple[str, str], list[str]]) -> None:
        """Search texts by their columns: many at once, as each search has its cost."""
        for (inside, column), some in texts.items():
            self._add(root, path, inside, self.finder.in_texts(column, some))
        texts.clear()

    def _add(self, root: Path, path: Path, where: str, found: Iterable[Identifier]) -> None:
        """Remember what was found in a place."""
        for identifier in found:
            self.found[root, path, where].add(identifier)

    def findings(self) -> tuple[Finding, ...]:
        """Return what was found: one finding for each kind in each file."""
        rows = []
        for (root, path, where), identifiers in self.found.items():
            kinds: dict[str, list[Identifier]] = defaultdict(list)
            for identifier in sorted(identifiers):
                kinds[identifier.kind].append(identifier)
            for kind, some in kinds.items():
                shown, inside = self.masked(str(path)), self.masked(where)
                kept = "" if where == ITS_NAME else _kept(root, path)
                rows.append(Finding(shown, inside, kind, len(some), some[0].masked, kept))
        return tuple(sorted(rows, key=lambda row: (row.path, row.where, row.kind)))

    @cached_property
    def _masks(self) -> list[tuple[str, str]]:
        """Return how what was found in names may be written, and its mask; the longest first."""
        masks = {form: one.masked for one in self.in_names for form in written_forms(one.text)}
        return sorted(masks.items(), key=lambda pair: -len(pair[0]))

    def masked(self, text: str) -> str:
        """Return a path or reason without the identifiers found in such; after the search."""
        for form, mask in self._masks:
            if form.lower() in text.lower():
                text = re.sub(re.escape(form), mask, text, flags=re.IGNORECASE)
        return plain_text(text)


def _kept(root: Path, path: Path) -> str:
    """Return what a store keeps in a file on purpose; "" for other files."""
    for folder in path.absolute().parents:
        if is_store(folder):
            place = path.absolute().relative_to(folder).as_posix()
            return next((why for pattern, why in KEPT.items() if fnmatch(place, pattern)), "")
        if folder == root.absolute().parent:
            break
    return ""
