"""What importing costs: looking must not wait for torch."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "timm", "open_clip", "torchvision", "sklearn", "scipy")
LIGHT = [
    "clearbench",
    "clearbench.cards",
    "clearbench.errors",
    "clearbench.cohort.table",
    "clearbench.cohort.labels",
    "clearbench.store.feature_store",
    "clearbench.store.cohorts",
    "clearbench.store.catalogue.query",
    "clearbench.results.record",
    "clearbench.statistics.tiers",
    "clearbench.evaluation.task.card",
    "clearbench.evaluation.task.prepared",
    "clearbench.plugins",
    "clearbench.doctor",
    "clearbench.encoders.availability",
    "clearbench.encoders.plugins",
    "clearbench.encoders.registry",
    "clearbench.encoders.inputs.views",
]


def loaded_by(code: str) -> set[str]:
    """Return the heavy libraries that a fresh Python has loaded after some code."""
    tell = f"import sys, json; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{tell}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_looking_is_light() -> None:
    """One process imports all; the assertion inside names the first that is heavy."""
    code = f"""
import importlib, sys
for name in {LIGHT!r}:
    importlib.import_module(name)
    assert not set({HEAVY!r}) & set(sys.modules), name
"""
    assert loaded_by(code) == set()


def test_boards_are_made_without_networks() -> None:
    """Their tests need scipy, and nothing that trains."""
    assert loaded_by("import clearbench.board.tables") <= {"scipy", "scipy.stats"}


def test_a_heavy_library_would_be_found() -> None:
    assert "torch" in loaded_by("import clearbench.encoders.encoder")


COMMANDS = [
    ["--help"],
    ["models", "list"],
    ["models", "show", "biomedclip"],
    ["tasks", "list"],
    ["tasks", "show", "synthetic-stage"],
    ["cohort", "list", "--store", "{store}"],
    ["query", "SELECT count(*) FROM scans", "--store", "{store}"],
    ["leaderboard", "--store", "{store}"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_that_looks_is_light(command: list[str], tmp_path_factory: object) -> None:
    assert isinstance(tmp_path_factory, pytest.TempPathFactory)
    store = tmp_path_factory.mktemp("store")
    (store / "store.json").write_text('{"schema": 1}')
    arguments = [part.format(store=store) for part in command]
    code = f"""
import sys
from clearbench.cli import main
sys.argv = ["clearbench", *{arguments!r}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""
    assert "torch" not in loaded_by(code)
