import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / ".ci" / "lowest.py"
HEAD = '[project]\nname = "clearbench"\n'


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module, by its path: .ci is not a package."""
    found = importlib.util.spec_from_file_location("lowest", SCRIPT)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def write_pyproject(folder: Path, dependencies: list[str], dev: list[str]) -> Path:
    path = folder / "pyproject.toml"
    extras = f"[project.optional-dependencies]\ndev = {dev!r}\nray = ['ray']\n"
    path.write_text(f"{HEAD}dependencies = {dependencies!r}\n{extras}", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("requirement", "constraint"),
    [
        ("h5py>=3.10", "h5py==3.10"),
        ("torch>=2.6,<2.14", "torch==2.6"),
        ("torch<2.14, >= 2.6", "torch==2.6"),
        ("torch (>=2.6,<2.14)", "torch==2.6"),
        ("ruff==0.6.1", "ruff==0.6.1"),
        ("numpy~=1.26", "numpy==1.26"),
        ("open_clip_torch >= 2.30", "open_clip_torch==2.30"),
        ("ray[data]>=2.30", "ray==2.30"),
        (
            "mamba-ssm>=2.2; platform_system == 'Linux'",
            "mamba-ssm==2.2; platform_system == 'Linux'",
        ),
    ],
)
def test_the_lower_bound_is_the_constraint(
    script: ModuleType, requirement: str, constraint: str
) -> None:
    assert script.lowest(requirement) == constraint


@pytest.mark.parametrize("requirement", ["rich", "rich<14", "rich>13", "rich!=13.7", "rich;x>=2"])
def test_a_dependency_without_a_lower_bound_is_refused(
    script: ModuleType, requirement: str
) -> None:
    with pytest.raises(script.NoLowestVersion, match=r"rich.*no lower bound; write .*rich>=X"):
        script.lowest(requirement)


def test_an_address_is_refused(script: ModuleType) -> None:
    with pytest.raises(script.NoLowestVersion, match="lower bound"):
        script.lowest("rich @ file:///tmp/rich.whl")


def test_dependencies_and_the_extra_dev_are_read(script: ModuleType, tmp_path: Path) -> None:
    path = write_pyproject(tmp_path, ["numpy>=1.26", "rich>=13.7"], ["pytest>=8.0", "numpy>=1.26"])
    assert script.constraints(path) == ["numpy==1.26", "rich==13.7", "pytest==8.0"]


def test_two_lower_bounds_of_one_package_are_refused(script: ModuleType, tmp_path: Path) -> None:
    path = write_pyproject(tmp_path, ["tomli-w>=1.0"], ["tomli_w>=1.1"])
    with pytest.raises(script.NoLowestVersion, match=r"tomli-w has two lower bounds: .*1\.0.*1\.1"):
        script.constraints(path)


def test_a_fault_costs_exit_code_1_and_names_the_file(tmp_path: Path) -> None:
    path = write_pyproject(tmp_path, ["numpy"], [])
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{path}: 'numpy' has no lower bound")


def test_the_project_has_a_lower_bound_for_every_dependency(script: ModuleType) -> None:
    lines = script.constraints(ROOT / "pyproject.toml")
    assert all("==" in line for line in lines)
    assert {line.partition("==")[0] for line in lines} >= {"torch", "numpy", "pytest"}
