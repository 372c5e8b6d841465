"""Each malformed file of the smaller kinds ends in its own sentence."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clearbench.datasets.public.covid_slice_labels import _read_array
from clearbench.encoders.conformance.vectors import read_vectors
from clearbench.encoders.families.open_clip import describe
from clearbench.encoders.families.transformers_cards import describe as describe_transformers
from clearbench.encoders.golden import check_golden
from clearbench.evaluation.guards.contamination import read_seen
from clearbench.evaluation.task.card import Task, TaskCard
from clearbench.evaluation.task.split_file import read_split
from hostile.cases import Case
from hostile.limits import by_kind, said_by, try_each, usual_part
from hostile.other_cases import NAMES, other_cases

CARD = TaskCard(
    title="T",
    version=1,
    cohort="own",
    target="binary",
    labels=("ill",),
    split={"folds": 2, "repeats": 1},  # type: ignore[arg-type]
)
DOORS: dict[str, Callable[[Path], object]] = {
    "split": lambda path: read_split(path, Task(name="t", card=CARD, sha256="0")),
    "golden": lambda path: check_golden("vit", path),
    "vectors": read_vectors,
    "seen": read_seen,
    "open_clip": lambda path: describe(str(path.parent)),
    "npy": lambda path: _read_array(path, 2),
    "transformers": lambda path: describe_transformers(str(path.parent)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", DOORS)
def test_a_malformed_file_is_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    try_each(usual_part(by_kind(other_cases())[kind]), tmp_path, check)


def check(case: Case, folder: Path) -> None:
    kind = case.name.partition("/")[0]
    said = said_by(lambda: DOORS[kind](folder / NAMES[kind]))
    if case.refused is not None:
        assert bool(said) == case.refused, said or "read"
