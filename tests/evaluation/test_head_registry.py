"""A new head is one row of the registry, and everything else takes it."""

import sys
from collections.abc import Callable
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
import pytest

from clearbench.errors import BadCard, UnknownName
from clearbench.evaluation import head_registry
from clearbench.evaluation.bags.load import Bag
from clearbench.evaluation.head_registry import HeadEntry, find_head, head_names, plain_heads
from clearbench.evaluation.heads.knn import NearestClassifier
from clearbench.evaluation.protocol.encoder_data import make_encoder_data
from clearbench.evaluation.protocol.evaluate import evaluate_head
from clearbench.evaluation.protocol.one_head import HeadConfig
from clearbench.evaluation.task.prepared import prepare_task
from clearbench.evaluator import chosen_heads
from clearbench.store.records import EncoderRecord

Make = Callable[..., Any]
N = 40


@pytest.fixture
def new_head(monkeypatch: pytest.MonkeyPatch) -> str:
    """A head that a plug-in might bring, in one row."""
    module = ModuleType("new_heads")
    module.Newcomer = type("Newcomer", (NearestClassifier,), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "new_heads", module)
    row = HeadEntry("a new head", "new_heads:Newcomer", deterministic=True)
    rows = MappingProxyType({**head_registry.HEADS, "newcomer": row})
    monkeypatch.setattr(head_registry, "HEADS", rows)
    return "newcomer"


def test_a_row_is_all_that_a_new_head_needs(
    new_head: str, make_cohort: Make, make_task: Make
) -> None:
    task = make_task(head=new_head, split={"folds": 2, "repeats": 1})
    prepared = prepare_task(task, make_cohort(x=[str(i % 2) for i in range(N)]))
    rng, bags = np.random.default_rng(0), []
    for unit in prepared.units.ids:
        features = rng.normal(size=(3, 4)).astype(np.float32) + 3 * (int(unit[1:]) % 2)
        bags.append(Bag(features, ("s",) * 3, np.arange(3, dtype=np.int32), ("lung",) * 3))
    record = EncoderRecord("e", "f" * 64, 4, ("lung",), "float32", "float32", "w")
    data = make_encoder_data(prepared, record, prepared.units, tuple(bags))
    found = evaluate_head(data, HeadConfig(new_head, seeds=3))
    assert (found.head, found.seeds) == (new_head, 1), "deterministic, so one head per fold"
    assert found.scores["auroc"].value > 0.9
    assert new_head in chosen_heads(task, ["all"])
    assert chosen_heads(task, []) == [new_head, "mean-logreg"]


def test_a_head_that_is_not_in_the_registry_is_refused(make_task: Make) -> None:
    with pytest.raises(UnknownName, match="did you mean abmil"):
        find_head("abmill")
    with pytest.raises(BadCard, match="head"):
        make_task(head="newcomer")


def test_best_chooses_among_all_others() -> None:
    assert set(head_names()) - set(plain_heads()) == {"best"}
