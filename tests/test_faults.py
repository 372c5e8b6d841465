import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "faults.py"
COMMANDS = ("embed, 2 readers", "evaluate", "cohort add", "store forget")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_commands_killed_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    """A few kills of some commands; `make nightly` has hundreds, of all."""
    options = ["--kills", "12", "--others", "0", "--only", *COMMANDS]
    done = subprocess.run(
        [sys.executable, BENCHMARK, *options, "--work", tmp_path],
        capture_output=True,
        text=True,
        check=False,
        # commands of other tests set PYTHONSAFEPATH, and a script imports its neighbours
        env={**os.environ, "PYTHONSAFEPATH": ""},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split("|")[2:] for line in done.stdout.splitlines() if line.startswith("| `")]
    assert sum(int(row[0]) for row in rows) == 12
