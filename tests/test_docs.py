"""Pages of docs/: what they show is what runs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "encoders"
SAMPLE = ROOT / "tests" / "plugin_sample"
SHOWN = re.compile(r"^`([\w./-]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def test_the_plug_in_page_shows_every_file_of_the_sample() -> None:
    shown = dict(SHOWN.findall((PAGES / "plugin.md").read_text()))
    files = {
        path.relative_to(SAMPLE).as_posix(): path.read_text()
        for path in SAMPLE.rglob("*.*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shown == files


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.stem)
def test_links_lead_to_files(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.stem)
def test_every_page_stands_in_the_readme(page: Path) -> None:
    assert f"({page.relative_to(ROOT).as_posix()})" in (ROOT / "README.md").read_text()
