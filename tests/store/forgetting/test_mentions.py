import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearbench.store.forgetting.mentions import BY_CHANCE, REMOVED, Mentions, is_telling

IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)


def mentions(*names: str, staying: tuple[str, ...] = ()) -> Mentions:
    return Mentions(frozenset(names), frozenset(staying))


@pytest.mark.parametrize(
    ("name", "text", "staying", "found"),
    [
        ("scan-1", "the scan scan-1 is dark", (), True),
        ("scan-1", "scan-1.", (), True),
        ("scan-1", "scan-1.h5", (), True),
        ("scan-1", "a/scan-1/b", (), True),
        ("scan-1", "scan-10", (), False),
        ("scan-1", "myscan-1", (), False),
        ("scan-1", "scan-1-b", (), True),
        ("scan-1", "scan-1-b", ("scan-1-b",), False),
        ("scan-1", "scan-1-b and scan-1", ("scan-1-b",), True),
        ("scan-1", "scan-1-bc", ("scan-1-b",), True),
        ("1.2.840.1", "1.2.840.10", (), False),
        ("1.2.840.1", "1.2.840.1.5", (), True),
        ("1.2.840.1", "1.2.840.1.5", ("1.2.840.1.5",), False),
        ("123456", "0.123456", (), False),
        ("123456", "patient 123456", (), True),
        ("Müller1", "Müller1, Müller10", (), True),
    ],
)
def test_an_id_is_found_as_a_word_and_not_inside_one_that_stays(
    name: str, text: str, staying: tuple[str, ...], *, found: bool
) -> None:
    assert mentions(name, staying=staying).in_text(text) == (name if found else "")


@settings(deadline=None)
@given(st.lists(IDS, min_size=2, max_size=6, unique=True))
def test_texts_of_those_who_stay_never_mention_who_leaves(ids: list[str]) -> None:
    one, *others = ids
    who = mentions(one, staying=tuple(others))
    text = "×: " + ", ".join(others)
    assert who.without(text) == text
    assert who.in_note(text) == who.in_text(text) == ""
    assert all(who.in_cell("scan_id", other) == "" for other in others)
    assert all(who.in_file_name(f"{other}.h5") == "" for other in others)
    assert all(who.in_bytes(other.encode()) == "" for other in others)


@settings(deadline=None)
@given(st.lists(IDS, min_size=1, max_size=6, unique=True))
def test_who_leaves_is_found_in_notes_cells_and_names_of_files(ids: list[str]) -> None:
    one, *others = ids
    who = mentions(one, staying=tuple(others))
    text = "×: " + ", ".join(ids)
    assert who.in_note(text) == one
    assert who.without(text) == "×: " + ", ".join([REMOVED, *others])
    assert who.in_cell("scan_id", one) == who.in_cell("unit", f"own/{one}") == one
    assert who.in_file_name(f"{one}.h5") == one
    assert bool(who.in_text(text)) == is_telling(one)


def test_a_short_number_is_no_id_in_a_sentence() -> None:
    who = mentions("7")
    assert who.without("7 of 40 paths do not exist") == "7 of 40 paths do not exist"
    assert who.without("7 have no unit: 5, 7, 70") == f"7 have no unit: 5, {REMOVED}, 70"
    assert who.in_cell("label", "7") == ""
    assert who.in_cell("patient_id", "7") == "7"
    assert who.in_text("7") == ""


def test_names_that_overlap_are_removed_once() -> None:
    who = mentions("scan-1", "scan-1-b")
    assert who.without("x: scan-1-b, scan-1") == f"x: {REMOVED}, {REMOVED}"


def test_bytes_are_searched_for_what_chance_cannot_write() -> None:
    """Bytes of numbers hold every short name; a dictionary of strings has no blanks between."""
    who = mentions("pat-1", staying=("pat-10",))
    assert who.in_bytes(b"\0" * 100 + b"pat-1pat-2") == "pat-1"
    assert who.in_bytes(b"pat-10pat-2") == ""
    large = b"pat-1" + bytes(int(BY_CHANCE * 256**5) + 1)
    assert who.in_bytes(large) == ""
    assert mentions("patient-1").in_bytes(b"patient-1" + large) == "patient-1"
    assert mentions("123456").in_bytes(b'{"z_mm": 0.123456}') == ""
