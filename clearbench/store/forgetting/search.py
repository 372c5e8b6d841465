"""The proof: every file is searched for ids, by its name, its texts, and its bytes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clearbench.files import everything_below
from clearbench.store.contents import NAME, Piece, pieces
from clearbench.store.forgetting.mentions import Mentions

OnFile = Callable[[int, int], None]


@dataclass(frozen=True)
class Searched:
    """The number of files that were searched, and where an id was found: file and what it has."""

    files: int
    found: tuple[str, ...]


def search(
    folders: Sequence[Path], mentions: Mentions, skip: Path, on_file: OnFile | None = None
) -> Searched:
    """Search every file and folder below some folders, hidden ones too, except `skip`.

    What links lead to is searched too: a store may have its features on another disk. What can't
    be searched counts as found, as nothing is proved there.
    """
    found = []

    def closed(error: OSError) -> None:
        found.append(f"{error.filename}: can't be searched ({error.strerror})")

    everything = {path for folder in folders for path in everything_below(folder, closed)}
    places = sorted(everything - {skip})
    files = 0
    for number, path in enumerate(places, start=1):
        what = mentions.in_file_name(path.name)
        target = _target(path, mentions)
        if what:
            found.append(f"{path}: its name has {what}")
        elif target:
            found.append(f"{path}: the place that it links to has {target}")
        elif path.is_file():
            what = _in_file(path, mentions)
            found += [f"{path}: {what}"] if what else []
        files += path.is_file()
        if on_file is not None:
            on_file(number, len(places))
    return Searched(files, tuple(found))


def _target(path: Path, mentions: Mentions) -> str:
    """Return the first id in the place that a link leads to; "" if it has none, or is no link."""
    parts = path.readlink().parts if path.is_symlink() else ()
    return next(filter(None, map(mentions.in_file_name, parts)), "")


def _in_file(path: Path, mentions: Mentions) -> str:
    """Return what a file has: the first id, or "" if there is none; or why it can't be searched."""
    try:
        for piece in pieces(path, path.name, _ignore):
            what = _in_piece(piece, mentions)
            if what:
                return f"has {what} (in {piece.inside})" if piece.inside else f"has {what}"
    except FileNotFoundError:  # a draft of another process that is gone meanwhile
        return ""
    except OSError as error:
        return f"can't be searched ({error.strerror or error})"
    return ""


def _in_piece(piece: Piece, mentions: Mentions) -> str:
    """Return the first id in one thing that a file says; "" if there is none."""
    if not isinstance(piece.content, str):
        return mentions.in_bytes(piece.content)
    if piece.column == NAME:
        found = map(mentions.in_file_name, Path(piece.content).parts)
        return next(filter(None, found), "")
    return mentions.in_cell(piece.column, piece.content)


def _ignore(_place: str, _why: str) -> None:
    """Do nothing: what is damaged or sealed is searched by its bytes alone."""
