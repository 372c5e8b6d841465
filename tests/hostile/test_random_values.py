"""Random values in cards and results are read, or refused in a sentence."""

import json
import tempfile
from pathlib import Path
from typing import Any

import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearbench.cards import read_card
from clearbench.encoders.card import EncoderCard
from clearbench.evaluation.task.card import TaskCard
from clearbench.results.record import read_result
from hostile.card_cases import ENCODER, TASK
from hostile.limits import said_by
from hostile.result_cases import FACTS

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SIMPLE = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | TEXT
VALUES = st.recursive(
    SIMPLE, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)
QUICK = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # whatever it finds is kept


def written(text: str, name: str, door: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8")
        said_by(lambda: door(path))


def keys_of(card: str) -> list[str]:
    return [line.partition(" = ")[0] for line in card.splitlines() if " = " in line]


@QUICK
@given(st.dictionaries(st.sampled_from(keys_of(ENCODER)) | TEXT, VALUES, max_size=6))
def test_encoder_cards_of_random_values(values: dict[str, Any]) -> None:
    written(tomli_w.dumps(values), "c.toml", lambda path: read_card(path, EncoderCard))


@QUICK
@given(st.dictionaries(st.sampled_from(keys_of(TASK)) | TEXT, VALUES, max_size=6))
def test_task_cards_of_random_values(values: dict[str, Any]) -> None:
    written(tomli_w.dumps(values), "c.toml", lambda path: read_card(path, TaskCard))


@QUICK
@given(st.dictionaries(st.sampled_from(sorted(FACTS)), VALUES | st.none(), max_size=3))
def test_results_of_random_values(values: dict[str, Any]) -> None:
    written(json.dumps(FACTS | values), "r.json", read_result)
