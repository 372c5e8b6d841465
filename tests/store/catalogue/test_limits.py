import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from clearbench.errors import BadArgument, BadQuery
from clearbench.files import draft_of
from clearbench.store.catalogue import limits as module
from clearbench.store.catalogue.limits import (
    GB,
    Limits,
    SetLimits,
    is_left_running,
    remove_scratch,
    run_watched,
    scratch_folder,
    set_limits,
)


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place for temporary files that only this test uses."""
    remove_scratch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    remove_scratch()


@pytest.mark.parametrize("number", [float("inf"), float("nan"), 0.0, -1.0])
@pytest.mark.parametrize("name", ["timeout_s", "memory_gb", "temp_gb"])
def test_a_limit_is_a_number_above_0(name: str, number: float) -> None:
    with pytest.raises(BadArgument, match="above 0") as refusal:
        Limits(**{name: number})
    assert refusal.value.name == name


def test_too_little_memory_is_refused() -> None:
    with pytest.raises(BadArgument, match="at least"):
        Limits(memory_gb=0.001)


def test_limits_are_set_and_huge_ones_do_no_harm() -> None:
    with duckdb.connect() as connection:
        usual = set_limits(connection, Limits())
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        assert 0.1 * whole < usual.memory_bytes < 0.5 * whole
        assert usual.temp_bytes > 0
        small = set_limits(connection, Limits(7, memory_gb=0.5, temp_gb=0.25))
        assert small.memory_bytes == pytest.approx(0.5 * GB, rel=1e-3)
        assert small.temp_bytes == 0.25 * GB
        [[milliseconds]] = connection.execute(
            "SELECT current_setting('max_execution_time')"
        ).fetchall()
        assert int(milliseconds) == 7000
        set_limits(connection, Limits(1e300, 1e300, 1e300))
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_what_is_spilled_is_the_owners_alone_and_goes_with_the_query(temp: Path) -> None:
    connection = duckdb.connect()
    set_limits(connection, Limits(memory_gb=0.1))
    [place] = temp.iterdir()
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    rows = connection.execute(
        "SELECT range, repeat('x', 100) AS x FROM range(1500000) ORDER BY random()"
    )
    assert rows.fetchone()
    assert list(place.rglob("*")), "nothing was spilled"
    connection.close()
    assert not list(place.iterdir())
    remove_scratch()
    assert not list(temp.iterdir())


def test_the_folder_of_a_killed_process_is_swept(temp: Path) -> None:
    code = "from clearbench.files import draft_of; import sys; from pathlib import Path\n"
    code += "print(draft_of(Path(sys.argv[1])))"
    program = [sys.executable, "-c", code, temp / "clearbench-query"]
    killed = Path(subprocess.check_output(program, text=True).strip())
    another = draft_of(temp / "something-else")
    for folder in (killed, another):
        folder.mkdir()
        (folder / "spilled").touch()
    assert scratch_folder()
    assert not killed.exists()
    assert another.exists()


def test_without_a_place_for_temporary_files_a_query_runs(temp: Path) -> None:
    (temp / "file").touch()
    tempfile.tempdir = str(temp / "file")
    with duckdb.connect() as connection:
        assert set_limits(connection, Limits()).temp_bytes == 0
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_python_leaves_no_folder_behind(tmp_path: Path) -> None:
    code = """
        import duckdb
        from clearbench.store.catalogue.limits import Limits, set_limits
        set_limits(duckdb.connect(), Limits())
    """
    program = [sys.executable, "-c", textwrap.dedent(code)]
    subprocess.run(program, env={**os.environ, "TMPDIR": str(tmp_path)}, check=True, timeout=60)
    assert not list(tmp_path.iterdir())


def test_a_query_that_cannot_be_interrupted_is_left_to_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.1)
    go_on = threading.Event()
    others = {each for each in threading.enumerate() if each.name == module.THREAD}
    with duckdb.connect() as connection:
        held = SetLimits(Limits(timeout_s=0.1), 10**12, 0)
        with pytest.raises(BadQuery, match=r"stopped after 0\.1 s.*allow more time"):
            run_watched(connection, held, go_on.wait)
        assert is_left_running()
        go_on.set()
        # those of other tests may still run
        [own] = {each for each in threading.enumerate() if each.name == module.THREAD} - others
        own.join(10)
        assert not own.is_alive()


@pytest.mark.skipif(not module.STATM.exists(), reason="only Linux says what a process has")
def test_memory_that_duckdb_does_not_count_is_noticed() -> None:
    connection = duckdb.connect()
    held = set_limits(connection, Limits(memory_gb=0.1))

    def work() -> object:
        return connection.sql(
            "SELECT length(list_transform(range(60000000), lambda x: x + 1))"
        ).fetchall()

    # about 1 GB if it is left to itself
    with pytest.raises(BadQuery, match=r"needs more than 0\.1 GB of memory"):
        run_watched(connection, held, work)


def test_what_the_work_raises_is_raised() -> None:
    def fail() -> None:
        raise LookupError("mine")

    with duckdb.connect() as connection, pytest.raises(LookupError, match="mine"):
        run_watched(connection, set_limits(connection, Limits()), fail)
