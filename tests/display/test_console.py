"""What comes from files reaches the terminal as plain text, on one line."""

import json

import pytest

from clearbench.display.console import dump, say, say_lines, show_list, show_rows, warn

EVIL = "a\x1b]0;title\x07\nclearbench: all is well\u202e\udcfc[red]"
SHOWN = "a\\x1b]0;title\\x07\\nclearbench: all is well\\u202e\\udcfc[red]"


def test_nothing_moves_the_cursor_or_forges_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    say(EVIL)
    warn(EVIL)
    show_list([EVIL], "files")
    show_rows([{"path": EVIL}])
    said = capsys.readouterr()
    assert SHOWN in said.out
    assert said.out.count(SHOWN) == 2
    assert said.err.splitlines() == [SHOWN, "files:", f"  {SHOWN}"]
    assert "\x1b" not in said.out + said.err


def test_lines_of_ours_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    say_lines("SELECT 1\nFROM scans")
    assert capsys.readouterr().out == "SELECT 1\nFROM scans\n"


def test_names_that_are_no_text_can_be_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    dump({"path": "M\udcfcller"})
    assert json.loads(capsys.readouterr().out) == {"path": "M\udcfcller"}
