"""Each malformed card ends in its own sentence, and the cards next to it are listed."""

from pathlib import Path

import pytest

from clearbench.cards import read_all, read_card
from clearbench.display.encoders import encoder_rows
from clearbench.encoders.availability import availability
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.registry import list_encoders
from clearbench.evaluation.task.card import TaskCard, find_task, task_names
from hostile.card_cases import ENCODER, KINDS, TASK, card_cases, more_damage
from hostile.cases import Case
from hostile.limits import by_kind, check_sentence, limited, said_by, try_each, usual_part

CASES = by_kind(card_cases())


@pytest.mark.parametrize("kind", CASES)
def test_a_malformed_card_is_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    try_each(usual_part(CASES[kind]), tmp_path, check)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_of_a_card_is_another_error(kind: str, tmp_path: Path) -> None:
    try_each(more_damage(kind, range(10, 2000)), tmp_path, check)


def check(case: Case, folder: Path) -> None:
    card_type = TaskCard if case.name.startswith("task card") else EncoderCard
    said = said_by(lambda: read_card(folder / "bad.toml", card_type))
    if case.refused is not None:
        assert bool(said) == case.refused, said or "read"


@pytest.mark.parametrize("kind", KINDS)
def test_malformed_cards_cost_the_others_nothing(kind: str, tmp_path: Path) -> None:
    task = kind == "task card"
    cases = [case for case in CASES[kind] if case.refused is not None or " is " in case.name]
    for number, case in enumerate(cases[::3]):
        made = tmp_path / f"{number}"
        made.mkdir()
        case.write(made)
        (made / "bad.toml").rename(tmp_path / f"bad-{number}.toml")
        made.rmdir()
    (tmp_path / "a-good-one.toml").write_text(TASK if task else ENCODER)
    with limited():
        found, broken = (tasks if task else encoders)(tmp_path)
    assert "a-good-one" in found
    ours = [text for text in broken if "bad-" in text]
    assert len(ours) + sum(name.startswith("bad-") for name in found) == len(cases[::3])
    for text in ours:
        check_sentence(text)


def encoders(folder: Path) -> tuple[list[str], tuple[str, ...]]:
    """Return the encoders that are listed, and the cards that are left out."""
    cards = list_encoders([folder])
    encoder_rows([(item, availability(item)) for item in cards.found])
    return [item.name for item in cards.found], cards.broken


def tasks(folder: Path) -> tuple[list[str], tuple[str, ...]]:
    """Return the tasks that are listed, and the cards that are left out."""
    cards = read_all(task_names([folder]), lambda name: find_task(name, [folder]))
    return [task.name for task in cards.found], cards.broken
