"""Standard streams that are closed, full, or know few letters: no traceback, and the right code."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from clearbench.scans.write import write_nifti

FULL = Path("/dev/full")
ASCII = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A folder with one scan, whose name has a letter that ASCII lacks."""
    hu = np.linspace(-1000, 1000, 4 * 20 * 16).astype(np.int16).reshape(4, 20, 16)
    write_nifti(tmp_path / "scans" / "ä.nii", hu, (3.0, 0.8, 0.7))
    return tmp_path


def run(
    place: Path, words: str, streams: str = "", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a shell that changes its streams."""
    command = f"{sys.executable} -m clearbench {words} {streams}"
    store = {"CLEARBENCH_STORE": str(place / "store")}
    return subprocess.run(
        ["sh", "-c", command],
        cwd=place,
        env={**os.environ, **store, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("streams", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("words", "code"), [("scans scans", 0), ("scans none", 2)])
def test_a_closed_stream_changes_nothing_else(
    scans: Path, words: str, code: int, streams: str
) -> None:
    done = run(scans, words, streams)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert ("none does not exist" in done.stderr) == (code == 2 and "2>&-" not in streams)


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", ["--version", "--help", "scans scans", "scans scans --json"])
def test_a_full_disk_under_the_output_is_said_once(scans: Path, words: str) -> None:
    done = run(scans, words, f">{FULL}")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "clearbench:" in line]
    assert line.startswith("clearbench: the output can't be written (No space left on device)")
    assert "Exception" not in done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_the_code_tells_where_no_sentence_can_be_written(scans: Path) -> None:
    assert run(scans, "scans none", f"2>{FULL}").returncode == 2


def test_letters_that_a_terminal_lacks_are_written_as_codes(scans: Path) -> None:
    done = run(scans, "scans scans", env=ASCII)
    assert done.returncode == 0, done.stderr
    assert r"4 \xd7 20 \xd7 16" in done.stdout or r"\xe4" in done.stdout
    assert "Traceback" not in done.stderr


def test_json_is_in_utf_8_whatever_the_terminal_knows(scans: Path) -> None:
    done = run(scans, "scans scans --json", env=ASCII)
    (scan,) = json.loads(done.stdout)["scans"]
    assert scan["path"] == "ä.nii"
