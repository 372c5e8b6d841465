import errno
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from clearbench.errors import BadRequest, StorageFull
from clearbench.files import (
    check_output,
    draft_of,
    everything_below,
    find_drafts,
    in_use,
    remove_linked,
    sweep_drafts,
    write_behind,
    write_output,
    write_text,
    write_whole,
)
from clearbench.store.folder import open_store


def run_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_failed_write_leaves_nothing_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail(draft: Path) -> None:
        draft.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, fail)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "old")]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_is_named_in_plain_words(tmp_path: Path, number: int) -> None:
    def fail(_draft: Path) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(StorageFull, match="run the same command again"):
        write_whole(tmp_path / "file", fail)


def test_other_faults_of_the_system_are_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "file", lambda _draft: (tmp_path / "none").read_text())


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path) -> None:
    """A real write that the system stops."""
    code = """
        import resource, sys
        from pathlib import Path
        from clearbench.errors import StorageFull
        from clearbench.files import write_whole
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            write_whole(Path(sys.argv[1]), lambda draft: draft.write_bytes(bytes(100_000)))
        except StorageFull as error:
            print(error)
    """
    done = run_python(code, tmp_path / "file")
    assert "can't be written to" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_no_file_but_a_draft_that_is_swept(tmp_path: Path) -> None:
    code = """
        import sys, time
        from pathlib import Path
        from clearbench.files import write_whole
        def slow(draft):
            draft.write_bytes(b"half")
            print("writing", flush=True)
            time.sleep(60)
        write_whole(Path(sys.argv[1]), slow)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "file")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "writing\n"
        assert sweep_drafts(tmp_path) == 0, "its process lives"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "file").exists()
    assert sweep_drafts(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_sweeping_leaves_others_drafts_alone(tmp_path: Path) -> None:
    host = socket.gethostname()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = {
        f".a.h5.{host}-{dead.pid}.tmp": False,
        f".catalogue.duckdb.{host}-{dead.pid}.tmp.wal": False,
        draft_of(tmp_path / "mine.h5").name: True,
        f".a.h5.elsewhere-{dead.pid}.tmp": True,
        "kept.tmp": True,
    }
    for name in names:
        (tmp_path / name).write_text("")
    assert sweep_drafts(tmp_path) == 2
    assert {path.name for path in tmp_path.iterdir()} == {n for n, kept in names.items() if kept}


def test_sweeping_can_stay_in_the_folder(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    deep = tmp_path / "below" / f".a.h5.{socket.gethostname()}-{dead.pid}.tmp"
    deep.parent.mkdir()
    deep.write_text("")
    assert sweep_drafts(tmp_path, deep=False) == 0
    assert sweep_drafts(tmp_path / "none") == 0
    assert sweep_drafts(tmp_path) == 1


def test_drafts_are_listed_with_their_writer(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = socket.gethostname()
    names = {
        f".a.h5.{host}-{dead.pid}-3.tmp": "killed",
        draft_of(tmp_path / "b.h5").name: "running",
        ".a.h5.node-1.cluster.org-12-0.tmp": "elsewhere",
    }
    for name in (*names, ".hidden", "a.tmp"):
        (tmp_path / name).write_text("")
    assert {each.path.name: each.writer for each in find_drafts(tmp_path)} == names


def test_a_folder_in_use_is_marked_while_its_process_works(tmp_path: Path) -> None:
    with in_use(tmp_path / "set"):
        assert [each.writer for each in find_drafts(tmp_path)] == ["running"]
    assert list((tmp_path / "set").iterdir()) == []


def hello(draft: Path) -> None:
    draft.write_text("hello")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))


NO_FILES: dict[str, Callable[[Path], object]] = {
    "folder": lambda path: path.mkdir(),
    "link to a folder": lambda path: path.symlink_to(path.parent),
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "socket": make_socket,
}


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_regular_file_is_refused_before_anything_is_written(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "out"
    NO_FILES[kind](path)
    before = path.lstat()

    def never(_draft: Path) -> None:
        raise AssertionError("something was written")

    with pytest.raises(BadRequest, match=r"out is a (folder|link|socket)"):
        check_output(path)
    with pytest.raises(BadRequest, match=r"out is a (folder|link|socket)"):
        write_output(path, never)
    assert [item.name for item in tmp_path.iterdir()] == ["out"]
    assert path.lstat() == before


def test_a_link_stays_and_its_target_is_replaced_whole(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "file", tmp_path / "link"
    target.write_text("old")
    (tmp_path / "second").symlink_to("elsewhere/file")
    link.symlink_to("second")
    write_output(check_output(link), hello)
    assert link.is_symlink()
    assert target.read_text() == "hello"
    assert not target.is_symlink()
    assert len(list(tmp_path.rglob("*"))) == 4


@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_gets_the_content_and_stays_a_pipe(tmp_path: Path, linked: bool) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = tmp_path / "link" if linked else pipe
    if linked:
        path.symlink_to(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        write_output(check_output(path), hello)
        assert reader.communicate(timeout=60)[0] == b"hello"
    assert pipe.is_fifo()
    with pytest.raises(BadRequest, match="a pipe or a device"):
        write_output(path, hello, stream=False)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1"])
def test_standard_output_goes_on_where_it_is(tmp_path: Path, name: str) -> None:
    code = """
        import sys
        from pathlib import Path
        from clearbench.files import write_output
        print("before")
        write_output(Path(sys.argv[1]), lambda draft: draft.write_text("content\\n"))
        print("after")
    """
    assert run_python(code, name).stdout == "before\ncontent\nafter\n"
    with (tmp_path / "file").open("w") as file:
        program = [sys.executable, "-c", textwrap.dedent(code), name]
        subprocess.run(program, stdout=file, check=True, timeout=60)
    assert (tmp_path / "file").read_text() == "before\ncontent\nafter\n"


def test_a_device_takes_the_content_and_stays_a_device() -> None:
    write_output(check_output(Path("/dev/null")), hello)
    assert Path("/dev/null").is_char_device()
    with pytest.raises(BadRequest):
        write_output(Path("/dev/null"), hello, stream=False)


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadRequest, match="file is a file, not a folder"):
        check_output(tmp_path / "file" / "deeper" / "out")
    assert check_output(tmp_path / "new" / "deeper" / "out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into every folder")
def test_a_folder_of_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(BadRequest, match=r"you can't write into .*closed"):
        check_output(tmp_path / "closed" / "deeper" / "out")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
def test_a_device_that_is_full_is_named() -> None:
    with pytest.raises(StorageFull, match="/dev/full"):
        write_output(Path("/dev/full"), hello)


def test_a_folder_where_a_file_belongs_is_named(tmp_path: Path) -> None:
    (tmp_path / "record.json").mkdir()
    with pytest.raises(StorageFull, match=r"record\.json: a folder is where this file belongs"):
        write_text(tmp_path / "record.json", "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("kind", ["link to nothing", "link to itself", "socket"])
def test_a_file_of_the_store_takes_the_place_of_what_is_no_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "record.json"
    NO_FILES[kind](path)
    write_text(path, "{}")
    assert path.read_text() == "{}"
    assert not path.is_symlink()


@pytest.mark.parametrize("private", [True, False])
def test_a_draft_that_is_there_already_is_in_no_way(tmp_path: Path, private: bool) -> None:
    """In a container every run may be process 1, and a killed one left drafts."""
    path = tmp_path / "file"
    number = int(draft_of(path).name.split("-")[-1].removesuffix(".tmp"))
    for ahead in (1, 2):
        name = f".file.{socket.gethostname()}-{os.getpid()}-{number + ahead}.tmp"
        (tmp_path / name).write_text("left")
    write_whole(path, hello, private=private)
    assert path.read_text() == "hello"
    assert len(list(tmp_path.iterdir())) == 3


def test_what_a_killed_process_left_in_the_temporary_folder_goes_next_time(tmp_path: Path) -> None:
    code = """
        import os, signal, sys, tempfile
        from clearbench.files import scratch
        with scratch("search") as folder:
            (folder / "content").write_text("of a patient")
            print(folder, oct(folder.stat().st_mode & 0o777), flush=True)
            if len(sys.argv) > 1:
                os.kill(os.getpid(), signal.SIGTERM)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    killed = subprocess.run([*command, "x"], env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGTERM
    [left] = tmp_path.iterdir()
    assert killed.stdout.decode().split() == [str(left), "0o700"]
    subprocess.run(command, env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


def test_what_is_behind_links_is_listed_once(tmp_path: Path) -> None:
    place, disk = tmp_path / "place", tmp_path / "disk"
    (disk / ".inner").mkdir(parents=True)
    place.mkdir()
    (disk / ".inner" / "a").write_text("x")
    (disk / "back").symlink_to(place)
    for name in ("one", "two"):
        (place / name).symlink_to(disk)
    (place / "gone").symlink_to(tmp_path / "none")
    found = [path.relative_to(place).as_posix() for path in everything_below(place)]
    assert found == ["gone", "one", "one/.inner", "one/.inner/a", "one/back", "two"]
    assert everything_below(tmp_path / "none") == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_can_t_be_listed_is_said(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    errors: list[OSError] = []
    everything_below(tmp_path, errors.append)
    assert [error.filename for error in errors] == [str(tmp_path / "closed")]


def test_a_file_behind_a_link_is_replaced_with_the_rights_of_the_store(tmp_path: Path) -> None:
    store = tmp_path / "store"
    open_store(store, create=True)
    target = tmp_path / "target"
    target.write_text("old")
    target.chmod(0o644)
    (store / "link").symlink_to(target)
    write_behind(store / "link", hello)
    assert (store / "link").is_symlink()
    assert target.read_text() == "hello"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    remove_linked(store / "link")
    assert not target.exists()
    assert not os.path.lexists(store / "link")
