"""A column of ids is no label, whatever it is called; and measurements are no ids."""

import pytest

from clearbench.cohort.identifiers import has_ids, likely_patients

VISITS = [f"{7001 + n // 2}" for n in range(24)]
AGES = [str(40 + n % 19) for n in range(24)]


@pytest.mark.parametrize("name", ["id", "case_id", "sub", "hospital_no", "orderID", "Aktennummer"])
def test_numbers_under_a_name_of_ids(name: str) -> None:
    assert has_ids(name, VISITS)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("case", ["0", "1"] * 12),
        ("case", ["case", "control"] * 12),
        ("sub", ["solid", "mixed", "ground glass", "none", "other", "cavity"] * 4),
        ("age", AGES),
        ("steroid", VISITS),
        ("survival_days", [str(1000 + 7 * n) for n in range(24)]),
        ("lesion_no", [str(n % 4) for n in range(24)]),
        ("scanner", [f"LightSpeed{16 * (n % 3)}" for n in range(24)]),
        ("stage", [f"T{n % 4}N{n % 3}M0" for n in range(24)]),
        ("empty", [None] * 24),
    ],
)
def test_labels_are_no_ids(name: str, cells: list[str | None]) -> None:
    assert not has_ids(name, cells)


def test_numbers_after_the_same_letters_are_ids_under_any_name() -> None:
    assert has_ids("key2", [f"LUNG1-{n:03}" for n in range(10)])
    assert not has_ids("key2", ["ICD10"] * 10)


def test_the_likely_column_of_patients_repeats() -> None:
    columns = {"age": AGES, "visit": ["1", "2"] * 12, "y": ["0"] * 24}
    assert likely_patients(columns) == ""
    assert likely_patients({**columns, "wer": VISITS}) == "wer"
    assert likely_patients({**columns, "wer": VISITS, "case": VISITS}) == "case"
    assert likely_patients({**columns, "id": [str(n) for n in range(24)]}) == "", "a row's number"


def test_dates_and_days_of_many_widths_are_no_patients() -> None:
    dates = [f"2020{1 + n // 6:02}{1 + n % 6:02}" for n in range(12)] * 2
    days = [str(900 + 50 * (n // 2)) for n in range(24)]
    assert likely_patients({"when": dates, "survival": days}) == ""
