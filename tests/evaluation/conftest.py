"""Cohorts, tasks and bags for the occasion."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from clearbench.cards import check_card
from clearbench.cohort.table import Cohort, check_cohort
from clearbench.evaluation.bags.load import Bag
from clearbench.evaluation.task.card import Task, TaskCard

MakeCohort = Callable[..., Cohort]
MakeTask = Callable[..., Task]


@pytest.fixture
def make_cohort() -> MakeCohort:
    """Make a cohort of columns of text; scans are s0, s1, … and patients p0, p1, … unless given."""

    def make(*, name: str = "c", **columns: Sequence[Any]) -> Cohort:
        count = len(next(iter(columns.values())))
        plain: dict[str, Sequence[Any]] = {
            "scan_id": [f"s{i}" for i in range(count)],
            "patient_id": [f"p{i}" for i in range(count)],
            "path": ["a"] * count,
        }
        texts = {
            column: pa.array([None if v is None else str(v) for v in values], pa.string())
            for column, values in (plain | columns).items()
        }
        return check_cohort(pa.table(texts), name, Path(f"/data/{name}.csv"))

    return make


@pytest.fixture
def make_task() -> MakeTask:
    """Make a task on cohort c; the label is x unless given."""

    def make(**facts: Any) -> Task:
        plain = {"title": "T", "version": 1, "cohort": "c", "target": "binary", "labels": ["x"]}
        card = check_card(plain | facts, TaskCard, "task")
        return Task(name="t", card=card, sha256="0" * 64)

    return make


@pytest.fixture
def make_bags() -> Callable[..., list[Bag]]:
    """Make one bag per truth value; positives hold a few shifted instances."""

    def make(truth: Sequence[float], dim: int = 8, shift: float = 3.0, seed: int = 0) -> list[Bag]:
        rng = np.random.default_rng(seed)
        bags = []
        for value in truth:
            n = int(rng.integers(3, 9))
            features = rng.normal(size=(n, dim)).astype(np.float32)
            features[:2, 0] += shift * value
            indices = np.arange(n, dtype=np.int32)
            bags.append(Bag(features, ("s",) * n, indices, ("lung",) * n))
        return bags

    return make


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors on many threads wait for each other, most of all on a shared machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
