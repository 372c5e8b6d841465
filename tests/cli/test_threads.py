"""Commands that run networks settle OpenMP's threads before torch is loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clearbench.cores import WAIT_SETTINGS

SPY = """
import os, sys

class Spy:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("spins:", os.environ.get("GOMP_SPINCOUNT"), os.environ.get("OMP_WAIT_POLICY"))
            sys.stdout.flush()
            os._exit(0)

sys.meta_path.insert(0, Spy())
from clearbench.cli import main
sys.argv = ["clearbench", *sys.argv[1:]]
main()
"""
COMMANDS = [
    ["embed", "{folder}", "--model", "random-vit-tiny", "--store", "{folder}/store"],
    ["evaluate", "--task", "synthetic-stage", "--store", "{folder}/store"],
    ["evaluate", "--pack", "{folder}/none.zip", "--reproduce", "none.json"],
    ["apply", "{folder}", "mine", "--store", "{folder}/store"],
    ["pretrain", "--net", "vit", "--data", "{folder}"],
    ["models", "check", "random-vit-tiny"],
    ["models", "freeze", "random-vit-tiny"],
    ["demo", "--out", "{folder}/demo"],
]


def first_torch(command: list[str], folder: Path, **settings: str) -> str:
    plain = {k: v for k, v in os.environ.items() if k not in WAIT_SETTINGS}
    done = subprocess.run(
        [sys.executable, "-c", SPY, *(part.format(folder=folder) for part in command)],
        env=plain | settings,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_a_command_sets_the_spins_before_torch_is_loaded(
    command: list[str], tmp_path: Path
) -> None:
    spins = first_torch(command, tmp_path)
    assert spins.startswith("spins: ")
    assert spins.split()[1].isdecimal(), spins


def test_the_users_own_policy_wins(tmp_path: Path) -> None:
    assert first_torch(COMMANDS[0], tmp_path, OMP_WAIT_POLICY="ACTIVE") == "spins: None ACTIVE"
