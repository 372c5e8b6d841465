"""LeCL's networks: speed and memory of the selective scan, and speed of a training step.

    python benchmarks/networks.py [--quick] [--device cuda --batch 64 --workers 8] [-o REPORT.md]

1. VSSM (43 M parameters, 224 px, batch 4, float32): slices/s of the published step-by-step scan and
   of ours, in alternating turns in one process; peak memory of one slice, forward, and forward and
   backward, each in its own process (Linux).
2. One training step of each network (both views, momentum encoder, loss, optimiser, views made from
   HU slices), compared with forward + backward of the same images on prepared tensors.

On a GPU, 1 also runs mamba_ssm's kernel if it is installed, and memory is left out.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from clearbench.datasets.lesions.slice_sets import SliceRow, SliceSet, slice_set
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.device import has_bfloat16
from clearbench.encoders.nets import scan, vssm
from clearbench.encoders.nets.build import build_net
from clearbench.encoders.nets.sizes import check_sizes
from clearbench.encoders.registry import find_encoder
from clearbench.pretraining.data import EpochOrder, Pairs, loader
from clearbench.pretraining.distributed import Place
from clearbench.pretraining.loop import Work, new_state, train_step
from clearbench.pretraining.settings import PretrainSettings
from clearbench.pretraining.views import ViewMaker, find_augmentation

FULL = ("lecl-vit-base", "lecl-vssm-tiny", "lecl-gated-cnn-tiny")
MINI = ("lecl-vit-mini", "lecl-vssm-mini", "lecl-gated-cnn-mini")
BATCH = 4
TURNS = 3


@dataclass(frozen=True)
class Steps:
    """Device, number of view makers, and numbers of warm-up and measured training steps."""

    device: torch.device
    workers: int
    warm_up: int
    turns: int


def step_by_step(  # noqa: PLR0913  the letters of the formula
    x: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, delta_bias: Tensor
) -> Tensor:
    """Scan like published code without a kernel: all decays and inputs at once, then a loop.

    Has the arguments and result of selective_scan; works on [batch, groups × channels, length].
    """
    groups, channels = len(x), x.shape[3]
    u, step, b_all, c_all = (part.permute(1, 0, 3, 2) for part in (x, delta, b, c))
    step = functional.softplus(step.flatten(1, 2) + delta_bias.flatten()[:, None])
    u = u.flatten(1, 2)
    b_all, c_all = (part.repeat_interleave(channels, dim=1) for part in (b_all, c_all))
    decays = torch.exp(torch.einsum("bdl,dn->bdln", step, a.flatten(0, 1)))
    inputs = torch.einsum("bdl,bdnl,bdl->bdln", step, b_all, u)
    hidden = torch.zeros_like(decays[:, :, 0])
    found = []
    for decay, more, c_at in zip(decays.unbind(2), inputs.unbind(2), c_all.unbind(3), strict=True):
        hidden = decay * hidden + more
        found.append(torch.einsum("bdn,bdn->bd", hidden, c_at))
    out = torch.stack(found, dim=2) + u * d.flatten()[:, None]
    return out.unflatten(1, (groups, channels)).permute(1, 0, 3, 2)


def network_of(card: EncoderCard) -> torch.nn.Module:
    """Build a card's network with seeded random weights."""
    return build_net(check_sizes(card.net, card.sizes, card.title), card.seen.size_px, seed=0)


def rate(work: Callable[[], object], count: int) -> float:
    """Return the slices per second of some work."""
    settle()
    start = time.perf_counter()
    work()
    settle()
    return count / (time.perf_counter() - start)


def settle() -> None:
    """Wait until the GPU, if there is one, has finished."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def in_chunks(*inputs: Tensor) -> Tensor:
    """Scan with our code, even if mamba_ssm's kernel is installed."""
    kernel, scan.fused_kernel = scan.fused_kernel, lambda: None
    try:
        return scan.selective_scan(*inputs)
    finally:
        scan.fused_kernel = kernel


def scans_on(device: torch.device) -> dict[str, Callable[..., Tensor]]:
    """Return the scans that can run on a device by name; the published one is first."""
    found = {"published, step by step": step_by_step, "ours, in chunks": in_chunks}
    if device.type == "cuda" and scan.fused_kernel() is not None:
        found["mamba_ssm's kernel"] = scan.selective_scan
    return found


def compare_scans(device: torch.device) -> list[str]:
    """Run VSSM with each scan, in alternating turns."""
    network = network_of(find_encoder("lecl-vssm-tiny").card).eval().to(device)
    images = torch.randn(BATCH, 3, 224, 224).to(device)
    scans, rates, features = scans_on(device), defaultdict(list), {}
    with torch.inference_mode():
        for turn in range(TURNS + 1):  # the first warms up
            for name, function in scans.items():
                vssm.selective_scan = function
                found = rate(lambda: features.update({name: network(images)}), BATCH)  # noqa: B023
                rates[name] += [found] if turn else []
    vssm.selective_scan = scan.selective_scan
    first, *_ = scans
    slow, exact = median(rates[first]), features[first]
    cells = [
        f"| {name} | {median(found):.3g} | {median(found) / slow:.1f} | "
        f"{spread(found)} | {(features[name] - exact).abs().max().item():.1e} |"
        for name, found in rates.items()
    ]
    return [
        "## The selective scan",
        "",
        f"VSSM of `lecl-vssm-tiny`, 224 px, batch {BATCH}, float32, inference; median of {TURNS} "
        "turns.",
        "",
        "| scan | slices/s | ratio | every turn | largest difference of the features |",
        "|---|--:|--:|---|--:|",
        *cells,
        *(memory_rows() if device.type == "cpu" else []),
    ]


def memory_rows() -> list[str]:
    """Measure the memory of one slice with either scan, in separate processes."""
    rows = [
        f"| {title} | {peak(name, 'forward')} | {peak(name, 'backward')} |"
        for title, name in (("published, step by step", "published"), ("ours, in chunks", "ours"))
    ]
    head = "| scan | one slice forward, peak | forward + backward, peak |"
    return ["", head, "|---|--:|--:|", *rows]


def spread(rates: list[float]) -> str:
    """Write every measured rate."""
    return ", ".join(f"{value:.3g}" for value in rates)


def peak(name: str, direction: str) -> str:
    """Measure the added peak memory of one direction, in a separate process."""
    done = subprocess.run(
        [sys.executable, __file__, "--memory", name, direction],
        capture_output=True,
        text=True,
        check=True,
    )
    return f"{int(done.stdout.split()[-1]) / 1024:,.0f} MiB"


def use_memory(name: str, direction: str) -> None:
    """Run one direction once, and print the KiB of its peak above the memory in use before.

    Linux resets the peak (of importing and building) when 5 is written to clear_refs.
    """
    network = network_of(find_encoder("lecl-vssm-tiny").card)
    images = torch.randn(1, 3, 224, 224)
    if name == "published":
        vssm.selective_scan = step_by_step
    Path("/proc/self/clear_refs").write_text("5")
    before = status_kib("VmRSS")
    if direction == "forward":
        with torch.inference_mode():
            network(images)
    else:
        network(images).sum().backward()
    print(status_kib("VmHWM") - before)


def status_kib(name: str) -> int:
    """Read one number of this process's status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def some_slices(folder: Path, count: int) -> SliceSet:
    """Write a stack of random HU; every second slice has a box."""
    hu = np.random.default_rng(0).integers(-1000, 400, (count, 512, 512)).astype(np.int16)
    np.save(folder / "stack.npy", hu)
    rows = (
        SliceRow(str(index), "stack.npy", index, ((100.0, 100.0, 180.0, 160.0),) * (index % 2))
        for index in range(count)
    )
    return slice_set("noise", folder, rows)


def step_rates(name: str, batch: int, precision: str, place: Steps) -> tuple[float, float]:
    """Return slices/s of a training step, and of forward + backward alone."""
    card = find_encoder(name).card
    settings = replace(
        PretrainSettings(batch_size=batch, epochs=1, warmup_epochs=0), precision=precision
    )
    state = new_state(network_of(card), card.dim, settings, place.device)
    with tempfile.TemporaryDirectory() as folder:
        slices = some_slices(Path(folder), batch * (place.warm_up + place.turns))
        windows = ((-160.0, 240.0), (-1350.0, 150.0))
        maker = ViewMaker(card.seen.size_px, windows, find_augmentation("clear"))
        pairs = Pairs(slices, maker, 0)
        work = Work(
            pairs=pairs,
            probe=None,
            settings=settings,
            mean=card.seen.mean,
            std=card.seen.std,
            folder=Path(folder),
            device=place.device,
            place=Place(),
            workers=place.workers,
            on_event=print,
        )
        batches = iter(loader(pairs, EpochOrder(len(slices), batch, 0), place.workers))

        def steps(count: int) -> None:
            for given in islice(batches, count):
                train_step(state.moco, state, work, given, 0.0)

        steps(place.warm_up)
        whole = rate(lambda: steps(place.turns), batch * place.turns)
    images = torch.randn(2 * batch, 3, card.seen.size_px, card.seen.size_px).to(place.device)
    enabled = precision == "bfloat16"

    def bare() -> None:
        with torch.autocast(place.device.type, torch.bfloat16, enabled=enabled):
            found = state.moco.network(images)
        found.float().sum().backward()

    bare()
    return whole, median(rate(bare, batch) for _ in range(place.turns))


def compare_steps(
    names: tuple[str, ...], batch: int, precisions: tuple[str, ...], place: Steps
) -> list[str]:
    """Measure the training step of each network."""
    rows = []
    for name in names:
        for precision in precisions:
            whole, bare = step_rates(name, batch, precision, place)
            rows.append(
                f"| `{name}` | {precision} | {batch} | {whole:.3g} | {bare:.3g} | "
                f"{whole / bare:.2f} |"
            )
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


def machine(device: torch.device) -> str:
    """Return the machine's hardware and torch version."""
    cores = f"{os.cpu_count()} cores, {platform.machine()}"
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name()}, {cores}, torch {torch.__version__}."
    return f"{cores}, torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()})."


def measure(options: argparse.Namespace) -> list[str]:
    """Measure, and write the report."""
    device = torch.device(options.device)
    place = Steps(device, options.workers, *((4, 12) if device.type == "cuda" else (1, TURNS)))
    precisions = ("float32", "bfloat16") if has_bfloat16(device) else ("float32",)
    scans = compare_scans(device)
    print("\n".join(scans), file=sys.stderr, flush=True)
    steps = compare_steps(MINI, 64, ("float32",), place) if device.type == "cpu" else []
    steps += [] if options.quick else compare_steps(FULL, options.batch, precisions, place)
    return [
        "# LeCL's networks",
        "",
        f"`python benchmarks/networks.py{shown(options)}`",
        "",
        machine(device),
        "",
        *scans,
        "",
        "## One training step",
        "",
        "The step: two views made from 512 × 512 HU slices, base and momentum encoder, heads of "
        "4096, loss, AdamW. The bare network: forward + backward of as many images, without the "
        "momentum encoder's forward pass.",
        "",
        "| network | precision | batch | step, slices/s | bare, slices/s | step / bare |",
        "|---|---|--:|--:|--:|--:|",
        *steps,
        "",
    ]


def shown(options: argparse.Namespace) -> str:
    """Return the options of this report, without the output file."""
    words = " --quick" if options.quick else ""
    if options.device == "cpu":
        return words
    return f"{words} --device cuda --batch {options.batch} --workers {options.workers}"


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="leave out the steps of full-size networks"
    )
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8, help="batch size of the full-size networks")
    parser.add_argument("--workers", type=int, default=0, help="processes that make views")
    options = parser.parse_args()
    if options.memory:
        use_memory(*options.memory)
        return
    report = "\n".join(measure(options))
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
