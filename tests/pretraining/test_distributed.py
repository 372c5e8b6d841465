"""Many processes train as one, and a killed run loses nothing: as a user starts them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

CARDS = Path(__file__).resolve().parents[1] / "cards"
ROOT = CARDS.parents[1]
LINE_S = 120


def command(data: Path, folder: Path, net: str, **options: object) -> list[str]:
    """Return the arguments after `clearbench`."""
    card = "lecl-tiny" if net == "gated-cnn" else f"lecl-tiny-{net}"
    facts = {
        "net": net,
        "data": data,
        "like": CARDS / f"{card}.toml",
        "name": "own",
        "out": folder / "out",
        "registry": folder / "registry",
        "epochs": 3,
        "batch-size": 8,
        "lr": 1e-2,
        "warmup-epochs": 1,
        "temperature": 0.2,
        "hidden": 32,
        "projection": 16,
        "precision": "float32",
        "device": "cpu",
    } | options
    return [
        "pretrain",
        *(part for key, value in facts.items() for part in (f"--{key}", str(value))),
    ]


def environment() -> dict[str, str]:
    """Keep each process to one thread, so that sums are in one order."""
    return os.environ | {"OMP_NUM_THREADS": "1"}


def run(arguments: list[str], *, processes: int = 1) -> str:
    """Run to the end; returns what was said."""
    many = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    start = [*(many if processes > 1 else []), "-m", "clearbench"]
    done = subprocess.run(
        [sys.executable, *start, *arguments],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LINE_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("net", ["gated-cnn", "vit"])
def test_two_processes_train_as_one(small_deeplesion: Path, tmp_path: Path, net: str) -> None:
    """The same global batch: keys, lesion flags and batch norm are those of both processes.

    The rate is small, since Adam makes steps even of rounding (a ViT's key bias has no gradient).
    """
    facts = {"lr": 1e-4, "negatives": "other-patients"}
    run(command(small_deeplesion, tmp_path / "one", net, **facts))
    said = run(command(small_deeplesion, tmp_path / "two", net, **facts), processes=2)
    assert "× 2 processes" in said
    assert said.count("epoch 3/3") == 1
    one, two = (load_file(tmp_path / way / "registry/own.safetensors") for way in ("one", "two"))
    assert set(one) == set(two)
    for name, values in one.items():
        assert (values - two[name]).abs().max() < 2e-5, name


def test_a_batch_that_can_not_be_shared_is_refused(small_deeplesion: Path, tmp_path: Path) -> None:
    arguments = command(small_deeplesion, tmp_path, "gated-cnn", **{"batch-size": 9})
    many = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *many, "-m", "clearbench", *arguments],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LINE_S,
    )
    assert done.returncode != 0
    assert "9: must be a multiple of 2" in done.stderr
    assert not (tmp_path / "registry").exists()


def test_a_killed_run_goes_on_bit_for_bit(small_deeplesion: Path, tmp_path: Path) -> None:
    """kill -9 in the middle of training; a rerun ends with the very same weights."""
    facts = {"epochs": 40}
    run(command(small_deeplesion, tmp_path / "straight", "gated-cnn", **facts))
    arguments = command(small_deeplesion, tmp_path / "killed", "gated-cnn", **facts)
    process = subprocess.Popen(
        [sys.executable, "-m", "clearbench", *arguments],
        env=environment(),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "epoch 2/" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.stderr.close()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed/registry/own.toml").exists()
    said = run(arguments)
    assert "continuing after epoch" in said
    ends = [tmp_path / way / "registry/own.safetensors" for way in ("straight", "killed")]
    assert ends[0].read_bytes() == ends[1].read_bytes()
