"""An argument that can't be served is printed as it was typed: with its option."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from clearbench.cli import main
from clearbench.cli.refusals import argument_sentence
from clearbench.errors import BadArgument


def run(*arguments: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["clearbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
    return int(done.value.code or 0)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from clearbench.store.folder import open_store

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLEARBENCH_STORE", str(tmp_path / "store"))
    open_store(tmp_path / "store", create=True)
    (tmp_path / "scans").mkdir()


EMBED = ["embed", "scans", "-m", "random-vit-tiny"]
EVALUATE = ["evaluate", "--task", "synthetic-stage"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["embed", "scans"], "--model: name an encoder"),
        ([*EMBED, "--store-dtype", "int8"], "--store-dtype int8: must be float32 or float16"),
        ([*EMBED, "--batch-size", "0"], "--batch-size 0: must be from 1 to 65,536"),
        ([*EMBED, "--workers", "-1"], "--workers -1: must be from 0 to 1,024"),
        ([*EMBED, "-m", "x", "--weights", "w"], "--weights w: a file of weights is for one"),
        (["evaluate"], "--task: name a task"),
        ([*EVALUATE, "--draws", "1"], "--draws 1: must be 0, or at least 2"),
        ([*EVALUATE, "--fractions", "few"], "--fractions few: "),
        (
            [*EVALUATE, "--head", "knn", "--fractions", "16"],
            "--head knn: synthetic-stage declares the head abmil; evaluate it too",
        ),
        (["leaderboard", "--format", "pdf"], "--format pdf: must be one of table, md, csv, json"),
        (["query", "SELECT 1", "--format", "xls"], "--format xls: must be one of table, csv, json"),
        (["query", "SELECT 1", "--timeout", "inf"], "--timeout inf: must be a number of seconds"),
        (["query", "SELECT 1", "--timeout", "nan"], "--timeout nan: must be a number of seconds"),
        (["query", "SELECT 1", "--timeout=-1"], "--timeout -1.0: must be a number of seconds"),
        (["query", "SELECT 1", "--memory-gb", "0"], "--memory-gb 0.0: must be a number of GB"),
        (["query", "SELECT 1", "--temp-gb", "inf"], "--temp-gb inf: must be a number of GB"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_option_is_named(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"clearbench: {sentence}")
    assert said.count("\n") == 1


def option(name: str, *opts: str) -> SimpleNamespace:
    return SimpleNamespace(name=name, opts=opts, param_type_name="option", metavar=None)


PARAMS = [
    SimpleNamespace(name="scans", opts=["scans"], param_type_name="argument", metavar="SCANS"),
    SimpleNamespace(name="root", opts=["root"], param_type_name="argument", metavar=None),
    option("task", "--task", "-t"),
    option("tasks", "--tasks"),
    option("no_floors", "--no-floors"),
    option("fmt", "--format"),
]


@pytest.mark.parametrize(
    ("name", "value", "typed"),
    [
        ("scans", "nowhere", "SCANS nowhere"),
        ("root", Path("a/b"), "ROOT a/b"),
        ("tasks", ["a", "b"], "--task a,b"),
        ("task_folders", "x", "--tasks x"),
        ("floors", False, "--no-floors"),
        ("format", "xls", "--format xls"),
        ("save_heads", None, "--save-heads"),
        ("seeds", 0, "--seeds 0"),
        ("views", (), "--views"),
    ],
)
def test_python_names_become_options_and_metavars(name: str, value: object, typed: str) -> None:
    assert argument_sentence(BadArgument(name, value, "why"), PARAMS) == f"{typed}: why"


def test_python_reads_its_own_names() -> None:
    assert str(BadArgument("device", "gpu", "not here")) == "device='gpu': not here"
