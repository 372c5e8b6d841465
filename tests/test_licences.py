import importlib.util
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / ".ci" / "licences.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module, by its path: .ci is not a package."""
    found = importlib.util.spec_from_file_location("licences", SCRIPT)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    # A dataclass looks its module up there.
    sys.modules["licences"] = module
    found.loader.exec_module(module)
    return module


def test_everybody_may_use_every_package_that_is_needed() -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_list_in_the_docs_has_every_direct_dependency(script: ModuleType) -> None:
    lines = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8").splitlines()
    listed = {line.split(" | ")[0].removeprefix("| ") for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {script.canonical(Requirement(each).name) for each in project["dependencies"]}
    assert needed <= listed


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("BSD-3-Clause AND Zlib", True),
        ("LGPL-3.0-or-later", True),
        ("", False),
        ("GPL-3.0-only", False),
        ("MIT AND AGPL-3.0", False),
        ("CC-BY-NC-4.0", False),
        ("Proprietary", False),
    ],
)
def test_a_licence_that_binds_users_is_refused(
    script: ModuleType, licence: str, allowed: bool
) -> None:
    one = script.Found("some", "1.0", "MIT", ("clearbench",))
    assert replace(one, licence=licence).allowed == allowed
