"""Absurd numbers typed as options are refused by the option's name, whatever the command."""

import sys
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearbench.cli import app, main
from clearbench.cohort.table import read_cohort
from clearbench.scans.write import write_nifti
from clearbench.store.cohorts import save_cohort
from clearbench.store.folder import open_store
from hostile.limits import LONGEST, NEVER, limited
from hostile.weight_cases import CARD, good_state, pickled

ABSURD = ("-1", str(2**63), "9" * 5000, "nan", "1e308")
# A command in which the option counts, by the command's words.
COMMANDS = {
    "embed": "embed own --model random-vit-tiny",
    "evaluate": "evaluate --task t",
    "pretrain": "pretrain --net vit --data own.csv",
    "models add": "models add new --net vit --checkpoint w.pth --registry new",
    "models add --size-px": "models add new --timm resnet18 --registry new",
    "cohort build": "cohort build folder scans --labels labels.csv -o built.csv",
    "cohort add": "cohort add labels.csv --name own",
}
ELSEWHERE = ("query", "similar")  # checked where SQL is
TEXTS = {
    "evaluate --fractions": ("-1", "8,1e9", "9" * 400, "nan", "8," + "9" * 5000, ",", "8,,x"),
    "embed --shard": ("0/0", "2/1", "-1/2", "1/" + "9" * 400, "1", "a/b", "1/0", "1/2/3"),
    "embed --views": ("soft=nan:inf", "soft=5:1", f"soft=0:{'9' * 400}", "soft=0:1e308", "=0:1"),
    "embed --window": ("soft=nan:inf", f"soft=0:{'9' * 400}", "0:1"),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a scan, a cohort in a store, a task and a checkpoint."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLEARBENCH_STORE", str(tmp_path / "store"))
    (tmp_path / "scans").mkdir()
    hu = np.linspace(-1000, 1000, 4 * 20 * 16).astype(np.int16).reshape(4, 20, 16)
    write_nifti(tmp_path / "scans" / "p1.nii", hu, (3.0, 0.8, 0.7))
    table = "scan_id,patient_id,path,ill\ns1,p1,scans/p1.nii,1\n"
    (tmp_path / "own.csv").write_text(table)
    (tmp_path / "labels.csv").write_text("PatientID,ill\np1,1\n")
    save_cohort(read_cohort(Path("own.csv")), open_store(tmp_path / "store", create=True))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "t.toml").write_text(
        'title = "T"\nversion = 1\ncohort = "own"\ntarget = "binary"\nlabels = ["ill"]\n'
    )
    (tmp_path / "w.pth").write_bytes(pickled(good_state()))
    (tmp_path / "small.toml").write_text(CARD)
    return tmp_path


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the words of every command, and its function."""
    groups = {"": app} | {str(g.typer_instance.info.name or g.name): g.typer_instance
                          for g in app.registered_groups}  # fmt: skip
    for group, commands in groups.items():
        for command in commands.registered_commands:
            assert command.callback is not None
            yield f"{group} {command.name or command.callback.__name__}".strip(), command.callback


def numbers() -> Iterator[tuple[str, str]]:
    """Yield every option that is a number: the command's words, the option."""
    for words, function in functions():
        for option, hint in typing.get_type_hints(function).items():
            kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
            if {int, float} & set(kinds) and words not in ELSEWHERE:
                yield words, f"--{option.replace('_', '-')}"


OPTIONS = sorted(numbers())


def test_there_are_options_that_are_numbers() -> None:
    assert len(OPTIONS) > 15
    assert {"embed", "cohort add", "models add", "pretrain"} <= {words for words, _ in OPTIONS}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("command", "option"), OPTIONS, ids=str)
def test_an_absurd_number_is_refused_by_its_name(
    command: str, option: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command in COMMANDS, f"{command} has a new number: {option}"
    base = COMMANDS.get(f"{command} {option}", COMMANDS[command])
    for value in ABSURD:
        said = refused([*base.split(), f"{option}={value}"], capsys)
        assert option[2:] in said.replace("_", "-"), f"{option} {value}: {said}"
    assert not (place / "new").exists()
    assert not (place / "built.csv").exists()


@pytest.mark.parametrize("command", TEXTS)
def test_absurd_numbers_in_texts_are_refused(
    command: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del place
    function, option = command.split()
    for value in TEXTS[command]:
        refused([*COMMANDS[function].split(), f"{option}={value}"], capsys)


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that has to be refused, and return what it says."""
    with pytest.MonkeyPatch.context() as patch, limited():
        patch.setattr(sys, "argv", ["clearbench", *words])
        with pytest.raises(SystemExit) as done:
            main()
    said = capsys.readouterr().err
    assert done.value.code == 2, f"{words}: {said}"
    assert len(said) < LONGEST + 5000, f"{words}: {said}"
    assert not NEVER.search(said), f"{words}: {said}"
    return said
