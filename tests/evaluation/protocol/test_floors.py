from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clearbench.cohort.table import Cohort
from clearbench.errors import BadTask
from clearbench.evaluation.guards.copies import Sketches, find_copies
from clearbench.evaluation.guards.report import (
    guard_copies,
    guard_shortcuts,
    guard_split,
)
from clearbench.evaluation.protocol.encoder_data import EncoderData, make_encoder_data
from clearbench.evaluation.protocol.evaluate import Evaluation, evaluate_head
from clearbench.evaluation.protocol.floors import make_floors
from clearbench.evaluation.protocol.one_head import HeadConfig
from clearbench.evaluation.task.prepared import prepare_task
from clearbench.evaluation.task.splits import Fold
from clearbench.scans.thumbnail import Sketch
from clearbench.store.records import EncoderRecord

Make = Callable[..., Any]
RECORD = EncoderRecord("e", "f" * 64, 8, ("lung",), "float32", "float32", "w")
N = 60
TRUTH = [i % 2 for i in range(N)]


@pytest.fixture
def cohort(make_cohort: Make) -> Cohort:
    """Sixty patients whose kernel gives the label away, and whose age and thickness don't."""
    return make_cohort(
        x=[str(v) for v in TRUTH],
        kernel=["B70" if v else "B30" for v in TRUTH],
        thickness_mm=[str(1 + i % 3) for i in range(N)],
        age=[str(50 + i % 7) for i in range(N)],
    )


@pytest.fixture
def data(cohort: Cohort, make_task: Make, make_bags: Make) -> EncoderData:
    prepared = prepare_task(make_task(split={"folds": 3, "repeats": 1}), cohort)
    order = [int(name[1:]) for name in prepared.units.ids]
    bags = make_bags(TRUTH, shift=8.0)
    return make_encoder_data(
        prepared, RECORD, prepared.units, tuple(bags[i] for i in order), precision="float32"
    )


def sketches(bright: bool) -> Sketches:
    """Sketches of all scans; with `bright`, positives have brighter pixels."""
    rng = np.random.default_rng(0)
    found = {}
    for i, value in enumerate(TRUTH):
        histogram = rng.random(64).astype(np.float32) + 1
        histogram[60] += 5 * value * bright
        picture = rng.integers(0, 255, (8, 32, 32)).astype(np.uint8)
        found["c", f"s{i}"] = Sketch(picture, histogram / histogram.sum(), 20, "HU")
    return found


def scored(data: EncoderData, cohort: Cohort, known: Sketches) -> dict[str, Evaluation]:
    floors = make_floors(data, {"c": cohort}, known)
    return {
        floor.data.record.name: evaluate_head(floor.data, HeadConfig(floor.head))
        for floor in floors
    }


def test_floors_score_what_needs_no_encoder(data: EncoderData, cohort: Cohort) -> None:
    found = scored(data, cohort, sketches(bright=True))
    assert set(found) == {"floor-permuted", "floor-tags", "floor-person", "floor-histogram"}
    values = {name: each.scores["auroc"].value for name, each in found.items()}
    assert values["floor-tags"] == 1, "the kernel gives it away"
    assert values["floor-histogram"] > 0.95
    assert 0.2 < values["floor-person"] < 0.8
    assert 0.15 < values["floor-permuted"] < 0.85
    encoder = evaluate_head(data, HeadConfig("abmil")).scores["auroc"].value
    assert encoder > 0.95, "the same bags say much where labels are not shuffled"
    dark = scored(data, cohort, sketches(bright=False))
    assert dark["floor-histogram"].scores["auroc"].value < 0.8


def test_without_sketches_or_columns_a_floor_is_left_out(
    data: EncoderData, make_cohort: Make
) -> None:
    bare = make_cohort(x=[str(v) for v in TRUTH])
    assert set(scored(data, bare, {})) == {"floor-permuted", "floor-tags"}
    one_lost = {key: sketch for key, sketch in sketches(True).items() if key[1] != "s7"}
    assert "floor-histogram" not in scored(data, bare, one_lost)


def test_levels_of_a_tag_come_from_training_units_alone(data: EncoderData, cohort: Cohort) -> None:
    """A kernel that only tested patients have is no column of the design."""
    fold = data.prepared.folds[0]
    kernels = [
        "odd" if f"p{i}" in fold.test else kernel
        for i, kernel in enumerate(cohort.column("kernel"))
    ]
    index = cohort.table.column_names.index("kernel")
    odd = replace(cohort, table=cohort.table.set_column(index, "kernel", [kernels]))
    [floor] = [
        each for each in make_floors(data, {"c": odd}, {}) if each.data.record.name == "floor-tags"
    ]
    assert floor.data.make_instances is not None
    rows = np.array([i for i, p in enumerate(data.units.patients) if p not in fold.test])
    everyone = np.arange(N)
    narrow, wide = (floor.data.make_instances(part) for part in (rows, everyone))
    assert narrow.dim < wide.dim


def test_a_shortcut_is_an_alarm(data: EncoderData) -> None:
    card = data.prepared.task.card
    tags, person = guard_shortcuts({"floor-tags": 0.9, "floor-person": 0.4, "other": 0.9}, card)
    assert tags.alarm
    assert "technical tags alone predict this label" in tags.says
    assert (person.guard, person.alarm) == ("person", False)
    assert person.says.startswith("no sign that they predict the label"), "not: at least 0.40"
    assert guard_shortcuts({"floor-tags": 0.55}, card)[0].says == "auroc at least 0.55"
    assert not guard_shortcuts({"floor-tags": None}, card)[0].alarm


def test_a_copy_under_another_patient_is_an_alarm(data: EncoderData) -> None:
    known, folds = dict(sketches(bright=False)), data.prepared.folds
    clean = guard_copies(find_copies(data.units, known, folds))
    assert (clean.alarm, clean.says) == (False, f"none among {N} of {N} scans")
    known["c", "s9"] = known["c", "s4"]
    found = guard_copies(find_copies(data.units, known, folds))
    assert found.alarm
    assert "s4 and s9" in found.says or "s9 and s4" in found.says
    assert guard_copies(find_copies(data.units, {}, folds)).says.startswith("not searched: 0 of")


def test_clean_sides_are_said_of_one_split_or_of_all_folds() -> None:
    fold = Fold(0, 0, ("a",), ("b",), ("c",))
    assert guard_split([fold]).says == "no patient is on two sides of the split"
    assert guard_split([fold] * 25).says == "no patient is on two sides of a fold, in 25 folds"


def test_a_patient_on_two_sides_is_refused() -> None:
    with pytest.raises(BadTask, match="patient a in both train and test"):
        guard_split([Fold(0, 0, ("a", "b"), ("c",), ("a",))])
