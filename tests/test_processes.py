"""Nothing in the working folder is imported, by no command and by no process that one starts."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from clearbench.processes import SAFE_PATH, mapping, safe_children
from clearbench.scans.write import write_nifti

# Modules that Python or our libraries import early; each in a child of its own way of starting.
SHADOWS = (
    "types",
    "json",
    "random",
    "pickle",
    "struct",
    "queue",
    "secrets",
    "numpy",
    "loky",
    "torch",
)
COMMANDS = (
    "scans . --read",
    "cohort build folder . --labels labels.csv --on path -o mine.csv",
    "embed mine.csv --model random-vit-tiny --views lung --workers 2",
    "tasks new ill --cohort mine --labels ill",
    "tasks check ill",
    "evaluate --task ill --head mean-logreg --no-floors",
    "leaderboard",
    'query "SELECT count(*) FROM scans"',
    "store verify",
    "models list",
    "doctor",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two dozen small scans, with modules of well-known names next to them."""
    rng = np.random.default_rng(0)
    rows = ["path,ill"]
    for number in range(24):
        hu = rng.integers(-900, 200, (2, 32, 32)).astype(np.int16)
        write_nifti(tmp_path / f"s{number}.nii.gz", hu, (3.0, 0.8, 0.8))
        rows.append(f"s{number}.nii.gz,{number % 2}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    trap = (
        "import pathlib; pathlib.Path(__file__).with_suffix('.ran').touch()\nraise SystemExit(9)\n"
    )
    for name in SHADOWS:
        (tmp_path / f"{name}.py").write_text(trap)
    return tmp_path


def test_no_command_runs_what_lies_in_the_working_folder(folder: Path) -> None:
    program = Path(sys.executable).parent / "clearbench"
    plain = {name: value for name, value in os.environ.items() if name != SAFE_PATH}
    for command in COMMANDS:
        run = f"{program} {command}"
        done = subprocess.run(run, shell=True, cwd=folder, env=plain, capture_output=True)
        assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
        assert not list(folder.glob("*.ran")), command


def imported(name: str) -> str:
    """Return where a module comes from, in a process of its own."""
    return str(__import__(name).__file__)


def test_the_readers_of_a_library_call_import_nothing_either(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.delenv(SAFE_PATH, raising=False)
    with mapping(2) as run:
        assert all(str(folder) not in where for where in run(imported, ["json", "struct"] * 2))
    assert not list(folder.glob("*.ran"))
    assert SAFE_PATH not in os.environ
    with safe_children():
        assert os.environ[SAFE_PATH] == "1"


STARTING = """
import sys, time
from clearbench.processes import reader_pool

pool = reader_pool(2)
waiting = [pool.submit(time.sleep, 100) for _ in range(4)]
if sys.argv[1] == "working":
    pool.submit(time.sleep, 0)
    time.sleep(4)
print("started", flush=True)
time.sleep(100)
"""


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="needs /proc")
@pytest.mark.parametrize("moment", ["starting", "working"])
def test_no_reader_outlives_a_parent_that_is_killed(moment: str, tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTING, moment], cwd=tmp_path, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    parent.stdout.readline()
    assert processes_in(tmp_path)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 40
    while processes_in(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not processes_in(tmp_path)


def processes_in(folder: Path) -> list[str]:
    """Name the processes whose working folder is `folder`."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            found += [link.parent.name] if link.resolve() == folder.resolve() else []
    return found
