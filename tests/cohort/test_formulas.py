"""No cell of a written table is a formula, and reading gives back what was written."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearbench.cohort.files import read_table, write_table
from clearbench.cohort.formulas import FORMULA, guard_formulas, without_guard
from clearbench.store.answers import as_csv

RISKY = ("=cmd|' /C calc'!A0", "+49 170 1234567", "@SUM(A1)", "-2+3", "\t=1", "'=1", "''=1")
PLAIN = ("-5", "+3", "-1.5e-3", "-1,5", "-inf", "B30f", "a=b", "'s morgens", "", "-", "--", "'--")


@pytest.mark.parametrize("text", RISKY)
def test_a_formula_gets_an_apostrophe(text: str) -> None:
    [cell] = guard_formulas(pa.table({"x": [text]})).column("x").to_pylist()
    assert cell == f"'{text}"
    assert without_guard(cell) == text


@pytest.mark.parametrize("text", PLAIN)
def test_numbers_and_words_stay(text: str) -> None:
    assert guard_formulas(pa.table({"x": [text]})).column("x").to_pylist() == [text]


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=9), min_size=1))
def test_the_guard_is_undone_by_reading(texts: list[str]) -> None:
    guarded = guard_formulas(pa.table({"x": texts})).column("x").to_pylist()
    assert [without_guard(cell) for cell in guarded] == texts


def test_written_tables_are_guarded_and_read_back(tmp_path: Path) -> None:
    table = pa.table({"path": [*RISKY[:4]], "n": ["-1", "2", "3", "4"]})
    path = write_table(table, tmp_path / "t.csv")
    assert "\n=" not in path.read_text()
    assert read_table(path).column("path").to_pylist() == [text.strip() for text in RISKY[:4]]
    text = "".join(as_csv(pa.table({"=x": [RISKY[0]], "z": [-1.5]})))
    assert text.splitlines()[0].startswith('"\'=x"')
    assert FORMULA
    assert "\"'=cmd" in text
    assert text.rstrip().endswith("-1.5")
