"""The public names have real types: a type checker finds a wrong call."""

import subprocess
import sys
from pathlib import Path

import clearbench
from clearbench import pretraining

ROOT = Path(__file__).parent.parent
RIGHT = """
import clearbench as cb
from clearbench.evaluation.heads import AttentionMIL
from clearbench.pretraining import lecl_loss

report = cb.embed("scans.csv", models=["dinov2-base"], store="features", device="cpu")
results: list[cb.Result] = cb.evaluate(tasks=["nodule"], models=["dinov2-base"], store="features")
encoder: cb.Encoder = cb.load_encoder("dinov2-base", device="auto")
store: cb.FeatureStore = cb.FeatureStore("features")
loaded: cb.LoadedTask = cb.load_task("nodule", "dinov2-base", store="features")
rows: list[int] = loaded.folds[0].test.tolist()
net: AttentionMIL = AttentionMIL(512, 1)
loss = lecl_loss
failed: int = len(report.failed)
"""
WRONG = {
    'cb.evaluate(taskz=["nodule"])': "call-arg",
    'cb.embed("scans.csv", models=["a"], batch_size="many")': "arg-type",
    "cb.load_encoder(3)": "arg-type",
    'cb.FeatureStore("features").feature("a", "b")': "attr-defined",
    "cb.evaluation_of": "attr-defined",
    "loaded.fold": "attr-defined",
    "lecl_loss(temperature=0.1)": "call-arg",
    "AttentionMIL(512, 1, hiden=3)": "call-arg",
}


def checked(code: str, folder: Path) -> str:
    """Return what mypy says about some code that uses the installed package."""
    file = folder / "use.py"
    file.write_text(code)
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout


def test_right_calls_pass_and_each_wrong_one_is_found(tmp_path: Path) -> None:
    wrong = checked(RIGHT + "\n".join(WRONG), tmp_path)
    first = RIGHT.count("\n") + 1
    for line, (code, error) in enumerate(WRONG.items(), start=first):
        assert any(
            f":{line}:" in line_said and f"[{error}]" in line_said
            for line_said in wrong.splitlines()
        ), f"{code}: {wrong}"
    faults = [line_said for line_said in wrong.splitlines() if ": error:" in line_said]
    assert all(int(line_said.split(":")[1]) >= first for line_said in faults), wrong


def test_every_public_name_is_loaded_lazily_and_typed() -> None:
    for package in (clearbench, pretraining):
        source = Path(str(package.__file__)).read_text()
        typed = source.split("if TYPE_CHECKING:")[1].split("_PUBLIC")[0]
        assert set(package.__all__) == set(package._PUBLIC)
        for name in package.__all__:
            assert f" {name}" in typed.replace(",", " "), name
            assert getattr(package, name) is not None
