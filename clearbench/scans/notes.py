"""What is odd about a scan: notes that travel with it to wherever users look."""

from dataclasses import dataclass
from typing import Literal

NAMED = ("files", "series")  # kinds of notes that are about some files
NoteKind = Literal["values", "series", "geometry", "header", "files"]


@dataclass(frozen=True)
class Note:
    """One thing that is odd about a scan, which is read all the same.

    kind   values: HU; series: which slices are one scan; geometry: positions and spacing;
           header: a tag; files: what is missing or left out
    text   one sentence for the user, without names of files: these may hold names of patients,
           and the text is stored
    file   the names of the files that it is about, "" if it is about all; never stored
    value  what the header says, where that is no value of its tag: any text may stand there; never
           stored
    tag    the DICOM keyword or header field that it is about, "" if none
    """

    kind: NoteKind
    text: str
    file: str = ""
    tag: str = ""
    value: str = ""

    @property
    def sentence(self) -> str:
        """Return the text for the screen, with the files that are left out or kept."""
        more = repr(self.value) if self.value else self.file if self.kind in NAMED else ""
        return f"{self.text} ({more})" if more else self.text


def merge_notes(notes: "list[Note] | tuple[Note, ...]") -> tuple[Note, ...]:
    """Return each note once; a note that many slices have keeps the first one's file."""
    first: dict[tuple[str, ...], Note] = {}
    for note in notes:
        file = note.file if note.kind in NAMED else ""
        first.setdefault((note.kind, note.text, note.tag, note.value, file), note)
    return tuple(first.values())
