"""The whole path in miniature, on a synthetic cohort: a test of the plumbing, not evidence."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from clearbench import pipeline
from clearbench.board.tables import Board, leaderboard
from clearbench.datasets.synthetic import write_cohort
from clearbench.engines.events import EmbedReport, OnEvent
from clearbench.store.feature_store import FeatureStore

ENCODERS = ("efficientnet-lite0", "random-vit-tiny")
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
    """Who hears of each step."""

    on_scan: Callable[[int, int], None]
    on_embed: OnEvent
    on_head: Callable[[str, int, int], None]


@dataclass(frozen=True)
class Demo:
    """What the demo leaves behind."""

    cohort: Path
    store: Path
    report: EmbedReport
    boards: tuple[Board, ...]
    answer: pa.Table


def run_demo(out: Path, steps: DemoSteps) -> Demo:
    """Write the synthetic cohort, embed it, train heads, and ask one question in SQL.

    A second run goes on from what the first left.
    """
    cohort = write_cohort(out / "cohort", on_event=steps.on_scan)
    store = out / "store"
    report = pipeline.embed(cohort, ENCODERS, store=store, on_event=steps.on_embed)
    pipeline.evaluate(
        TASKS,
        ENCODERS,
        seeds=1,
        store=store,
        on_step=lambda step: steps.on_head(
            f"{step.task} · {step.encoder} · {step.head}", step.done, step.total
        ),
    )
    boards = leaderboard([store / "results"], published=False)
    return Demo(cohort, store, report, tuple(boards), FeatureStore(store).table(SQL))
