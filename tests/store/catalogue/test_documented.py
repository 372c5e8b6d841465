"""The SQL in the documentation runs, and its lists of columns are those of the views."""

import re
from pathlib import Path

import pytest

from clearbench.store.catalogue.query import run_select
from clearbench.store.folder import StoreFolder

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
STATEMENT = re.compile(r'clearbench query "(SELECT [^"]+)"')
VIEW = re.compile(r"^\| `(\w+)` \| ([\w, ]+?)(?::[^|]*)?(?: \([^|]*\))? \|$", re.MULTILINE)
STATEMENTS = sorted({text for page in PAGES for text in STATEMENT.findall(page.read_text())})
VIEWS = dict(VIEW.findall((ROOT / "docs" / "sql.md").read_text()))


def test_statements_and_views_are_found() -> None:
    assert len(STATEMENTS) >= 6
    assert {"scans", "slices", "labels", "splits", "encoders", "results"} <= set(VIEWS)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_documented_statement_runs(full: StoreFolder, statement: str) -> None:
    assert run_select(full, statement).columns


@pytest.mark.parametrize("view", VIEWS)
def test_a_documented_view_has_the_columns_that_the_page_lists(
    full: StoreFolder, view: str
) -> None:
    listed = [name.strip() for name in VIEWS[view].split(",")]
    assert run_select(full, f"SELECT * FROM {view} LIMIT 0").columns == listed
