"""What is odd about a scan: notes that travel with it to wherever users look."""

from dataclasses import dataclass
from typing import Literal

NoteKind = Literal["values", "series", "geometry", "header", "files"]


@dataclass(frozen=True)
class Note:
    """One thing that is odd about a scan, which is read all the same.

    kind   values: HU; series: which slices are one scan; geometry: positions and spacing;
           header: a tag; files: what is missing or left out
    text   one sentence for the user
    file   the name of the file that it is about, "" if it is about several
    tag    the DICOM keyword or header field that it is about, "" if none
    """

    kind: NoteKind
    text: str
    file: str = ""
    tag: str = ""


def merge_notes(notes: "list[Note] | tuple[Note, ...]") -> tuple[Note, ...]:
    """Return each note once; a note that many slices have keeps the first one's file."""
    first: dict[tuple[str, str, str], Note] = {}
    for note in notes:
        first.setdefault((note.kind, note.text, note.tag), note)
    return tuple(first.values())
