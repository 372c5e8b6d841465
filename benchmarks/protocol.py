"""Error rates of the statistics: equal encoders through a whole evaluation, heads trained.

    python benchmarks/protocol.py [--trials 400] [--work FOLDER] [--only NAME …] [-o REPORT.md]

Each trial simulates a cohort of patients and the features of encoders of equal quality: the same
signal along different directions; half of a patient's noise is shared by all encoders, half is an
encoder's own. Cards, folds, heads, results and standings are those of clearbench, once
cross-validated and once trained on the cohort and tested on another. Every significant difference
is a false alarm. The truth that intervals should cover is the mean AUROC of all trials' heads on
patients that no head was trained or tested on. All data are synthetic.

A second run continues from the trials in `--work`. A trial is identified by its seed, so several
processes can divide them (--shard 1/2, --shard 2/2).
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from clearbench.board.standings import make_standings
from clearbench.cohort.table import Cohort
from clearbench.evaluation.bags.load import Bag
from clearbench.evaluation.protocol.encoder_data import make_encoder_data
from clearbench.evaluation.protocol.evaluate import Evaluation, evaluate_head
from clearbench.evaluation.protocol.one_head import HeadConfig
from clearbench.evaluation.protocol.retrained import with_retrained
from clearbench.evaluation.task.card import Split, Task, TaskCard
from clearbench.evaluation.task.prepared import PreparedTask, prepare_task
from clearbench.metrics import auroc
from clearbench.results.write import make_result, write_result
from clearbench.statistics.multiple_testing import ALPHA
from clearbench.store.records import EncoderRecord

Floats = NDArray[np.float32]

SLICES, SHARE_ILL, SHARED, CONTENT, SLICE_NOISE = 4, 1 / 3, 0.5, 6, 0.7
UNSEEN = 1000  # patients for the true AUROC


@dataclass(frozen=True)
class Scene:
    """One simulation: the head that the task declares, and the size of its training data."""

    head: str
    patients: int
    dim: int
    strength: float
    repeats: int
    encoders: int

    @property
    def name(self) -> str:
        """Return the name, also of files."""
        return f"{self.head}-{self.patients}-{self.dim}"


SCENES = (
    Scene("mean-logreg", 120, 16, 1.2, repeats=5, encoders=3),
    Scene("mean-logreg", 80, 256, 1.5, repeats=5, encoders=3),
    Scene("abmil", 100, 16, 1.2, repeats=2, encoders=2),
)


@dataclass(frozen=True)
class People:
    """Patients: ill [n] (0 or 1), features of each encoder [n, slices, dim]."""

    ill: NDArray[np.float64]
    features: tuple[Floats, ...]


def simulate_people(scene: Scene, count: int, rng: np.random.Generator) -> People:
    """Simulate patients and their features under every encoder."""
    ill = (rng.permutation(count) < round(SHARE_ILL * count)) * 1.0
    shared, content = rng.normal(size=count), rng.normal(size=(count, CONTENT))
    features = []
    for axes in directions(scene):
        own = rng.normal(size=count)
        signal = scene.strength * ill + sqrt(SHARED) * shared + sqrt(1 - SHARED) * own
        patient = signal[:, None] * axes[0] + content @ axes[1:]
        noise = SLICE_NOISE * rng.normal(size=(count, SLICES, scene.dim))
        features.append((patient[:, None] + noise).astype(np.float32))
    return People(ill, tuple(features))


def directions(scene: Scene) -> list[NDArray[np.float64]]:
    """Return each encoder's directions [1 + CONTENT, dim], at right angles and of length 1."""
    rng = np.random.default_rng(0)
    shape = (scene.dim, 1 + CONTENT)
    return [np.linalg.qr(rng.normal(size=shape))[0].T for _ in range(scene.encoders)]


def cohort_of(people: People, name: str) -> Cohort:
    """Make a table of patients with one scan each."""
    ids = [f"{name}{row:04}" for row in range(len(people.ill))]
    ill = [str(int(value)) for value in people.ill]
    columns = {"scan_id": ids, "patient_id": ids, "path": [""] * len(ids), "ill": ill}
    return Cohort(name, pa.table(columns))


def task_of(scene: Scene, seed: int, test: Sequence[str] = ()) -> Task:
    """Make the task: folds by default, or a test on another cohort."""
    split = Split(test=tuple(test)) if test else Split(repeats=scene.repeats, seed=seed)
    card = TaskCard(
        title="Simulated", version=1, cohort="own", target="binary", labels=("ill",),
        head=scene.head, split=split,
    )  # fmt: skip
    return Task(name="external" if test else "folds", card=card, sha256="0" * 64)


def evaluate(
    scene: Scene, prepared: PreparedTask, people: dict[str, People]
) -> Iterator[Evaluation]:
    """Train and score every encoder."""
    for number in range(scene.encoders):
        bags = []
        for scan in (scans[0] for scans in prepared.units.scans):
            bag = people[scan[:-4]].features[number][int(scan[-4:])]
            bags.append(Bag(bag, (scan,) * SLICES, np.arange(SLICES, dtype=np.int32), ("v",) * 4))
        record = EncoderRecord(
            f"e{number}", f"{number}" * 64, scene.dim, ("v",), "float32", "float32", "w"
        )
        data = make_encoder_data(prepared, record, prepared.units, tuple(bags), precision="float32")
        config = HeadConfig(scene.head, seeds=1, keep_heads=True)
        yield with_retrained(evaluate_head(data, config), data, config)


def run_trial(scene: Scene, seed: int) -> dict[str, object]:
    """Simulate once; returns p of every pair, whether any pair is significant, and intervals."""
    rng = np.random.default_rng([scene.dim, seed])
    people = {name: simulate_people(scene, scene.patients, rng) for name in ("own", "other")}
    unseen = simulate_people(scene, UNSEEN, rng)
    own, other = (cohort_of(each, name) for name, each in people.items())
    found: dict[str, object] = {"seed": seed}
    for split in ("folds", "external"):
        task = task_of(scene, seed, ("other",) if split == "external" else ())
        prepared = prepare_task(task, own, other if split == "external" else None)
        evaluations = list(evaluate(scene, prepared, people))
        found[split] = board_facts(evaluations) | {
            "truth": [true_auroc(each, unseen, n) for n, each in enumerate(evaluations)]
        }
    return found


def board_facts(evaluations: Sequence[Evaluation]) -> dict[str, object]:
    """Return the comparisons and intervals of the board."""
    with tempfile.TemporaryDirectory() as folder:
        results = []
        for evaluation in evaluations:
            plain = make_result(evaluation, None)
            path = write_result(plain, evaluation, Path(folder))
            results.append(replace(plain, path=str(path)))
        standings = make_standings(results)
    assert standings is not None  # noqa: S101  every result has a score and predictions
    scores = [result.score() for result in results]
    return {
        "p": [pair.difference.p for pair in standings.pairs],
        "any": any(pair.separable for pair in standings.pairs),
        "gap": [[pair.difference.low, pair.difference.high] for pair in standings.pairs],
        "value": [score["value"] for score in scores],
        "low": [score["low"] for score in scores],
        "high": [score["high"] for score in scores],
    }


def true_auroc(evaluation: Evaluation, unseen: People, number: int) -> float:
    """Return the mean AUROC of an evaluation's heads on unseen patients."""
    bags, once = list(unseen.features[number]), np.ones((1, UNSEEN))
    heads = [each.head for each in evaluation.fold_results if each.head is not None]
    return float(np.mean([auroc(unseen.ill, h.scores(bags)[:, 0], once)[0] for h in heads]))


def share(hits: Sequence[Sequence[bool]]) -> str:
    """Write how often something holds, given for each trial, with its Monte Carlo error."""
    each = np.array([np.mean(one) for one in hits])
    return f"{each.mean():.1%} ± {each.std(ddof=1) / sqrt(len(each)):.1%}"


def rows_of(scene: Scene, trials: Sequence[dict]) -> list[str]:
    """Write a scene's lines of the report, one per split."""
    lines = []
    for split, title in (("folds", f"5 × {scene.repeats} folds"), ("external", "external test")):
        each = [trial[split] for trial in trials]
        truth = float(np.mean([t["truth"] for t in each]))
        ends = [zip(t["low"], t["high"], strict=True) for t in each]
        shares = (
            [[p < ALPHA for p in t["p"]] for t in each],
            [[low <= 0 <= high for low, high in t["gap"]] for t in each],
            [[low <= truth <= high for low, high in pairs] for pairs in ends],
        )
        family = ([[t["any"]] for t in each], [[min(t["p"]) < ALPHA] for t in each])
        several = scene.encoders > 2
        lines.append(
            f"| {scene.head} | {scene.patients} × {scene.dim} | {title} | {truth:.3f} | "
            + " | ".join(map(share, shares))
            + " | "
            + (" | ".join(map(share, family)) if several else "– | –")
            + f" | {len(trials)} |"
        )
    return lines


HEADER = (
    "| head | patients × dim | test | AUROC | false alarms (5 %) | difference covered (95 %) "
    "| score covered (95 %) | any of three pairs, Holm (≤ 5 %) | any, without Holm | trials |"
)


def report(work: Path) -> str:
    """Write the report on all trials so far."""
    lines = [
        "# Error rates of a whole evaluation",
        "",
        "`python benchmarks/protocol.py`",
        "",
        "Encoders of equal quality, synthetic features, heads trained; shares of trials ± their "
        f"Monte Carlo error. {os.cpu_count()} cores, torch {torch.__version__}. *False alarms*: p "
        "of a pair under 5 %, over all pairs of a trial. *Difference covered*: its 95 % interval "
        "covers 0. *Score covered*: the 95 % interval of an encoder's AUROC covers the mean AUROC "
        "over training sets.",
        "",
        HEADER,
        f"|---|---|---|{'--:|' * 7}",
    ]
    for scene in SCENES:
        trials = read_trials(work, scene)
        lines += rows_of(scene, trials) if trials else []
    return "\n".join([*lines, ""])


def read_trials(work: Path, scene: Scene) -> list[dict]:
    """Read all trials of a scene."""
    found = {}
    for path in sorted(work.glob(f"{scene.name}.*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            trial = json.loads(line)
            found[trial["seed"]] = trial
    return [found[seed] for seed in sorted(found)]


def main() -> None:
    """Parse, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--only", nargs="+", choices=[s.name for s in SCENES], default=[])
    parser.add_argument("--shard", default="1/1")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    number, parts = map(int, options.shard.split("/"))
    torch.set_num_threads(max(1, torch.get_num_threads() // parts))
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        for scene in SCENES:
            if options.only and scene.name not in options.only:
                continue
            done = {trial["seed"] for trial in read_trials(work, scene)}
            start = time.perf_counter()
            for seed in range(number - 1, options.trials, parts):
                if seed in done:
                    continue
                trial = run_trial(scene, seed)
                with (work / f"{scene.name}.{number}of{parts}.jsonl").open("a") as file:
                    file.write(json.dumps(trial) + "\n")
                if seed % 20 < parts:
                    print(f"{scene.name}: {seed}, {time.perf_counter() - start:.0f} s", flush=True)
        text = report(work)
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
