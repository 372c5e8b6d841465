"""Columns that would show who a person is never become labels, however short the table."""

import pytest

from clearbench.cohort.personal import why_personal

ROWS = ("p1", "p2", "p3", "p4", "p5")


@pytest.mark.parametrize(
    "name",
    ["patient_name", "Name", "Vorname", "Date of Birth", "DOB", "geburtsdatum", "Street address",
     "e-mail", "phone", "PatientBirthDate", "StudyInstanceUID", "AccessionNumber", "NHS number"],
)  # fmt: skip
def test_some_names_say_it(name: str) -> None:
    assert "its name says" in why_personal(name, ["1", "2"], ["p1", "p2"])


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["Anna Roth", "Ben Maas", "Eva Lind"], "names of people"),
        (["Roth, Anna", "Maas, Ben J.", "O’Neil, Eva"], "names of people"),
        (["ROTH^ANNA", "MAAS^BEN", "LIND^EVA"], "names of people"),
        (["Anna Roth", "Anna Roth", "Eva Lind", "Ben Maas"], "names of people"),
        (["Müller", "Schmidt", "Schneider", "Fischer", "Weber"], "differ for every patient"),
        (["1960-03-04", "1971-12-31", "1955-01-01"], "dates"),
        (["04.03.1960", "31.12.1971", "1.1.1955"], "dates"),
        (["19600304", "19711231", "19550101"], "dates"),
        (["Hauptstr. 5", "Am Weg 7a", "Lindenallee 12"], "addresses"),
        (["12 Oak Street", "7 Mill Road", "1 High St"], "addresses"),
        (["+49 761 123456", "0761/1234567", "(030) 12345678"], "numbers to call"),
        (["a@x.org", "b@y.com", "c.d@z.de"], "mail addresses"),
    ],
)
def test_contents_say_it(cells: list[str], words: str) -> None:
    assert words in why_personal("note", cells, (*ROWS[:1], *ROWS)[: len(cells)])


@pytest.mark.parametrize(
    "cells",
    [
        ["benign", "malignant", "benign", "malignant", "benign"],
        ["Squamous Cell", "Small Cell", "Squamous Cell", "Small Cell", "Small Cell"],
        ["IA", "IB", "IIA", "IIB", "IIIA"],
        ["0.51", "0.62", "0.33", "12", "7"],
        ["20191234567", "30191234567", "40191234567"],
        ["T1a N0 M0", "T2 N1 M0", "T1a N0 M0", "T2 N1 M0", "T4 N0 M0"],
        ["x", None, None, None, None],
    ],
)
def test_classes_codes_and_numbers_are_labels(cells: list[str | None]) -> None:
    assert why_personal("finding", cells, ROWS[: len(cells)]) == ""


def test_a_patient_s_name_in_each_of_its_scans() -> None:
    names = ["Anna Roth", "Ben Maas", "Eva Lind"] * 4
    assert why_personal("x", names, ["p1", "p2", "p3"] * 4)


def test_a_large_table_is_judged_by_a_part_of_its_cells() -> None:
    patients = [f"p{number}" for number in range(20_000)]
    # different letters for every patient
    names = [
        f"Anna {chr(65 + n % 26)}{''.join(chr(97 + int(d)) for d in str(n))}" for n in range(20_000)
    ]
    assert why_personal("x", names, patients) == "it seems to have names of people"
    assert why_personal("x", ["benign", "malignant"] * 10_000, patients) == ""
