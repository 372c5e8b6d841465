"""Only regular files of a sensible size are read, and nothing waits for a pipe."""

import os
from pathlib import Path

import pytest

from clearbench.bounded import read_bytes, read_text, size_text
from clearbench.cards import Card, read_card
from clearbench.errors import BadCard, BadRequest
from clearbench.evaluation.bundles.bundle import read_bundle
from clearbench.packs.read import opened_pack
from clearbench.results.record import read_result


def pipe(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    return path


def test_text_and_bytes_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("Müller", encoding="utf-8")
    assert read_text(tmp_path / "a") == "Müller"
    assert read_bytes(tmp_path / "a") == "Müller".encode()


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 bytes"),
        (1023, "1,023 bytes"),
        (1024, "1 kB"),
        (64 * 2**20, "64 MB"),
        (1.5 * 2**30, "1.5 GB"),
        (2**41, "2 TB"),
        (2**70, "1,073,741,824 TB"),
    ],
)
def test_a_size_is_said_as_people_write_it(count: float, said: str) -> None:
    assert size_text(count) == said


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "large", "missing"])
def test_what_is_no_file_or_too_large_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "pipe":
        pipe(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate(3 * 2**20)  # a hole: no disk is used
    with pytest.raises(OSError):  # noqa: PT011  each kind has its own
        read_bytes(path, most_mb=2)


def test_no_command_waits_for_a_pipe(tmp_path: Path) -> None:
    with pytest.raises(BadCard, match="a pipe, socket or device"):
        read_card(pipe(tmp_path / "c.toml"), Card)
    with pytest.raises(BadRequest, match="a pipe, socket or device"):
        read_result(pipe(tmp_path / "r.json"))
    with pytest.raises(BadRequest, match="a pipe, socket or device"):
        read_bundle(pipe(tmp_path / "b" / "bundle.json").parent)
    with (
        pytest.raises(BadRequest, match="pipe, socket or device"),
        opened_pack(pipe(tmp_path / "p.zip")),
    ):
        pass


@pytest.mark.parametrize(
    "text",
    [
        ".".join(["a"] * 50_000) + " = 1",
        "a = " + "[" * 5_000,
        "a = " + "9" * 5_000,
        "a = {" + "a = {" * 2_000,
        "\0",
    ],
)
def test_a_card_is_no_bomb(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(BadCard, match="not a TOML file"):
        read_card(tmp_path / "c.toml", Card)
