"""Each test runs its own process: torchvision is imported once in a process."""

import subprocess
import sys
from pathlib import Path

import pytest

PATCH = "import clearbench.encoders.torchvision_patch as patch, sys; "


def run(code: str, *folders: Path) -> subprocess.CompletedProcess[str]:
    paths = "; ".join(f"sys.path.insert(0, {str(folder)!r})" for folder in folders) or "pass"
    return subprocess.run(
        [sys.executable, "-c", f"import sys; {paths}; {code}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "torchvision").mkdir()
    return tmp_path / "torchvision" / "__init__.py"


def test_torchvision_is_imported_whatever_its_build() -> None:
    done = run(PATCH + "import torchvision.transforms; print('there')")
    assert done.stdout == "there\n", done.stderr


def test_missing_operators_are_declared(package: Path) -> None:
    """A package that registers something for torchvision::nms, as the real one does."""
    package.write_text(
        "import torch\n"
        "@torch.library.register_fake('torchvision::nms')\n"
        "def fake(dets, scores, threshold): ...\n"
    )
    alone = run("import torchvision", package.parent.parent)
    assert "operator torchvision::nms does not exist" in alone.stderr
    cured = run(PATCH + "print(len(cure._declared))", package.parent.parent)
    assert cured.stdout == "1\n", cured.stderr


def test_a_whole_torchvision_is_left_alone(package: Path) -> None:
    package.write_text("")
    done = run(PATCH + "print(len(cure._declared))", package.parent.parent)
    assert done.stdout == "0\n", done.stderr


def test_other_faults_are_not_hidden(package: Path) -> None:
    package.write_text("raise RuntimeError('something else')")
    assert "something else" in run(PATCH, package.parent.parent).stderr
