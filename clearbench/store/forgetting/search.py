"""The proof: every file is searched for ids, by its name, its texts, and its bytes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    """Search every file and folder below some folders, hidden ones too, except `skip`."""
    places = sorted({path for folder in folders for path in folder.rglob("*") if path != skip})
    found = []
    files = 0
    for number, path in enumerate(places, start=1):
        what = mentions.in_file_name(path.name)
        if what:
            found.append(f"{path}: its name has {what}")
        elif path.is_file():
            what = _in_file(path, path.name, mentions)
            found += [f"{path}: has {what}"] if what else []
        files += path.is_file()
        if on_file is not None:
            on_file(number, len(places))
    return Searched(files, tuple(found))


def _in_file(path: Path, name: str, mentions: Mentions) -> str:
    """Return the first id in a file; "" if there is none."""
    for piece in pieces(path, name, _ignore):
        what = _in_piece(piece, mentions)
        if what:
            return f"{what} (in {piece.inside})" if piece.inside else what
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
