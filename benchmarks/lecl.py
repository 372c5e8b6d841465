"""Does the lesion weight help? A comparison prespecified before any score was known.

    python benchmarks/lecl.py [--ct-ich FOLDER] [--work FOLDER] [-o REPORT.md]

One small network (`lecl-gated-cnn-mini`) with five methods of training: random weights, plain
MoCo v3, and LeCL with a lesion weight of 1, 2 and 5. Three seeds each; the same slices and
settings. Pretraining is on the training patients of a synthetic cohort. Tests are on its other
patients (lesion location) and, as transfer, on CT-ICH (real head CT). Intervals: 95 %, with the
same resamples of test patients for every method and seed. A second run continues in `--work`.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clearbench import pipeline
from clearbench.cards import write_card
from clearbench.cohort.files import write_table
from clearbench.datasets.public.published import build_published
from clearbench.datasets.synthetic import write_cohort
from clearbench.encoders.registry import find_encoder
from clearbench.metrics import auroc
from clearbench.pretraining import DataRequest, PretrainSettings, pretrain
from clearbench.store.feature_store import FeatureStore

CT_ICH = Path(__file__).parents[1].parent / "shared" / "data" / "ct-ich"
LIKE = "lecl-gated-cnn-mini"
SEEDS = (1, 2, 3)
WEIGHTS = {"moco-v3": 0.0, "lecl-w1": 1.0, "lecl-w2": 2.0, "lecl-w5": 5.0}
METHODS = ("random", *WEIGHTS)
PATIENTS = 120
COHORT_SEED = 77  # so that the cohort isn't the demo's
TASKS = {"synthetic-lesion-location": (), "ct-ich-hemorrhage": ("brain", "bone")}
HEADS = ("abmil", "mean-logreg")
SETTINGS = PretrainSettings(
    epochs=30,
    batch_size=64,
    lr=4e-3,
    weight_decay=1e-4,
    warmup_epochs=2,
    temperature=0.2,
    hidden=512,
    projection=128,
    augment="ct",
)
RESAMPLES = 2000


def name_of(method: str, seed: int) -> str:
    """Return the encoder's name for one method and seed."""
    return f"{method}-seed{seed}"


def make_encoders(cohort: Path, work: Path) -> dict[str, float]:
    """Write all fifteen cards; returns the training seconds of each method."""
    registry = work / "registry"
    for seed in SEEDS:
        card = find_encoder(LIKE).card.model_copy(update={"source": f"random:{seed}"})
        write_card(card, registry / f"{name_of('random', seed)}.toml")
        for method, weight in WEIGHTS.items():
            name = name_of(method, seed)
            if (registry / f"{name}.toml").is_file():
                continue
            facts = {**vars(SETTINGS), "lesion_weight": weight, "seed": seed}
            done = pretrain(
                "gated-cnn",
                DataRequest(cohort),
                settings=PretrainSettings(**facts),
                name=name,
                like=LIKE,
                out=work / "training" / name,
                registry=registry,
                device="cpu",
                precision="float32",
            )
            last = done.history[-1]
            print(f"{name}: loss {last.loss:.3f}, k-NN {last.knn:.2f}, spread {last.spread:.2f}")
    trained = {
        method: [find_encoder(name_of(method, seed), [registry]).card.training for seed in SEEDS]
        for method in WEIGHTS
    }
    return {method: sum(each.seconds for each in cards) for method, cards in trained.items()}


def score(cohorts: dict[str, Path], work: Path) -> None:
    """Embed both cohorts with every encoder, and train the heads."""
    names = [name_of(method, seed) for seed in SEEDS for method in METHODS]
    for task, cohort in cohorts.items():
        report = pipeline.embed(
            cohort,
            names,
            views=list(TASKS[task]),
            store=work / "store",
            registry=[work / "registry"],
            precision="float32",
            device="cpu",
        )
        if report.failed:
            raise SystemExit(f"failed: {report.failed}")
        for name in names:
            if not list((work / "store" / "results" / task).glob(f"{name}-*")):
                pipeline.evaluate([task], [name], heads=HEADS, seeds=1, store=work / "store")
                print(f"{task}: {name} evaluated")


def aurocs(
    rows: list[tuple], patients: dict[str, int], resamples: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean AUROC over labels and folds, of each of `resamples` [n, patients]: [n]."""
    groups: dict[tuple, list[tuple[int, float, float]]] = {}
    for repeat, fold, label, patient, truth, value in rows:
        groups.setdefault((repeat, fold, label), []).append((patients[patient], truth, value))
    found = []
    for group in groups.values():
        who, truth, value = (np.array(column) for column in zip(*group, strict=True))
        found.append(auroc(truth, value, resamples[:, who]))
    return np.nanmean(np.stack(found), axis=0)


def table(task: str, head: str, store: FeatureStore) -> list[str]:
    """Compare the methods on one task: mean over seeds, and difference from plain MoCo v3."""
    rows = {
        (method, seed): store.sql(
            "SELECT repeat, fold, label, patient_id, truth, score FROM predictions "
            f"WHERE task = '{task}' AND head = '{head}' AND encoder = '{name_of(method, seed)}'"
        ).fetchall()
        for method in METHODS
        for seed in SEEDS
    }
    known = sorted({row[3] for found in rows.values() for row in found})
    patients = {patient: number for number, patient in enumerate(known)}
    rng = np.random.default_rng(0)
    once = np.ones((1, len(known)))
    share = np.full(len(known), 1 / len(known))
    weights = np.vstack([once, rng.multinomial(len(known), share, size=RESAMPLES)]).astype(float)
    scores = {
        method: np.stack([aurocs(rows[method, seed], patients, weights) for seed in SEEDS], axis=1)
        for method in METHODS
    }
    lines = [
        "",
        f"### `{task}`, head `{head}`, {len(known)} test patients",
        "",
        "| weights | each seed | mean (95 %) | minus plain MoCo v3 (95 %) |",
        "|---|---|--:|--:|",
    ]
    for method in METHODS:
        seeds = ", ".join(f"{value:.3f}" for value in scores[method][0])
        means, against = scores[method].mean(axis=1), scores["moco-v3"].mean(axis=1)
        difference = "–" if method == "moco-v3" else _with_interval(means - against, "+.3f")
        lines.append(f"| {method} | {seeds} | {_with_interval(means, '.3f')} | {difference} |")
    return lines


def _with_interval(values: NDArray[np.float64], fmt: str) -> str:
    """Write the value of all patients, and the interval of the resamples."""
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return f"{values[0]:{fmt}} ({low:{fmt}} to {high:{fmt}})"


def measure(ct_ich: Path, work: Path) -> str:
    """Train, embed, evaluate, and write the report."""
    cohort = write_cohort(work / "cohort", patients=PATIENTS, seed=COHORT_SEED)
    seconds = make_encoders(cohort, work)
    cohorts = {"synthetic-lesion-location": cohort}
    if ct_ich.is_dir():
        cohorts["ct-ich-hemorrhage"] = work / "ct-ich.csv"
        found = build_published("ct-ich", ct_ich, work / "ct-ich.csv")
        write_table(found.table, work / "ct-ich.csv")
    score(cohorts, work)
    store = FeatureStore(work / "store")
    slices = find_encoder(name_of("moco-v3", SEEDS[0]), [work / "registry"]).card.training
    lines = [
        "# Does the lesion weight help? A prespecified comparison",
        "",
        "`python benchmarks/lecl.py`",
        "",
        f"Network `{LIKE}` (0.25 M parameters, 96 px); {SETTINGS.epochs} epochs over "
        f"{slices.slices:,} slices ({slices.lesion_slices:,} with a lesion) of {slices.patients} "
        f"synthetic patients; batch {SETTINGS.batch_size}, temperature {SETTINGS.temperature}, "
        f"augmentation `{SETTINGS.augment}`; AUROC (mean over labels and folds). "
        f"{os.cpu_count()} cores, torch {torch.__version__}. The first cohort is synthetic.",
        "",
        "Seconds of training, three seeds: "
        + ", ".join(f"{method} {spent:.0f}" for method, spent in seconds.items()),
    ]
    for task in cohorts:
        for head in HEADS:
            lines += table(task, head, store)
    if len(cohorts) == 1:
        lines += ["", f"CT-ICH is not in {ct_ich.name}; give its folder with --ct-ich."]
    return "\n".join([*lines, ""])


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ct-ich", type=Path, default=CT_ICH)
    parser.add_argument("--work", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = measure(options.ct_ich, options.work or Path(folder))
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
