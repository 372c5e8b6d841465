"""`--help` at 80 columns: whole sentences, and every command in one section."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from clearbench.cli import app
from clearbench.cli.sections import SECTIONS


def groups_and_commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from groups_and_commands(inner, (*path, name))


GROUP: Any = typer.main.get_group(app)
PATHS = list(groups_and_commands(GROUP))


def help_of(*path: str) -> str:
    done = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"})
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_no_help_is_cut(path: tuple[str, ...]) -> None:
    text = help_of(*path)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    # [ARGS]..., [DIR]... and {PATH}... may have dots
    assert not re.search(r"(?<![\]}])\.\.\.", text)


@pytest.mark.parametrize("path", [path for path in PATHS if path], ids=" ".join)
def test_a_group_lists_whole_sentences(path: tuple[str, ...]) -> None:
    *above, name = path
    command = GROUP
    for word in path:
        command = command.commands[word]
    sentence = command.help.partition("\n\n")[0]
    listed = " ".join(help_of(*above).split())
    assert f" {name} {' '.join(sentence.split())}" in listed


def test_every_command_is_in_one_section() -> None:
    named = [name for names in SECTIONS.values() for name in names]
    assert sorted(named) == sorted(GROUP.commands)
    text = help_of()
    places = [text.index(f"\n{title}:\n") for title in SECTIONS]
    assert places == sorted(places)
    for title, names in SECTIONS.items():
        section = text.partition(f"\n{title}:\n")[2].partition("\n\n")[0]
        assert re.findall(r"^  ([a-z]+)", section, re.M) == list(names)
