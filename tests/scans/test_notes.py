"""Notes are shown with the files that they are about, and stored without."""

import json

from clearbench.scans.notes import Note, merge_notes
from clearbench.scans.volume import ScanFacts, facts_as_json

COPY = Note("files", "1 file is a copy of another slice", "MUSTERMANN_ERIKA_0001.dcm")
BLANK = Note("header", "KVP is '120,0', not a number; it is left blank", "a.dcm", "KVP")


def test_files_are_named_where_they_are_left_out() -> None:
    assert COPY.sentence == "1 file is a copy of another slice (MUSTERMANN_ERIKA_0001.dcm)"
    assert BLANK.sentence == BLANK.text


def test_names_of_files_are_not_stored() -> None:
    stored = facts_as_json(ScanFacts(kernel="B30f", notes=(COPY, BLANK)))
    assert stored["problems"] == [COPY.text, BLANK.text]
    assert stored["notes"][1] == {"kind": "header", "text": BLANK.text, "tag": "KVP"}
    assert "MUSTERMANN" not in json.dumps(stored)


def test_a_note_of_many_slices_is_said_once() -> None:
    other = Note("header", BLANK.text, "b.dcm", "KVP")
    second = Note("files", COPY.text, "another.dcm")
    assert merge_notes([BLANK, other, COPY, COPY, second]) == (BLANK, COPY, second)
