"""The whole path in small, on a synthetic cohort: a test of the software, and not evidence."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from clearbench import pipeline
from clearbench.board.tables import Leaderboard, leaderboard
from clearbench.datasets.synthetic import write_cohort
from clearbench.engines.events import EmbedReport, OnEvent
from clearbench.pretraining.run import pretrain
from clearbench.pretraining.settings import OnPretrain, PretrainSettings
from clearbench.pretraining.stacks import DataRequest
from clearbench.store.feature_store import FeatureStore

ENCODERS = ("efficientnet-lite0", "random-vit-tiny")
OWN = "lecl-demo"  # trained here, on training patients only
NET, LIKE = "gated-cnn", "lecl-gated-cnn-mini"
PRETRAINING = PretrainSettings(
    epochs=10,
    batch_size=64,
    lr=4e-3,
    weight_decay=1e-4,
    warmup_epochs=1,
    temperature=0.2,
    hidden=512,
    projection=128,
    augment="ct",
)
TASKS = ("synthetic-lesion-location", "synthetic-lung-disease", "synthetic-stage")
SQL = (
    "SELECT a.patient_id, a.scan_id, a.slice_index, a.view, round(a.weight, 3) AS attention, "
    "round(p.score, 3) AS score\n"
    "FROM attention a JOIN predictions p USING (task, encoder, head, repeat, fold, seed, "
    "patient_id)\n"
    "WHERE a.task = 'synthetic-lung-disease' AND a.encoder = 'efficientnet-lite0' AND p.truth = 1\n"
    "ORDER BY a.weight DESC LIMIT 5"
)


@dataclass(frozen=True)
class DemoSteps:
    """The callbacks of each step."""

    on_scan: Callable[[int, int], None]
    on_pretrain: OnPretrain
    on_embed: OnEvent
    on_head: Callable[[str, int, int], None]


@dataclass(frozen=True)
class Demo:
    """The files that the demo wrote, its leaderboard and its SQL answer."""

    cohort: Path
    store: Path
    card: Path
    report: EmbedReport
    leaderboard: Leaderboard
    answer: pa.Table


def run_demo(out: Path, steps: DemoSteps) -> Demo:
    """Write the synthetic cohort, pretrain, embed, train heads, and run one SQL query.

    A second run continues from the files of the first.
    """
    cohort = write_cohort(out / "cohort", on_event=steps.on_scan)
    store, registry = out / "store", out / "registry"
    card = _own_encoder(cohort, out / "lecl", registry, steps.on_pretrain)
    models = (*ENCODERS, OWN)
    report = pipeline.embed(
        cohort, models, store=store, registry=[registry], on_event=steps.on_embed
    )
    pipeline.evaluate(
        TASKS,
        models,
        seeds=1,
        draws=4,
        store=store,
        on_step=lambda step: steps.on_head(
            f"{step.task} · {step.encoder} · {step.head}", step.done, step.total
        ),
    )
    found = leaderboard([store / "results"], published=False)
    return Demo(cohort, store, card, report, found, FeatureStore(store).table(SQL))


def _own_encoder(cohort: Path, out: Path, registry: Path, on_event: OnPretrain) -> Path:
    """Train the demo's own encoder on the training patients, unless its card exists."""
    card = registry / f"{OWN}.toml"
    if not card.is_file():
        pretrain(
            NET,
            DataRequest(cohort, split="train"),
            settings=PRETRAINING,
            name=OWN,
            like=LIKE,
            out=out,
            registry=registry,
            device="cpu",
            precision="float32",
            on_event=on_event,
        )
    return card
