"""Kill commands at random moments, and count what is lost, kept twice, damaged or left running.

    python benchmarks/faults.py [--kills 300] [--others 5] [--only COMMAND …] [-o REPORT.md]

Each command runs once undisturbed, in a copy of a small store: that is what is right. Then it is
killed again and again at random moments, by SIGKILL and by SIGTERM in turn, and embedding is
disturbed in other ways. After each:

    running   processes that are still there 20 s later
    damaged   `clearbench store verify` isn't clean
    fails     the same command, typed again, ends with another exit code than undisturbed
    differs   features, cohorts, labels, results or rows of SQL aren't those of the undisturbed run:
              something is lost, or there twice
    drafts    unfinished files that are still there after the command was typed again

Scans are synthetic, and the encoder is a very small one with random weights. Commands run in forks
of one process that has imported everything, so that a kill falls into work and not into imports.
"""

import argparse
import csv
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pyarrow.parquet
import torch
from soak import CARD

from clearbench.cli import main as clearbench
from clearbench.files import find_drafts
from clearbench.store.feature_store import FeatureStore

SCANS, SLICES, SIZE_PX = 24, 4, 48
PATIENCE_S = 20.0
UNREADABLE = "can't be read"
MOUNT = ("mount", "-t", "tmpfs", "-o")
WORK: Callable[[int], Any]  # of forked_workers
FAULTS = ("running", "damaged", "fails", "differs", "drafts")
# What two undisturbed runs of `evaluate` don't share.
OF_A_RUN = ("created", "seconds", "slices_per_s", "path")

TASK = """
title = "Brighter (synthetic)"
version = 1
cohort = "kills"
target = "binary"
labels = ["bright"]
unit = "patient"
metric = "auroc"
[split]
folds = 2
repeats = 1
seed = 0
"""


@dataclass(frozen=True)
class Command:
    """A command to kill, and the commands that make the store in which it begins.

    done_before  the exit code of the command where it was done already
    """

    name: str
    words: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    done_before: int = 0


EMBED = (
    "embed", "scans.csv", "--model", "tiny.toml", "--name", "kills", "--device", "cpu",
    "--precision", "float32", "--batch-size", "8", "--workers", "0",
)  # fmt: skip
READERS = (*EMBED[:-1], "2")
EVALUATE = ("evaluate", "--task", "task.toml", "--head", "mean-logreg", "--head", "abmil")
READ = Command("embed, 2 readers", READERS)
EVALUATED = Command("evaluate", EVALUATE, (EMBED,))
SMALL_DISK = "the disk is full"
COMMANDS = (
    Command("embed", EMBED),
    READ,
    Command("embed --replace", (*EMBED, "--replace"), (EMBED,)),
    EVALUATED,
    Command("query", ("query", "SELECT count(*) FROM slices"), (EMBED,)),
    Command("cohort add", ("cohort", "add", "labels.csv", "--name", "kills"), (EMBED,)),
    Command(
        "cohort add --replace-rows",
        ("cohort", "add", "fewer.csv", "--name", "kills", "--replace-rows"),
        (EMBED,),
    ),
    Command("cohort remove", ("cohort", "remove", "kills", "--yes"), (EMBED,), 2),
    Command(
        "store gc --delete",
        ("store", "gc", "--delete"),
        (EMBED, ("cohort", "add", "fewer.csv", "--name", "kills", "--replace-rows")),
    ),
    Command(
        "store forget",
        ("store", "forget", "--patient", "person-00003", "--yes"),
        (EMBED, EVALUATE),
        2,
    ),
)


@dataclass
class Tally:
    """What happened to one command."""

    times: int = 0
    done: int = 0  # it ended by itself, with success
    found: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0


def write_inputs(folder: Path) -> None:
    """Write scans, their cohort, changed labels, a table with fewer rows, the card and the task."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(SCANS):
        bright = number % 2
        hu = rng.normal(40 * bright, 30, (SIZE_PX, SIZE_PX, SLICES)).astype(np.int16)
        path = folder / f"scan-{number}.nii.gz"
        nibabel.Nifti1Image(hu, np.diag([-1.0, -1.0, 5.0, 1.0])).to_filename(path)
        rows.append([f"scan-{number}", f"person-{number:05d}", str(path), str(bright)])
    names = ["scan_id", "patient_id", "path", "bright"]
    write_table(folder / "scans.csv", names, rows)
    write_table(folder / "fewer.csv", names, rows[:-4])
    other = [[row[0], str(min(1, number % 3))] for number, row in enumerate(rows)]
    write_table(folder / "labels.csv", ["scan_id", "bright"], other)
    (folder / "tiny.toml").write_text(CARD)
    (folder / "task.toml").write_text(TASK)


def write_table(path: Path, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])


def forked(work: Callable[[], object], folder: Path, log: Path) -> int:
    """Run `work` in a fork, in a folder; returns its process number."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        work()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException as error:  # noqa: BLE001 it is the end of this process
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        sys.stdout.flush()
        os._exit(code)


def typed(words: Sequence[str]) -> Callable[[], None]:
    """Return a function that runs a command as if it were typed."""

    def run() -> None:
        sys.argv = ["clearbench", *words]
        clearbench()

    return run


def wait(child: int) -> int:
    """Wait for a fork; returns its exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def survivors(session: int) -> list[int]:
    """Return the processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def left_running(session: int) -> bool:
    """Wait until a session has no process; kill what is left after a while, and say so."""
    end = time.monotonic() + PATIENCE_S
    while survivors(session):
        if time.monotonic() > end:
            for process in survivors(session):
                os.kill(process, signal.SIGKILL)
            return True
        time.sleep(0.02)
    return False


def state(store: Path) -> dict[str, Any]:
    """Return what a store holds, as far as two runs must have it equal."""
    found: dict[str, Any] = {}
    for path in sorted(store.rglob("*.h5")):
        with h5py.File(path) as file:
            content = [file[name][()].tobytes() for name in ("features", "present", "slice_index")]
        found[str(path.relative_to(store))] = hashlib.sha256(b"".join(content)).hexdigest()
    for path in sorted(store.rglob("*.parquet")):
        rows = pyarrow.parquet.read_table(path).to_pylist()
        found[str(path.relative_to(store))] = [str(row) for row in rows]
    for path in sorted((store / "results").rglob("*.json")):
        facts = json.loads(path.read_text())
        for name in OF_A_RUN:
            facts.pop(name, None)
        found[str(path.relative_to(store))] = facts
    for view in ("scans", "slices", "labels", "predictions", "results"):
        count = FeatureStore(store).table(f"SELECT count(*) AS n FROM {view}")
        found[view] = count["n"][0].as_py()
    return found


def keep_state(store: Path, path: Path) -> Callable[[], None]:
    """Return a function that writes the state of a store."""
    return lambda: path.write_text(json.dumps(state(store), sort_keys=True))  # type: ignore[return-value]


Disturb = Callable[["Bench", int], tuple[bool, bool]]
"""Run a bench's command for the n-th time, disturbed → did it end well, is anything running."""


class Place:
    """A folder with the inputs, and copies of the stores in which commands begin."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "log.txt"
        self.inputs = root / "inputs"
        self.inputs.mkdir()
        write_inputs(self.inputs)
        os.environ["CLEARBENCH_STORE"] = str(root / "store")
        self.store = root / "store"

    def run(self, words: Sequence[str]) -> int:
        """Run a command to its end; returns its exit code."""
        return wait(forked(typed(words), self.inputs, self.log))

    def begin(self, start: Path) -> None:
        """Put the store back to the start of a command."""
        shutil.rmtree(self.store, ignore_errors=True)
        if start.exists():
            shutil.copytree(start, self.store)

    def state(self) -> str:
        """Return the state of the store as JSON."""
        path = self.root / "state.json"
        path.unlink(missing_ok=True)
        wait(forked(keep_state(self.store, path), self.inputs, self.log))
        return path.read_text() if path.is_file() else UNREADABLE


@dataclass(frozen=True)
class Bench:
    """A command, the store in which it begins, and what is right afterwards."""

    command: Command
    place: Place
    start: Path
    right: str
    seconds: float


def make_bench(command: Command, place: Place) -> Bench:
    """Run a command undisturbed, and keep the store from before it."""
    start = place.root / "start"
    shutil.rmtree(start, ignore_errors=True)
    shutil.rmtree(place.store, ignore_errors=True)
    for words in command.before:
        place.run(words)
    if place.store.exists():
        shutil.copytree(place.store, start)
    moment = time.monotonic()
    code = place.run(command.words)
    seconds = time.monotonic() - moment
    right = place.state()
    if right == UNREADABLE or code:
        said = place.log.read_text(encoding="utf-8")[-1500:]
        raise SystemExit(f"{command.name} fails undisturbed ({code}): {said}")
    return Bench(command, place, start, right, seconds)


def disturb_often(command: Command, disturb: Disturb, times: int, place: Place) -> Tally:
    """Disturb one command so many times; see the module."""
    bench, tally = make_bench(command, place), Tally()
    for number in range(times):
        place.begin(bench.start)
        moment = time.monotonic()
        done, running = disturb(bench, number)
        faults = faults_after(bench) | ({"running"} if running else set())
        tally.times += 1
        tally.done += done
        tally.found.update(faults)
        tally.longest_s = max(tally.longest_s, time.monotonic() - moment)
        if faults:
            kept = place.root.parent / f"fault-{command.name.replace(' ', '-')}-{number}"
            shutil.copytree(place.root, kept, dirs_exist_ok=True)
            print(f"{command.name}, {number}: {', '.join(sorted(faults))}; see {kept}")
    return tally


def faults_after(bench: Bench) -> set[str]:
    """Check a disturbed store, type the command again, and return what is wrong."""
    place, command, faults = bench.place, bench.command, set()
    if (place.store / "store.json").exists() and place.run(("store", "verify")):
        faults.add("damaged")
    if place.run(command.words) not in (0, command.done_before):
        faults.add("fails")
    if place.state() != bench.right:
        faults.add("differs")
    if find_drafts(place.store):
        faults.add("drafts")
    return faults


def killed(seed: str) -> Disturb:
    """Return what kills a command at a random moment."""
    rng = random.Random(seed)

    def kill(bench: Bench, number: int) -> tuple[bool, bool]:
        child = forked(typed(bench.command.words), bench.place.inputs, bench.place.log)
        time.sleep(rng.random() * bench.seconds)
        os.kill(child, (signal.SIGKILL, signal.SIGTERM)[number % 2])
        return wait(child) >= 0, left_running(child)

    return kill


def reader_killed(bench: Bench, number: int) -> tuple[bool, bool]:
    """Kill every reader once, as the kernel does when memory is full."""
    child = forked(typed(bench.command.words), bench.place.inputs, bench.place.log)
    end = time.monotonic() + 3 * bench.seconds
    while len(survivors(child)) < 3 and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.1 * number)
    for process in survivors(child):
        if process != child:
            os.kill(process, signal.SIGKILL)
    return wait(child) == 0, left_running(child)


def eight_writers(bench: Bench, _: int) -> tuple[bool, bool]:
    """Type the command eight times at once."""
    place = bench.place
    every = [forked(typed(bench.command.words), place.inputs, place.log) for _ in range(8)]
    codes = [wait(child) for child in every]
    return not any(codes), any(left_running(child) for child in every)


def small_files(bench: Bench, number: int) -> tuple[bool, bool]:
    """Let every write beyond some KiB fail, as on a full disk."""

    def run() -> None:
        room = 1024 * (1 + 4 * number)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        typed(bench.command.words)()

    # Its own log would be too large.
    child = forked(run, bench.place.inputs, bench.place.root / f"log-{number}.txt")
    return wait(child) == 0, left_running(child)


def small_disk(bench: Bench, number: int) -> tuple[bool, bool]:
    """Let the disk of the store be full after some KiB or MiB, and have more room afterwards."""
    place, kept = bench.place, bench.place.root / "kept"
    shutil.rmtree(place.store, ignore_errors=True)
    place.store.mkdir()
    size = used_kib(bench.start) + 64 * 4**number
    subprocess.run([*MOUNT, f"size={size}k", "store", place.store], check=True)
    try:
        if bench.start.exists():
            shutil.copytree(bench.start, place.store, dirs_exist_ok=True)
        child = forked(typed(bench.command.words), place.inputs, place.log)
        done, running = wait(child) == 0, left_running(child)
        shutil.copytree(place.store, kept)
    finally:
        subprocess.run(["umount", place.store], check=True)
    place.store.rmdir()
    kept.rename(place.store)
    return done, running


def used_kib(folder: Path) -> int:
    """Return how much a folder takes on a disk with blocks of 4 KiB."""
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
    return sum(4 * (path.stat().st_size // 4096 + 1) for path in files)


def may_mount() -> bool:
    """Tell whether a small disk can be mounted here: only root can, and not in every container."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*MOUNT, "size=64k", "try", folder]
        if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
            return False
        subprocess.run(["umount", folder], check=True)
    return True


def copied(bench: Bench, number: int) -> tuple[bool, bool]:
    """Copy the store while it is written, and go on with the copy."""
    place, copy = bench.place, bench.place.root / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    child = forked(typed(bench.command.words), place.inputs, place.log)
    time.sleep(bench.seconds * (0.3 + 0.1 * number))
    # As `cp -r` does: what vanishes meanwhile is left out.
    subprocess.run(["cp", "-r", place.store, copy], stderr=subprocess.DEVNULL, check=False)
    done = wait(child) == 0
    shutil.rmtree(place.store)
    if copy.exists():  # else the store wasn't there yet
        copy.rename(place.store)
    return done, left_running(child)


def clock_back(bench: Bench, number: int) -> tuple[bool, bool]:
    """Let every file of the store be of tomorrow, or of 1970, before the command runs again."""
    place = bench.place
    code = place.run(bench.command.words)
    moment = (time.time() + 86_400, 0.0)[number % 2]
    for path in place.store.rglob("*"):
        os.utime(path, (moment, moment))
    return code == 0, False


OTHERS: tuple[tuple[str, Command, Disturb], ...] = (
    ("readers are killed", READ, reader_killed),
    ("eight at once", COMMANDS[0], eight_writers),
    ("writes beyond some KiB fail", COMMANDS[0], small_files),
    (SMALL_DISK, READ, small_disk),
    (SMALL_DISK, EVALUATED, small_disk),
    ("the store is copied meanwhile", COMMANDS[0], copied),
    ("the clock goes back", COMMANDS[0], clock_back),
)


def run_all(options: argparse.Namespace, root: Path) -> dict[str, Tally]:
    """Kill every command its share of times, and disturb in the other ways; several at once."""
    torch.set_num_threads(1)  # a fork of a process with threads may hang
    work = chosen_work(options)

    def one(number: int) -> Tally:
        _, command, disturb, times = work[number]
        with folder(root / str(number)) as inner:
            return disturb_often(command, disturb, times, Place(inner))

    found = {}
    with forked_workers(options.jobs, one, len(work)) as tallies:
        for (name, *_), tally in zip(work, tallies, strict=True):
            found[name] = tally
            print(f"{name}: {tally}", flush=True)
    return found


def chosen_work(options: argparse.Namespace) -> list[tuple[str, Command, Disturb, int]]:
    """Return what is done: its name, the command, the disturbance, and how often."""
    wanted = options.only
    chosen = [each for each in COMMANDS if not wanted or each.name in wanted]
    work: list[tuple[str, Command, Disturb, int]] = []
    for number, command in enumerate(chosen):
        share = options.kills // len(chosen) + (number < options.kills % len(chosen))
        work.append((command.name, command, killed(f"{options.seed} {command.name}"), share))
    mounts = may_mount()
    for name, command, disturb in OTHERS:
        if (not wanted or name in wanted) and (mounts or name != SMALL_DISK):
            work.append((f"{command.name}: {name}", command, disturb, options.others))
    return [each for each in work if each[3]]


@contextmanager
def forked_workers(
    jobs: int, work: Callable[[int], Tally], count: int
) -> Iterator[Iterator[Tally]]:
    """Do numbered pieces of work in `jobs` forks, which share them out; yields what they return."""
    global WORK
    WORK = work  # forks inherit what can't be pickled
    with ProcessPoolExecutor(jobs, get_context("fork")) as pool:
        yield pool.map(call_work, range(count))


def call_work(number: int) -> Tally:
    """Do one piece of work."""
    done: Tally = WORK(number)
    return done


@contextmanager
def folder(root: Path) -> Iterator[Path]:
    """Give a folder that is removed afterwards."""
    path = root / "place"
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def report(found: dict[str, Tally], options: argparse.Namespace) -> str:
    """Write the table."""
    rows = [
        f"| `{name}` | {each.times} | {each.done} | "
        + " | ".join(str(each.found[fault]) for fault in FAULTS)
        + f" | {each.longest_s:.1f} |"
        for name, each in found.items()
    ]
    return "\n".join(
        [
            "# Killed and disturbed commands",
            "",
            f"`python benchmarks/faults.py --kills {options.kills} --others {options.others} "
            f"--seed {options.seed} --jobs {options.jobs}`",
            "",
            f"{options.kills} kills at random moments, SIGKILL and SIGTERM in turn, and other "
            f"faults {options.others} times each; {os.cpu_count()} cores, {options.jobs} at "
            f"once, {SCANS} synthetic scans. After each, `store verify` runs, and then the same "
            "command again. *Ended well*: before the kill, or in spite of the fault. *Differs*: "
            "something is lost or there twice. *Longest*: the fault, its check and the second run.",
            "",
            "| command | times | ended well | still running | damaged | fails again | differs "
            "| drafts left | longest, s |",
            f"|---|{'--:|' * 8}",
            *rows,
            "",
        ]
    )


def main() -> None:
    """Parse, kill, print; the exit code is 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--others", type=int, default=5, help="times for each other fault")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="commands at once")
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--work", type=Path, help="where stores with faults are kept")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        found = run_all(options, options.work or Path(temporary))
    text = report(found, options)
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    if any(each.found for each in found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
