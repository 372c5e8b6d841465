"""Many heads at once against one head after another: the same heads, the same steps.

    python benchmarks/heads.py [--seeds N] [--device cuda] [-o REPORT.md]

400 bags × 128 instances × 768, 8 labels, 5 folds × 5 seeds, 32 epochs of batches of 16, without
early stopping. (a) one head after another in float32, as a plain loop over folds and seeds: one
standardised copy per fold, all cores on each operation. (b) clearbench: instances in memory once,
many heads at once, bfloat16 where the processor multiplies it. (c) the same in float32. Features
are synthetic: a tenth of each bag is shifted for each positive label.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from clearbench.arrays import Floats
from clearbench.encoders.device import has_bfloat16
from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.heads.nets.attention import AttentionMIL
from clearbench.evaluation.heads.parallel import choose_parallelism, run_parallel
from clearbench.evaluation.heads.presets import PRESETS
from clearbench.evaluation.heads.targets import make_targets
from clearbench.evaluation.heads.training import LabelledBags, run_net, train_net
from clearbench.metrics import auroc

BAGS, INSTANCES, DIM, LABELS, FOLDS = 400, 128, 768, 8, 5
EPOCHS, BATCH, HIDDEN = 32, 16, 256
LEARNING_RATE, WEIGHT_DECAY = 3e-4, 1e-2

Scores = dict[tuple[int, int], Floats]  # by fold and seed


def some_bags() -> tuple[list[NDArray[np.float32]], Floats]:
    """Return random bags and labels; a tenth of a bag's instances is shifted by its labels."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (BAGS, LABELS)).astype(float)
    directions = rng.normal(size=(LABELS, DIM)) / np.sqrt(DIM)
    bags = []
    for row in truth:
        bag = rng.normal(size=(INSTANCES, DIM))
        bag[: INSTANCES // 10] += 1.5 * (row @ directions)
        bags.append(bag.astype(np.float32))
    return bags, truth


class PlainHead(nn.Module):
    """CLEAR's head in layers of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(DIM, HIDDEN), nn.ReLU())
        self.aggregator = nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1))
        self.head = nn.Sequential(
            nn.LayerNorm(HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Dropout(0.5), nn.SiLU(),
            nn.Linear(HIDDEN, LABELS),
        )  # fmt: skip

    def forward(self, bags: torch.Tensor) -> torch.Tensor:
        """Classify a batch of bags of one length."""
        instances = self.encoder(bags)
        attention = torch.softmax(self.aggregator(instances).squeeze(-1), dim=1)
        return self.head(torch.einsum("bn,bnd->bd", attention, instances))


def one_after_another(
    bags: list[NDArray[np.float32]], truth: Floats, seeds: int, device: torch.device
) -> Scores:
    """Train each head alone, in float32."""
    whole = torch.tensor(np.stack(bags), device=device)
    labels = torch.tensor(truth, dtype=torch.float32, device=device)
    found = {}
    for fold in range(FOLDS):
        test = torch.arange(BAGS, device=device) % FOLDS == fold
        train = whole[~test]
        mean, spread = train.mean(dim=(0, 1)), train.std(dim=(0, 1))
        standard = (whole - mean) / spread
        for seed in range(seeds):
            found[fold, seed] = one_head(standard, labels, test, seed)
    return found


def one_head(features: torch.Tensor, labels: torch.Tensor, test: torch.Tensor, seed: int) -> Floats:
    """Train one head, and score its test bags."""
    torch.manual_seed(seed)
    net, rows = PlainHead().to(features.device), torch.nonzero(~test).squeeze(1)
    positive = labels[rows].mean(dim=0)
    weights = (1 - positive) / positive
    optimiser = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    for _ in range(EPOCHS):
        for batch in rows[torch.randperm(len(rows), device=rows.device)].split(BATCH):
            loss = functional.binary_cross_entropy_with_logits(
                net(features[batch]), labels[batch], pos_weight=weights
            )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
    net.eval()
    with torch.inference_mode():
        return net(features[test]).sigmoid().double().cpu().numpy()


def parallel(
    bags: list[NDArray[np.float32]],
    truth: Floats,
    seeds: int,
    device: torch.device,
    dtype: torch.dtype,
) -> Scores:
    """Train all heads as an evaluation does."""
    instances, targets = (
        BagSet.of(bags, device=device, dtype=dtype),
        make_targets("multilabel", truth),
    )
    preset = replace(
        PRESETS["default"],
        steps=1,
        passes=EPOCHS,
        batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
    )

    def job(fold: int, seed: int) -> Floats:
        test = np.arange(BAGS) % FOLDS == fold
        parts = [np.flatnonzero(side) for side in (~test, test)]
        train = LabelledBags(instances.take(parts[0]), targets.take(parts[0]))
        trained = train_net(AttentionMIL, train, None, preset, 1000 * fold + seed)
        logits = run_net(trained, instances.take(parts[1])).logits
        return logits.sigmoid().cpu().double().numpy()

    runs = list(product(range(FOLDS), range(seeds)))
    jobs = [partial(job, *run) for run in runs]
    done = dict(run_parallel(jobs, choose_parallelism(len(jobs), device)))
    return {run: done[number] for number, run in enumerate(runs)}


def mean_auroc(scores: Scores, truth: Floats) -> float:
    """Return the mean AUROC over labels, folds and seeds."""
    once = np.ones((1, BAGS // FOLDS))
    return float(
        np.mean(
            [
                auroc(truth[np.arange(BAGS) % FOLDS == fold, label], found[:, label], once)[0]
                for (fold, _), found in scores.items()
                for label in range(LABELS)
            ]
        )
    )


def timed(work: Callable[[], Scores]) -> tuple[float, Scores]:
    """Return seconds and scores."""
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def multiply_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Return GFLOP/s of the head's largest product, on one core or on the GPU."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    left = torch.randn(BATCH * INSTANCES, DIM).to(device, dtype)
    right = torch.randn(HIDDEN, DIM).to(device, dtype)
    best = min(_seconds(lambda: functional.linear(left, right), device) for _ in range(20))
    torch.set_num_threads(threads)
    return 2 * BATCH * INSTANCES * DIM * HIDDEN / best / 1e9


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Time one call."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def machine(device: torch.device) -> str:
    """Return the machine in words."""
    capability = torch.backends.cpu.get_cpu_capability()
    cores = f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}"
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name()}, {cores}, torch {torch.__version__}"
    if torch.cpu._is_amx_tile_supported():
        capability += ", AMX"
    return f"{cores}, torch {torch.__version__} ({capability})"


def measure(seeds: int, device: torch.device, command: str) -> str:
    """Train by every method, and write the report."""
    bags, truth = some_bags()
    methods: dict[str, Callable[[], Scores]] = {
        "(a) one head after another, float32": lambda: one_after_another(bags, truth, seeds, device)
    }
    rates = f"float32 {multiply_rate(torch.float32, device):.0f}"
    if has_bfloat16(device):
        rates += f", bfloat16 {multiply_rate(torch.bfloat16, device):.0f}"
        methods["(b) many at once, bfloat16"] = lambda: parallel(
            bags, truth, seeds, device, torch.bfloat16
        )
    methods["(c) many at once, float32"] = lambda: parallel(
        bags, truth, seeds, device, torch.float32
    )
    rows, first = [], 0.0
    for name, work in methods.items():
        seconds, scores = timed(work)
        print(f"{name}: {seconds:.0f} s", file=sys.stderr, flush=True)
        first = first or seconds
        rows.append(
            f"| {name} | {seconds:.0f} | {first / seconds:.2f} | {mean_auroc(scores, truth):.4f} |"
        )
    return "\n".join(
        [
            "# Heads: many at once",
            "",
            f"`{command}`",
            "",
            f"{BAGS} bags × {INSTANCES} × {DIM} (synthetic), {LABELS} labels, {FOLDS} folds × "
            f"{seeds} seeds, {EPOCHS} epochs; {machine(device)}. The head's largest product, "
            f"GFLOP/s on {'the GPU' if device.type == 'cuda' else 'one core'}: {rates}.",
            "",
            "| method | seconds | × (a) | mean AUROC |",
            "|---|--:|--:|--:|",
            *rows,
            "",
        ]
    )


def shown(options: argparse.Namespace) -> list[str]:
    """Return the options that make this report, without the output."""
    words = [] if options.seeds == 5 else ["--seeds", str(options.seeds)]
    return words + ([] if options.device == "cpu" else ["--device", options.device])


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    command = " ".join(["python benchmarks/heads.py", *shown(options)])
    report = measure(options.seeds, torch.device(options.device), command)
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
