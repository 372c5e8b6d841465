"""`clearbench query`: where answers go, and how a query ends that doesn't end by itself."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest

from clearbench.store.folder import open_store

# half a minute in one call of a function, which DuckDB can't interrupt
ONE_CALL = "SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))"

Query = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def query(tmp_path: Path) -> Query:
    """Run `clearbench query` in a process of its own, over an empty store."""
    open_store(tmp_path / "store", create=True)

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            program(*arguments),
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def program(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "clearbench", "query", *map(str, arguments)]


def environment(folder: Path) -> dict[str, str]:
    (folder / "temp").mkdir(exist_ok=True)
    root = str(Path(__file__).parents[2])
    ours = {"CLEARBENCH_STORE": str(folder / "store"), "TMPDIR": str(folder / "temp")}
    return {**os.environ, "PYTHONPATH": root, **ours}


def is_one_sentence(done: subprocess.CompletedProcess[str], *parts: str) -> bool:
    """Return True if a command was refused with one sentence that has these parts."""
    said = done.stderr.splitlines()
    assert len(said) == 1, done.stderr
    assert all(part in said[0] for part in parts), said[0]
    return done.returncode == 2 and not done.stdout and said[0].startswith("clearbench: ")


def test_an_output_that_is_no_file_is_refused_before_the_query(
    query: Query, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nothing")
    endless = "SELECT sum(range) FROM range(1000000000000)"
    for name in ("folder", "dangling", "store/store.json/x.csv"):
        done = query(endless, "-o", name)
        assert is_one_sentence(
            done, Path(name).name if name != "store/store.json/x.csv" else "file"
        )
    assert not list(tmp_path.glob(".*"))
    assert not (tmp_path / "nothing").exists()


def test_an_answer_goes_through_a_link(query: Query, tmp_path: Path) -> None:
    (tmp_path / "target.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("target.csv")
    assert query("SELECT 1 AS a", "-o", "link.csv").returncode == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "target.csv").read_text() == '"a"\n1\n'


@pytest.mark.parametrize("fmt", ["csv", "json", "parquet"])
def test_an_answer_goes_into_a_pipe(fmt: str, tmp_path: Path, query: Query) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        assert query("SELECT 7 AS a", "--format", fmt, "-o", pipe).returncode == 0
        content, _ = reader.communicate(timeout=60)
    assert pipe.is_fifo()
    if fmt == "parquet":
        assert pyarrow.parquet.read_table(pyarrow.py_buffer(content)).to_pylist() == [{"a": 7}]
    else:
        assert content.decode() == {"csv": '"a"\n7\n', "json": '[\n {"a": 7}\n]\n'}[fmt]
    assert json.loads(query("SELECT 7 AS a", "--format", "json", "-o", "/dev/stdout").stdout)
    assert query("SELECT 7 AS a", "--format", fmt, "-o", "/dev/null").returncode == 0
    assert Path("/dev/null").is_char_device()
    assert not list((tmp_path / "temp").iterdir())


def test_a_query_that_cannot_be_interrupted_ends_with_its_sentence(
    query: Query, tmp_path: Path
) -> None:
    start = time.monotonic()
    done = query(ONE_CALL, "--timeout", 0.5)
    assert is_one_sentence(done, "stopped after 0.5 s", "--timeout")
    assert time.monotonic() - start < 60
    assert not list((tmp_path / "temp").iterdir())


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT sum(range) FROM range(1000000000000)",
        "SELECT range FROM range(1000000000000) WHERE range % 1000000007 = 5",
        ONE_CALL,
    ],
)
def test_ctrl_c_stops_a_query(statement: str, tmp_path: Path) -> None:
    open_store(tmp_path / "store", create=True)
    process = subprocess.Popen(
        program(statement),
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # shells switch it off for what they start in the background
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    # its folder for temporary files is made just before it starts
    while not list((tmp_path / "temp").iterdir()):
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=60)
    # a shell says 130 for both
    assert process.returncode in (130, -signal.SIGINT), said
    assert said.startswith("clearbench: stopped")
    assert "Traceback" not in said
    assert not out
    assert not list((tmp_path / "temp").iterdir())
