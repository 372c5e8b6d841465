import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

from clearbench.cli import app, main
from clearbench.scans.write import write_nifti

ROOT = Path(__file__).parent.parent
CARD = ROOT / "tests" / "cards" / "tiny.toml"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLEARBENCH_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "store"


def run(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["clearbench", *map(str, arguments)])
    with pytest.raises(SystemExit) as done:
        main()
    return int(done.value.code or 0)


def every_command() -> list[tuple[str, object]]:
    found = []
    for name, command in typer.main.get_group(app).commands.items():
        inner = getattr(command, "commands", None)
        found += [(f"{name} {k}", v) for k, v in inner.items()] if inner else [(name, command)]
    return found


@pytest.mark.parametrize(("name", "command"), every_command())
def test_commands_have_help(name: str, command: object) -> None:
    assert getattr(command, "help", None), f"{name} is missing its help"


@pytest.mark.parametrize(("name", "command"), every_command())
def test_commands_are_in_the_list_of_commands(name: str, command: object) -> None:
    del command
    assert f"`clearbench {name}`" in (ROOT / "docs" / "commands.md").read_text()


LIGHT = [
    ["--help"],
    ["models", "list"],
    ["models", "show", "biomedclip"],
    ["tasks", "list"],
    ["tasks", "show", "synthetic-stage"],
    ["cohort", "list"],
    ["leaderboard"],
    ["query", "SELECT count(*) FROM slices"],
    ["store", "info"],
    ["scans", "empty"],
]
IMPORTED = """
import sys
from clearbench.cli import main
sys.argv = ["clearbench", *sys.argv[1:]]
try:
    main()
finally:
    heavy = {"torch", "timm", "open_clip", "transformers", "sklearn", "ray"} & set(sys.modules)
    print("HEAVY", sorted(heavy))
"""


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_light_commands_import_no_network_library(arguments: list[str], tmp_path: Path) -> None:
    from clearbench.store.folder import open_store

    open_store(tmp_path / "store", create=True)
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "CLEARBENCH_STORE": str(tmp_path / "store")},
    )
    assert done.returncode == 0, done.stderr
    assert "HEAVY []" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["models", "show", "biomedclp"], "did you mean biomedclip"),
        (["tasks", "show", "synthetic-stag"], "did you mean synthetic-stage"),
        (["embed", "nowhere", "-m", "random-vit-tiny"], "no such table, folder or file"),
        (["embed", "nowhere"], "--model: name an encoder"),
        (["embed", "nowhere", "-m", "random-vit-tiny", "--engine", "lokal"], "did you mean local"),
        (["query", "SELECT 1"], "isn't a clearbench store"),
        (["evaluate", "-t", "synthetic-stage"], "isn't a clearbench store"),
        (["evaluate", "-t", "x", "-m", "a", "--all-models"], "exclude each other"),
        (["leaderboard", "--format", "pdf"], "table, md, csv, json"),
        (["leaderboard", "--metric", "aurocc"], "did you mean auroc"),
        (["cohort", "build", "folder", "x", "-o", "y.csv"], "--labels CSV"),
        (["cohort", "build", "ct-itch", "x", "-o", "y.csv"], "did you mean ct-ich"),
        (["cohort", "build", "ct-ich", ".", "-o", "y.csv", "--repair-split"], "has no split files"),
        (
            ["cohort", "build", "folder", "x", "-o", "y.csv", "--splits", "z"],
            "for public data sets",
        ),
        (["cohort", "add", "nothing.csv"], "no such file"),
        (["scans", "nowhere"], "does not exist"),
    ],
)
def test_requests_that_cannot_be_served_exit_with_2(
    arguments: list[str],
    words: str,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del store
    assert run(*arguments, monkeypatch=monkeypatch) == 2
    message = capsys.readouterr().err
    assert message.startswith("clearbench: ")
    assert words in message
    assert "Traceback" not in message


def small(folder: Path, count: int = 3, slices: int = 2) -> Path:
    folder.mkdir()
    for number in range(count):
        hu = np.random.default_rng(number).integers(-1000, 400, (slices, 32, 32)).astype(np.int16)
        write_nifti(folder / f"{number}.nii.gz", hu, (5.0, 1.0, 1.0))
    return folder


def test_the_journey_of_ones_own_data(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small(tmp_path / "own")
    (folder / "2.nii.gz").write_bytes(b"broken")
    (tmp_path / "labels.csv").write_text("path;nodule\n0;1\n1;0\n9;1\n")
    assert run("scans", folder, "-o", tmp_path / "series.csv", monkeypatch=monkeypatch) == 0
    assert len((tmp_path / "series.csv").read_text().splitlines()) == 4
    build = [
        "cohort",
        "build",
        "folder",
        folder,
        "--labels",
        tmp_path / "labels.csv",
        "--on",
        "path",
    ]
    assert run(*build, "-o", tmp_path / "mine.csv", monkeypatch=monkeypatch) == 0
    said = capsys.readouterr()
    assert "2 scans, 2 with labels" in said.out
    assert "1 label rows without a scan" in said.err
    assert "not a readable NIfTI file" in said.err
    embed = [
        "embed",
        tmp_path / "mine.csv",
        "-m",
        str(CARD),
        "--views",
        "lung",
        "--workers",
        "0",
    ]
    assert run(*embed, monkeypatch=monkeypatch) == 0
    assert run("embed", folder, *embed[2:], monkeypatch=monkeypatch) == 1
    capsys.readouterr()
    sql = "SELECT label, value, count(*) AS n FROM labels GROUP BY ALL ORDER BY ALL"
    assert run("query", sql, "--format", "json", monkeypatch=monkeypatch) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"label": "nodule", "value": "0", "n": 1},
        {"label": "nodule", "value": "1", "n": 1},
    ]
    (tmp_path / "later.csv").write_text(
        "scan_id,nodule,grade\n"
        + "\n".join(
            f"{line.split(',')[0]},1,II"
            for line in (tmp_path / "mine.csv").read_text().splitlines()[1:]
        )
    )
    add = ["cohort", "add", tmp_path / "later.csv"]
    assert run(*add, monkeypatch=monkeypatch) == 2, "the folder was embedded too, as cohort own"
    assert "several cohorts have its scan_id (mine, own)" in capsys.readouterr().err
    assert run(*add, "--name", "mine", monkeypatch=monkeypatch) == 0
    assert run("query", sql, "--format", "csv", monkeypatch=monkeypatch) == 0
    assert '"grade","II",2' in capsys.readouterr().out
    new = ["tasks", "new", "nodule", "--cohort", "mine", "--labels", "nodule"]
    assert run(*new, monkeypatch=monkeypatch) == 2
    assert "fewer than two values" in capsys.readouterr().err
    assert list(store.glob("features/tiny-*/mine/*.h5"))


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_answers_go_to_files(
    suffix: str, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet

    from clearbench.store.folder import open_store

    open_store(store, create=True)
    target = tmp_path / f"answer.{suffix}"
    assert run("query", "SELECT 1 AS a, [1.5, 2] AS b", "-o", target, monkeypatch=monkeypatch) == 0
    if suffix == "parquet":
        assert pyarrow.parquet.read_table(target).num_rows == 1
    elif suffix == "json":
        assert json.loads(target.read_text())[0]["a"] == 1
    else:
        assert target.read_text().splitlines()[0] == '"a","b"'
    assert not list(tmp_path.glob(".*tmp"))


def test_parquet_needs_a_file(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from clearbench.store.folder import open_store

    open_store(store, create=True)
    assert run("query", "SELECT 1", "--format", "parquet", monkeypatch=monkeypatch) == 2
    assert "-o FILE.parquet" in capsys.readouterr().err


def test_without_a_terminal_embed_logs_a_line_a_scan(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del store
    folder = small(tmp_path / "own")
    arguments = ["embed", folder, "-m", CARD, "--views", "lung", "--workers", "0"]
    assert run(*arguments, monkeypatch=monkeypatch) == 0
    said = capsys.readouterr()
    assert len(re.findall(r"\[\d/3\] scan-\w{12} written 2 slices", said.err)) == 3
    assert "3 scans, 6 slices written" in said.out


def listen() -> None:
    """Hear Ctrl-C, which shells switch off for what they start in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_exits_with_130(tmp_path: Path) -> None:
    folder = small(tmp_path / "own", 12, slices=60)  # seconds of work after the first
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "clearbench",
            "embed",
            str(folder),
            "-m",
            "random-vit-tiny",
            "--views",
            "lung",
            "--store",
            str(tmp_path / "store"),
            "--batch-size",
            "1",
            "--workers",
            "1",
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        preexec_fn=listen,
    )
    assert process.stderr is not None
    while "written" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 130
    assert "clearbench: stopped" in said
    assert "Traceback" not in said


def test_tasks_new_reads_target_and_classes_off_the_labels(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del store
    rows = "\n".join(f"s{n},p{n},x,{n % 2},{'abc'[n % 3]},{n % 2}" for n in range(30))
    (tmp_path / "mine.csv").write_text(f"scan_id,patient_id,path,ill,grade,other\n{rows}\n")
    assert run("cohort", "add", tmp_path / "mine.csv", monkeypatch=monkeypatch) == 0
    for name, labels, target in (
        ("one", "ill", "binary"),
        ("many", "grade", "multiclass"),
        ("both", "ill,other", "multilabel"),
    ):
        new = ["tasks", "new", name, "--cohort", "mine", "--labels", labels]
        assert run(*new, monkeypatch=monkeypatch) == 0
        capsys.readouterr()
        assert run("tasks", "show", name, "--json", monkeypatch=monkeypatch) == 0
        assert json.loads(capsys.readouterr().out)["target"] == target
    assert run("tasks", "check", "one", monkeypatch=monkeypatch) == 0
    assert "30 patient units of 30 patients, 25 folds" in capsys.readouterr().out
    assert (
        run("tasks", "new", "one", "--cohort", "mine", "--labels", "ill", monkeypatch=monkeypatch)
        == 2
    )
    assert (
        run("tasks", "new", "two", "--cohort", "mine", "--labels", "il", monkeypatch=monkeypatch)
        == 2
    )
    assert "did you mean ill" in capsys.readouterr().err


def test_a_folder_that_can_not_be_written_is_one_sentence(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file stands where the folder should be: for root, too, it can't be written."""
    embedded(store, tmp_path, monkeypatch)
    capsys.readouterr()
    (tmp_path / "taken").write_text("a file")
    target = tmp_path / "taken" / "out.csv"
    assert run("query", "SELECT 1 AS one", "-o", target, monkeypatch=monkeypatch) == 2
    said = capsys.readouterr().err
    assert said.startswith("clearbench: ")
    assert "taken" in said
    assert said.count("\n") == 1


def test_a_damaged_feature_file_is_named_beside_the_answer(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    embedded(store, tmp_path, monkeypatch)
    [damaged, *_] = sorted((store / "features").rglob("*.h5"))
    damaged.write_bytes(b"noise")
    assert run("query", "SELECT count(*) AS n FROM scans", monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().err
    assert f"{damaged.name}: not a readable feature file" in said
    assert "embed that scan again" in said
    assert run("store", "reindex", monkeypatch=monkeypatch) == 0
    assert damaged.name in capsys.readouterr().err


def embedded(store: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill a store with the features of three small scans."""
    arguments = ["embed", small(folder / "own"), "-m", CARD, "--views", "lung", "--workers", "0"]
    assert run(*arguments, monkeypatch=monkeypatch) == 0
    assert store.is_dir()


@pytest.mark.parametrize("name", ["../evil", "bad name/..", ".hidden"])
def test_a_tasks_name_is_no_path(
    store: Path,
    tmp_path: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    embedded(store, tmp_path, monkeypatch)
    arguments = ["tasks", "new", name, "--cohort", "own", "--labels", "path"]
    assert run(*arguments, monkeypatch=monkeypatch) == 2
    said = capsys.readouterr().err
    assert f'"{name}" can\'t be the name of a task: use letters, digits, dots' in said
