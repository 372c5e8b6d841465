import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [found] = target.glob("*.whl")
    return found


def test_the_wheel_carries_cards_and_published_results(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for folder, inside in (
        ("registry", "registry"),
        ("tasks", "tasks"),
        ("leaderboard/results", "leaderboard"),
    ):
        wanted = {
            path.relative_to(ROOT / folder).as_posix()
            for path in (ROOT / folder).rglob("*.*")
            if path.name[0] != "."
        }
        there = {
            name.removeprefix(f"clearbench/{inside}/")
            for name in names
            if name.startswith(f"clearbench/{inside}/")
        }
        assert wanted
        assert wanted <= there
    assert "clearbench/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_carries_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"clearbench"}


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", str(wheel)]
    subprocess.run(install, check=True, cwd=tmp_path)
    clearbench = str(tmp_path / "env" / "bin" / "clearbench")
    listed = subprocess.run(
        [clearbench, "models", "list"], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert "efficientnet-lite0" in listed.stdout
    shown = subprocess.run(
        [clearbench, "demo"], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert "synthetic-stage" in shown.stdout
