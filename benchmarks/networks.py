"""LeCL's networks: the selective scan against the published way, and what a training step costs.

    python benchmarks/networks.py [--quick] [-o REPORT.md]

1. VSSM (43 M parameters, 224 px, batch 4, float32): slices/s of the published step-by-step scan and
   of ours, turn by turn in one process; what one slice adds to memory at the peak, forward, and
   forward and backward, each in a process of its own (Linux).
2. One training step of each network (both views, momentum encoder, loss, optimiser, views made from
   HU slices) against the bare forward + backward of the same images on ready tensors.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from clearbench.datasets.slice_sets import SliceRow, SliceSet, slice_set
from clearbench.encoders.nets import vssm
from clearbench.encoders.nets.build import build_net
from clearbench.encoders.nets.sizes import check_sizes
from clearbench.encoders.registry import EncoderCard, find_encoder
from clearbench.pretraining.data import EpochOrder, Pairs, loader
from clearbench.pretraining.distributed import Place
from clearbench.pretraining.loop import Work, new_state, train_step
from clearbench.pretraining.settings import PretrainSettings
from clearbench.pretraining.views import ViewMaker, find_augmentation

FULL = ("lecl-vit-base", "lecl-vssm-tiny", "lecl-gated-cnn-tiny")
MINI = ("lecl-vit-mini", "lecl-vssm-mini", "lecl-gated-cnn-mini")
BATCH = 4
TURNS = 3


def step_by_step(  # noqa: PLR0913  the letters of the formula
    x: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, delta_bias: Tensor
) -> Tensor:
    """Scan as published fallbacks do: decays and inputs of all positions at once, then a loop.

    Takes and returns what selective_scan does; works on [batch, groups × channels, length].
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
    return build_net(check_sizes(card.net, card.sizes, card.title), card.input.size_px, seed=0)


def rate(work: Callable[[], object], count: int) -> float:
    """Return how many slices a second some work does."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def compare_scans() -> list[str]:
    """Run VSSM with both scans, turn by turn."""
    network = network_of(find_encoder("lecl-vssm-tiny").card).eval()
    images = torch.randn(BATCH, 3, 224, 224)
    ours = vssm.selective_scan
    rates: dict[str, list[float]] = {"published": [], "ours": []}
    with torch.inference_mode():
        network(images)
        for _ in range(TURNS):
            for name, scan in (("published", step_by_step), ("ours", ours)):
                vssm.selective_scan = scan
                rates[name].append(rate(lambda: network(images), BATCH))
        vssm.selective_scan = step_by_step
        expected = network(images)
        vssm.selective_scan = ours
        difference = (network(images) - expected).abs().max().item()
    slow, fast = (median(rates[name]) for name in ("published", "ours"))
    return [
        "## The selective scan",
        "",
        f"VSSM of `lecl-vssm-tiny`, 224 px, batch {BATCH}, float32, inference; median of {TURNS} "
        "turns.",
        "",
        "| scan | slices/s | ratio | one slice forward, peak | forward + backward, peak |",
        "|---|--:|--:|--:|--:|",
        f"| published, step by step | {slow:.3f} | 1.0 | {peak('published', 'forward')} | "
        f"{peak('published', 'backward')} |",
        f"| ours, in chunks | {fast:.2f} | {fast / slow:.1f} | {peak('ours', 'forward')} | "
        f"{peak('ours', 'backward')} |",
        "",
        f"Every turn: published {spread(rates['published'])}; ours {spread(rates['ours'])}. "
        f"Largest difference of the features: {difference:.1e}.",
    ]


def spread(rates: list[float]) -> str:
    """Show every measured rate."""
    return ", ".join(f"{value:.3g}" for value in rates)


def peak(scan: str, way: str) -> str:
    """Measure in a process of its own how much memory one way adds at its peak."""
    done = subprocess.run(
        [sys.executable, __file__, "--memory", scan, way],
        capture_output=True,
        text=True,
        check=True,
    )
    return f"{int(done.stdout.split()[-1]) / 1024:,.0f} MiB"


def use_memory(scan: str, way: str) -> None:
    """Run one way once, and print by how many KiB its peak lies above what was in use before.

    The kernel forgets the peak of importing and building when 5 is written to clear_refs (Linux).
    """
    network = network_of(find_encoder("lecl-vssm-tiny").card)
    images = torch.randn(1, 3, 224, 224)
    if scan == "published":
        vssm.selective_scan = step_by_step
    Path("/proc/self/clear_refs").write_text("5")
    before = status_kib("VmRSS")
    if way == "forward":
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
    """Write a stack of synthetic HU noise, every second slice with a box."""
    hu = np.random.default_rng(0).integers(-1000, 400, (count, 512, 512)).astype(np.int16)
    np.save(folder / "stack.npy", hu)
    rows = (
        SliceRow(str(index), "stack.npy", index, ((100.0, 100.0, 180.0, 160.0),) * (index % 2))
        for index in range(count)
    )
    return slice_set("noise", folder, rows)


def step_rates(name: str, batch: int, precision: str) -> tuple[float, float]:
    """Return slices/s of a training step, and of the bare forward + backward."""
    card = find_encoder(name).card
    settings = replace(
        PretrainSettings(batch_size=batch, epochs=1, warmup_epochs=0), precision=precision
    )
    device = torch.device("cpu")
    state = new_state(network_of(card), card.dim, settings, device)
    with tempfile.TemporaryDirectory() as folder:
        slices = some_slices(Path(folder), batch * (TURNS + 1))
        windows = ((-160.0, 240.0), (-1350.0, 150.0))
        maker = ViewMaker(card.input.size_px, windows, find_augmentation("clear"))
        pairs = Pairs(slices, maker, 0)
        work = Work(
            pairs=pairs,
            probe=None,
            settings=settings,
            mean=card.input.mean,
            std=card.input.std,
            folder=Path(folder),
            device=device,
            place=Place(),
            workers=0,
            on_event=print,
        )
        batches = iter(loader(pairs, EpochOrder(len(slices), batch, 0), 0))
        train_step(state.moco, state, work, next(batches), 0.0)
        whole = [
            rate(lambda: train_step(state.moco, state, work, next(batches), 0.0), batch)
            for _ in range(TURNS)
        ]
    images = torch.randn(2 * batch, 3, card.input.size_px, card.input.size_px)
    enabled = precision == "bfloat16"

    def bare() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found = state.moco.network(images)
        found.float().sum().backward()

    bare()
    return median(whole), median(rate(bare, batch) for _ in range(TURNS))


def compare_steps(names: tuple[str, ...], batch: int, precisions: tuple[str, ...]) -> list[str]:
    """Measure the training step of each network."""
    rows = []
    for name in names:
        for precision in precisions:
            whole, bare = step_rates(name, batch, precision)
            rows.append(
                f"| `{name}` | {precision} | {batch} | {whole:.2f} | {bare:.2f} | "
                f"{whole / bare:.2f} |"
            )
    return rows


def measure(quick: bool) -> str:
    """Measure, and write the report."""
    has_bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    precisions = ("float32", "bfloat16") if has_bf16 else ("float32",)
    scans = compare_scans()
    steps = compare_steps(MINI, 64, ("float32",))
    steps += [] if quick else compare_steps(FULL, 8, precisions)
    capability = torch.backends.cpu.get_cpu_capability()
    return "\n".join(
        [
            "# LeCL's networks",
            "",
            f"`python benchmarks/networks.py{' --quick' if quick else ''}`",
            "",
            f"{os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__} "
            f"({capability}).",
            "",
            *scans,
            "",
            "## One training step",
            "",
            "The step: two views made from 512 × 512 HU slices, base and momentum encoder, heads "
            "of 4096, loss, AdamW. The bare network: forward + backward of as many images, "
            "without the momentum encoder's forward pass.",
            "",
            "| network | precision | batch | step, slices/s | bare, slices/s | step / bare |",
            "|---|---|--:|--:|--:|--:|",
            *steps,
            "",
        ]
    )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave the full sizes' steps out")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    if options.memory:
        use_memory(*options.memory)
        return
    report = measure(options.quick)
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
