"""The recipe by which heads are trained and calibrated, chosen on simulated and synthetic bags.

    python benchmarks/head_recipe.py [--trials 2] [--work FOLDER] [--only NAME …] [-o REPORT.md]

Candidates, with the recipe of version 0.2 ("before"), on the same bags. A scene simulates patients:
a bag's slices share half of their variance, over LATENT directions whose variances fall as in the
features of networks; ill patients are shifted along one of them all, in every slice or in some.
Trained on the scene's patients, a fifth of them for tuning, and tested on TEST others. Every head
is trained from SEEDS seeds. The synthetic tasks are those of `clearbench demo`, by five folds; and
on the features of a random network, which no simulated scene resembles, with many more patients.

A second run continues from what is in `--work`. No real scan is used.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clearbench import pipeline
from clearbench.datasets.synthetic import write_cohort
from clearbench.evaluation.bags.bagset import BagSet
from clearbench.evaluation.heads.calibration import Calibration
from clearbench.evaluation.heads.estimator import strata_of
from clearbench.evaluation.heads.mil import MILClassifier, find_net
from clearbench.evaluation.heads.presets import PRESETS, Preset
from clearbench.evaluation.heads.targets import make_targets
from clearbench.evaluation.heads.training import (
    LabelledBags,
    loss_on,
    run_net,
    train_net,
    weights_of,
)
from clearbench.evaluation.protocol.loaded_task import load_task
from clearbench.evaluation.task.splits import stratify
from clearbench.metrics.calibration_line import calibration_line
from clearbench.metrics.order import auroc

Floats = NDArray[np.float64]
Facts = dict[str, Any]  # one candidate on one trial of one scene

LATENT, ALIKE, NOISE = 48, 0.5, 0.05
TEST, SEEDS, FOLDS = 400, 2, 5
DEMO_TASKS = ("synthetic-lesion-location", "synthetic-lung-disease", "synthetic-stage")
DEMO_MODELS = ("efficientnet-lite0", "random-vit-tiny")


@dataclass(frozen=True)
class Scene:
    """Patients to simulate, and the head that is trained on them.

    slices    fewest and most slices of a bag
    strength  how far the ill are shifted, in standard deviations of a direction
    share     of the patients who are ill
    shown     share of an ill patient's slices that show it
    decay     variances of the directions fall as k to the power of -decay
    """

    name: str
    patients: int
    dim: int
    slices: tuple[int, int]
    strength: float
    share: float = 0.4
    shown: float = 1.0
    decay: float = 1.0
    rectified: bool = False
    target: str = "binary"
    net: str = "abmil"


SPARSE = Scene("sparse", 150, 384, (40, 80), 2.5, shown=0.1)
SMALL = Scene("small", 40, 64, (6, 12), 1.5)
VOLUME = Scene("one instance", 120, 512, (1, 1), 1.6)
RARE = Scene("rare", 200, 256, (10, 30), 1.2, share=0.1)
SCENES = (
    Scene("no signal", 65, 512, (20, 40), 0.0),
    Scene("weak", 100, 768, (20, 40), 0.8),
    Scene("head CT", 65, 1280, (28, 38), 2.4, shown=0.3, rectified=True),
    Scene("random network", 65, 192, (28, 38), 1.3, decay=2.5),
    RARE,
    SMALL,
    Scene("strong", 120, 768, (10, 30), 3.0, rectified=True),
    VOLUME,
    SPARSE,
    Scene("large", 1000, 256, (8, 16), 1.0),
    Scene("three classes", 120, 256, (10, 30), 1.6, target="multiclass"),
    Scene("four labels", 120, 256, (10, 30), 1.2, target="multilabel"),
    Scene("three stages", 120, 256, (10, 30), 1.6, target="ordinal"),
    *(
        replace(scene, name=f"{scene.name}, {net}", net=net)
        for net in ("gated-abmil", "transformer", "max-pool")
        for scene in (SPARSE, SMALL, RARE)
    ),
)
HEADED = tuple(scene.name for scene in SCENES if scene.net != "abmil")
OTHER_TARGETS = tuple(scene.name for scene in SCENES if scene.target != "binary")
RANDOM_MODEL, RANDOM_PATIENTS, RANDOM_TRAINED, RANDOM_TRIALS = "random-vit-tiny", 360, 65, 6
RANDOM_TASKS = (("synthetic-lung-disease", "lung_disease"), ("synthetic-lesion-location", "liver"))
RANDOM = tuple(f"{label}, {RANDOM_MODEL}" for _, label in RANDOM_TASKS)
DEMO = tuple(f"{task}, {model}" for task, model in product(DEMO_TASKS, DEMO_MODELS))
BLIND = ("no signal",)  # AUROC of 0.5 by design


def recipe(rate: float, steps: int, networks: int, passes: float = 2) -> Preset:
    """Return a candidate."""
    default = PRESETS["default"]
    return replace(default, learning_rate=rate, steps=steps, networks=networks, passes=passes)


DEFAULT, LONGER = "1e-3 × 90 steps × 2 networks", "1e-3 × 100 steps × 2 networks"
SHORTER = "1e-3 × 60 steps × 3 networks"
CANDIDATES = {
    "1e-3 × 60 steps × 1 network": recipe(1e-3, 60, 1),
    SHORTER: recipe(1e-3, 60, 3),
    DEFAULT: recipe(1e-3, 90, 2),
    LONGER: recipe(1e-3, 100, 2),
    "1e-3 × 140 steps × 1 network": recipe(1e-3, 140, 1),
    "1e-3 × 40 steps × 5 networks": recipe(1e-3, 40, 5),
    "2e-3 × 40 steps × 3 networks": recipe(2e-3, 40, 3),
    "3e-4 × 100 steps × 2 networks": recipe(3e-4, 100, 2),
}
BEFORE = "before: 2 × 2 settings × 100 steps"


@dataclass(frozen=True)
class Data:
    """Bags with their targets: those to train and tune on, and those to test on."""

    train: LabelledBags
    tune: LabelledBags
    test: LabelledBags
    classes: int = 3


def simulate(scene: Scene, trial: int) -> Data:
    """Simulate a scene's patients; the same for every candidate."""
    rng = np.random.default_rng([trial, *scene.name.partition(",")[0].encode()])
    basis = np.linalg.qr(rng.normal(size=(scene.dim, LATENT)))[0].T
    scale = np.arange(1, LATENT + 1) ** (-scene.decay / 2)
    basis *= (scale * np.sqrt(LATENT / np.square(scale).sum()))[:, None]
    axes = rng.normal(size=(4, LATENT))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    count = scene.patients + TEST
    values = labels_of(scene, rng)
    bags = [one_bag(scene, shift, basis, rng) for shift in shifts_of(scene, values, axes)]
    every, targets = BagSet.of(bags), make_targets(scene.target, values, 3)
    part = stratify(strata_of(targets.take(np.arange(scene.patients))), 5, trial)
    rows = (np.flatnonzero(part != 0), np.flatnonzero(part == 0), np.arange(scene.patients, count))
    return Data(*(LabelledBags(every.take(side), targets.take(side)) for side in rows))


def labels_of(scene: Scene, rng: np.random.Generator) -> Floats:
    """Draw the labels of the scene's patients and of the test patients, as frequent in both."""
    sides = []
    for count in (scene.patients, TEST):
        if scene.target == "multilabel":
            shares = np.array([0.4, 0.4, 0.15, 0.4])
            sides.append((rng.random((count, 4)) < shares) * 1.0)
        elif scene.target in ("multiclass", "ordinal"):
            sides.append(rng.choice(3, (count, 1), p=[0.5, 0.3, 0.2]) * 1.0)
        else:
            ill = rng.permutation(count) < round(scene.share * count)
            sides.append(ill[:, None] * 1.0)
    return np.concatenate(sides)


def shifts_of(scene: Scene, values: Floats, axes: Floats) -> Floats:
    """Return how far each patient is shifted along each direction [patients, LATENT]."""
    if scene.target == "multiclass":
        return scene.strength * np.vstack([np.zeros(LATENT), axes[:2]])[values[:, 0].astype(int)]
    # Of four labels the last has no signal; a stage is shifted as far as it is high.
    strength = scene.strength * np.array([1.0, 2.0, 1.0, 0.0])[: values.shape[1]]
    return (values * strength) @ axes[: values.shape[1]]


def one_bag(
    scene: Scene, shift: Floats, basis: Floats, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Simulate one patient's slices [n, dim]."""
    n = int(rng.integers(scene.slices[0], scene.slices[1] + 1))
    shown = rng.random(n) < scene.shown
    shown[rng.integers(n)] = True
    patient, slices = rng.normal(size=LATENT), rng.normal(size=(n, LATENT))
    latent = np.sqrt(ALIKE) * patient + np.sqrt(1 - ALIKE) * slices + shown[:, None] * shift
    features = latent @ basis + NOISE * rng.normal(size=(n, scene.dim))
    if scene.rectified:
        features = np.maximum(features * np.sqrt(scene.dim / LATENT) + 0.3, 0)
    return features.astype(np.float32)


class Before(MILClassifier):
    """The head of version 0.2: four settings, the best on the tuning bags, one network.

    From 200 bags on it stopped early on the tuning bags; with fewer it was trained again on all.
    """

    def _learn(self, train: LabelledBags, tune: LabelledBags) -> Floats:
        make, stops = find_net(self.net), len(train.bags) + len(tune.bags) >= 200
        plain = replace(
            PRESETS["default"], steps=0 if stops else 100, passes=0, epochs=32, patience=8
        )
        grid = [
            replace(plain, learning_rate=rate, weight_decay=decay)
            for rate, decay in product((3e-4, 1e-3), (1e-2, 1e-1))
        ]
        weights = weights_of(train.targets, train.bags.device)
        tried = [train_net(make, train, tune, preset, self.seed) for preset in grid]
        best = int(np.argmin([loss_on(net, tune, weights) for net in tried]))
        self.outputs_ = train.targets.outputs
        whole = None if stops else train_net(make, train.joined(tune), None, grid[best], self.seed)
        self.trained_ = [whole or tried[best]]
        return run_net(tried[best], tune.bags).logits.double().numpy()


def new_head(candidate: str, net: str, target: str, classes: int, seed: int) -> MILClassifier:
    """Return a candidate's head, not trained yet."""
    if candidate == BEFORE:
        return Before(net, target, classes, seed=seed)
    return MILClassifier(net, target, classes, preset=CANDIDATES[candidate], seed=seed)


def run_one(data: Data, scene: str, trial: int, net: str, target: str) -> Iterator[Facts]:
    """Train every candidate's heads, and score them on the test bags."""
    few = (
        (BEFORE, SHORTER, DEFAULT, LONGER)
        if scene in HEADED + OTHER_TARGETS + DEMO
        else (BEFORE, *CANDIDATES)
    )
    for candidate in few:
        start, heads = time.process_time(), []
        for seed in range(SEEDS):
            head = new_head(candidate, net, target, data.classes, 1000 * trial + seed)
            heads.append(head.fit_labelled(data.train, data.tune))
        about = {"scene": scene, "trial": trial, "seconds": (time.process_time() - start) / SEEDS}
        calibrated, plain = (
            about | scores_of(heads, data, calibrated=calibrated) for calibrated in (True, False)
        )
        if candidate == BEFORE:
            yield plain | {"candidate": BEFORE}
            yield calibrated | {"candidate": f"{BEFORE}, calibrated"}
        else:
            yield calibrated | {"candidate": candidate}


def scores_of(heads: Sequence[MILClassifier], data: Data, *, calibrated: bool) -> Facts:
    """Score heads of other seeds on the test bags; each measure is the mean over outputs."""
    truth, each = data.test.targets, []
    for head in heads:
        margins = head._margins(data.test.bags).mean
        flat = Calibration(truth.output_type, np.ones(1), np.zeros(truth.outputs))
        scores = (head.calibration_ if calibrated else flat).scores(margins)
        each.append(measures(truth.positive, scores, head.calibration_.cuts))
    found = {name: known_mean([one[name] for one in each]) for name in each[0]}
    return found | {"aurocs": [one["auroc"] for one in each]}


def measures(positive: NDArray[np.bool_], scores: Floats, frequencies: Floats) -> Facts:
    """Return AUROC, Brier score, log loss and calibration slope, means over outputs."""
    truth, once = positive.astype(float), np.ones((1, len(positive)))
    sure = scores.clip(1e-9, 1 - 1e-9)
    losses = -np.log(np.where(positive, sure, 1 - sure))
    columns = [k for k in range(truth.shape[1]) if 0 < truth[:, k].sum() < len(truth)]
    return {
        "auroc": float(np.mean([auroc(truth[:, k], scores[:, k], once)[0] for k in columns])),
        "brier": float(np.square(scores - truth).mean()),
        "constant": float(np.square(frequencies - truth).mean()),
        "log_loss": float(losses.mean()),
        "slope": known_mean([calibration_line(truth[:, k], scores[:, k]).slope for k in columns]),
    }


def known_mean(values: Sequence[float]) -> float:
    """Return the mean of the values that are known; NaN if none is."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def demo_data(work: Path) -> Iterator[tuple[str, int, str, Data]]:
    """Yield the folds of the demo's tasks under each encoder: name, fold, target, data."""
    cohort = write_cohort(work / "demo" / "cohort")
    store = work / "demo" / "store"
    pipeline.embed(cohort, DEMO_MODELS, store=store, precision="float32")
    for task, model in product(DEMO_TASKS, DEMO_MODELS):
        found = load_task(task, model, store=store)
        values = np.asarray(found.targets, float).reshape(len(found.bags), -1)
        every, targets = (
            BagSet.of(found.bags),
            make_targets(found.target, values, len(found.outputs)),
        )
        patients, first = np.unique(found.patients, return_index=True)
        part = stratify(strata_of(targets.take(first)), FOLDS, 0)
        of_unit = part[np.searchsorted(patients, found.patients)]
        for fold in range(FOLDS):
            tuning = (fold + 1) % FOLDS
            sides = (~np.isin(of_unit, (fold, tuning)), of_unit == tuning, of_unit == fold)
            rows = [np.flatnonzero(side) for side in sides]
            parts = (LabelledBags(every.take(row), targets.take(row)) for row in rows)
            yield f"{task}, {model}", fold, found.target, Data(*parts, len(found.outputs))


def random_data(work: Path) -> Iterator[tuple[str, int, str, Data]]:
    """Yield tasks on a random network's features: name, trial, target, data.

    As many drawn patients as a small cohort has are trained on, and all others are tested on.
    """
    cohort = write_cohort(work / "random" / "cohort", patients=RANDOM_PATIENTS)
    store = work / "random" / "store"
    pipeline.embed(cohort, (RANDOM_MODEL,), store=store, precision="float32")
    for name, (task, label) in zip(RANDOM, RANDOM_TASKS, strict=True):
        found = load_task(task, RANDOM_MODEL, store=store)
        column = found.outputs.index(label) if len(found.outputs) > 2 else 0
        values = np.asarray(found.targets, float).reshape(len(found.bags), -1)[:, [column]]
        every, targets = BagSet.of(found.bags), make_targets("binary", values, 2)
        for trial in range(RANDOM_TRIALS):
            order = np.random.default_rng(trial).permutation(np.unique(found.patients))
            trained = np.isin(found.patients, order[:RANDOM_TRAINED])
            rows, test = np.flatnonzero(trained), np.flatnonzero(~trained)
            part = stratify(strata_of(targets.take(rows)), 5, trial)
            sides = (rows[part != 0], rows[part == 0], test)
            parts = (LabelledBags(every.take(side), targets.take(side)) for side in sides)
            yield name, trial, "binary", Data(*parts)


def run_all(work: Path, trials: int, only: Sequence[str]) -> None:
    """Run every scene and trial that is not in `work` yet."""
    done = {(each["scene"], each["trial"]) for each in read_facts(work)}
    with (work / "facts.jsonl").open("a") as file:

        def keep(scene: str, trial: int, net: str, target: str, make: Callable[[], Data]) -> None:
            if (scene, trial) in done or (only and scene not in only):
                return
            facts = list(run_one(make(), scene, trial, net, target))
            file.writelines(json.dumps(each) + "\n" for each in facts)
            file.flush()
            seconds = sum(each["seconds"] for each in facts) * SEEDS
            print(f"{scene}: trial {trial}, {seconds:.0f} s of CPU", flush=True)

        for trial, scene in product(range(trials), SCENES):
            make = partial(simulate, scene, trial)
            keep(scene.name, trial, scene.net, scene.target, make)
        for names, make_data in ((DEMO, demo_data), (RANDOM, random_data)):
            if not only or set(only) & set(names):
                for name, number, target, data in make_data(work):
                    keep(name, number, "abmil", target, lambda data=data: data)


def read_facts(work: Path) -> list[Facts]:
    """Read what was measured so far."""
    path = work / "facts.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


def seeds_spread(facts: Sequence[Facts]) -> float:
    """Return the standard deviation of AUROC over seeds, pooled over trials."""
    return float(np.sqrt(np.mean([np.var(each["aurocs"], ddof=1) for each in facts])))


def line_of(name: str, facts: Sequence[Facts], before: Sequence[Facts]) -> str:
    """Write one line: means over trials, AUROC next to that of `before` in the same trials."""
    mean = {
        key: float(np.nanmean([each[key] for each in facts]))
        for key in ("auroc", "brier", "constant", "log_loss", "seconds")
    }
    pairs = {(each["scene"], each["trial"]): each["auroc"] for each in before}
    gaps = np.array([each["auroc"] - pairs[each["scene"], each["trial"]] for each in facts])
    error = gaps.std(ddof=1) / np.sqrt(len(gaps)) if len(gaps) > 1 else 0.0
    cost = mean["seconds"] / float(np.mean([each["seconds"] for each in before]))
    slope = float(np.nanmedian([each["slope"] for each in facts]))
    return (
        f"| {name} | {mean['auroc']:.3f} | {gaps.mean():+.3f} ± {error:.3f} "
        f"| {mean['brier']:.3f} | {mean['brier'] - mean['constant']:+.3f} "
        f"| {mean['log_loss']:.3f} | {slope:.2f} | {seeds_spread(facts):.3f} "
        f"| {mean['seconds']:.2f} | {cost:.2f} |"
    )


def random_lines(facts: Sequence[Facts], names: Sequence[str]) -> list[str]:
    """Write a line per recipe: means over the tasks of a random network's features."""
    here = [each for each in facts if each["scene"] in RANDOM]
    before = [each for each in here if each["candidate"] == BEFORE]
    lines = []
    for name in names:
        found = [each for each in here if each["candidate"] == name]
        lines += [line_of(name, found, before)] if found else []
    return lines


COLUMNS = (
    "AUROC | against before | Brier | against a constant | log loss | calibration slope "
    "| over seeds | CPU s | × before |"
)


def table(first: str, lines: Sequence[str]) -> list[str]:
    """Write a table."""
    return [f"| {first} | {COLUMNS}", f"|---|{'--:|' * 9}", *lines, ""]


def compared(facts: Sequence[Facts], scenes: Sequence[str]) -> list[str]:
    """Write a line per scene for before, the default, and three networks with fewer steps."""
    lines = []
    for scene in scenes:
        here = [each for each in facts if each["scene"] == scene]
        parts = [[f for f in here if f["candidate"] == c] for c in (BEFORE, DEFAULT, SHORTER)]
        names = (f"{scene}: before", "default", "shorter")
        lines += [
            line_of(name, part, parts[0]) for name, part in zip(names, parts, strict=True) if part
        ]
    return lines


def report(work: Path) -> str:
    """Write the report on everything measured so far."""
    facts = read_facts(work)
    plain = [each.name for each in SCENES if each.name not in HEADED + OTHER_TARGETS]
    scored = [each for each in facts if each["scene"] in plain and each["scene"] not in BLIND]
    before = [each for each in scored if each["candidate"] == BEFORE]
    names = list(dict.fromkeys(each["candidate"] for each in scored))
    trials = 1 + max((each["trial"] for each in facts if each["scene"] in plain), default=0)
    return "\n".join(
        [
            "# The recipe of heads",
            "",
            "`python benchmarks/head_recipe.py`",
            "",
            f"Simulated bags, {trials} trials of each scene, {TEST} test bags, {SEEDS} seeds each; "
            f"{os.cpu_count()} cores, torch {torch.__version__}, one thread. *Against a constant*: "
            "Brier score less that of the training frequencies. *Calibration slope*: median; 1 is "
            "right, less is too sure. *Over seeds*: standard deviation of a head's AUROC over "
            "seeds. *CPU s*: of one head, with all that its settings and its calibration cost.",
            "",
            "## Candidates",
            "",
            f"Means over all scenes of attention-MIL and one label but those without a signal. The "
            f"default is {DEFAULT}.",
            "",
            *table(
                "recipe",
                [
                    line_of(name, [each for each in scored if each["candidate"] == name], before)
                    for name in names
                ],
            ),
            "## A random network on drawn scans",
            "",
            f"Its bags learn more slowly than those of any scene. Features of {RANDOM_MODEL} of "
            f"{RANDOM_PATIENTS} drawn patients: {RANDOM_TRAINED} are trained on, the others "
            f"tested, {RANDOM_TRIALS} trials.",
            "",
            *table("recipe", random_lines(facts, names)),
            "## By scene",
            "",
            *table("scene", compared(facts, plain)),
            "## Other heads",
            "",
            *table("scene, head", compared(facts, HEADED)),
            "## Other targets",
            "",
            *table("scene", compared(facts, OTHER_TARGETS)),
            "## The demo's synthetic tasks",
            "",
            f"Real networks on drawn scans, {FOLDS} folds of 60 patients; AUROC within folds.",
            "",
            *table("task, encoder", compared(facts, DEMO)),
        ]
    )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        run_all(work, options.trials, options.only)
        text = report(work)
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
