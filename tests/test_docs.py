"""The README and the pages of docs/: what they show is what runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from clearbench.cli.reference import commands

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
SAMPLE = ROOT / "tests" / "plugin_sample"
SHOWN = re.compile(r"^`([\w./-]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
NOT_PROSE = re.compile(r"^```.*?^```$|<!--.*?-->", re.MULTILINE | re.DOTALL)
GENERATED = re.compile(r"<!-- \[\[\[cog.*?\[\[\[end\]\]\] -->", re.DOTALL)
README_WORDS = 700
MOST_TERMS = 25


def _links(page: Path) -> list[tuple[Path, str]]:
    """Return where a page's links lead: a file, and a heading of it or ""."""
    return [
        ((page.parent / place) if place else page, heading)
        for place, heading in LINK.findall(page.read_text())
    ]


def _anchors(page: Path) -> set[str]:
    """Return the headings of a page as links name them."""
    headings = re.findall(r"^#+ (.+)$", NOT_PROSE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in headings}


def test_the_plug_in_page_shows_every_file_of_the_sample() -> None:
    shown = dict(SHOWN.findall((DOCS / "encoders" / "plugin.md").read_text()))
    files = {
        path.relative_to(SAMPLE).as_posix(): path.read_text()
        for path in SAMPLE.rglob("*.*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shown == files


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", ROOT / "leaderboard" / "README.md", *PAGES],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for place, heading in _links(page):
        assert place.exists(), place
        assert not heading or heading in _anchors(place), f"{place.name}#{heading}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_page_is_reached_from_the_readme(page: Path) -> None:
    reached, open_pages = set[Path](), [ROOT / "README.md"]
    while open_pages:
        here = open_pages.pop().resolve()
        if here not in reached:
            reached.add(here)
            open_pages += [place for place, _ in _links(here) if place.suffix == ".md"]
    assert page in reached


def test_the_readme_is_short() -> None:
    prose = NOT_PROSE.sub("", GENERATED.sub("", (ROOT / "README.md").read_text()))
    assert len(prose.split()) <= README_WORDS


def test_every_command_has_its_line() -> None:
    listed = re.findall(r"`clearbench [a-z ]+`", commands())
    page = (DOCS / "commands.md").read_text()
    assert listed
    assert [name for name in listed if f"| {name} |" not in page] == []


def test_every_module_at_the_top_has_its_line() -> None:
    page = (DOCS / "architecture.md").read_text()
    names = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (ROOT / "clearbench").iterdir()
        if not path.name.startswith(("_", "py.typed"))
    }
    assert sorted(name for name in names if f"\n  {name} " not in page) == []


def test_the_architecture_names_places_that_exist() -> None:
    page = (DOCS / "architecture.md").read_text()
    table = page[page.index("## Where would I change") :]
    places = [name for name in re.findall(r"`([\w/.]+(?:/|\.py))`", table) if "/" in name]
    assert places
    assert [name for name in places if not (ROOT / "clearbench" / name).exists()] == []


def test_every_report_is_listed() -> None:
    page = (DOCS / "measured.md").read_text()
    reports = (ROOT / "benchmarks" / "reports").glob("*.md")
    assert sorted(path.name for path in reports if f"reports/{path.name})" not in page) == []


def test_the_glossary_is_short() -> None:
    assert 0 < (DOCS / "glossary.md").read_text().count("\n| **") <= MOST_TERMS


def test_the_picture_shows_the_published_results(tmp_path: Path) -> None:
    script, drawn = DOCS / "pictures" / "leaderboard.py", tmp_path / "leaderboard.svg"
    subprocess.run([sys.executable, script, drawn], check=True, cwd=tmp_path)
    texts = [
        re.findall(r">([^<>\n]+)</text>", path.read_text(encoding="utf-8"))
        for path in (drawn, script.with_suffix(".svg"))
    ]
    assert texts[0]
    assert texts[0] == texts[1]


def test_the_picture_loads_nothing_from_a_network() -> None:
    picture = (DOCS / "pictures" / "leaderboard.svg").read_text(encoding="utf-8")
    assert re.findall(r"https?://[^\s\"')]+", picture) == ["http://www.w3.org/2000/svg"]
