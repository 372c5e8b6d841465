"""Each malformed table is read, or refused in its own sentence."""

from pathlib import Path

import pytest

from clearbench.cohort.table import read_cohort
from clearbench.datasets.lesions.lesion_table import read_lesions
from clearbench.store.cohorts import load_cohort, save_cohort
from clearbench.store.folder import open_store
from hostile.cases import Case
from hostile.limits import by_kind, check_sentence, said_by, try_each, usual_part
from hostile.table_cases import FORMATS, more_damage, table_cases

CASES = by_kind(table_cases())


@pytest.mark.parametrize("kind", CASES)
def test_a_malformed_table_is_read_or_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    try_each(usual_part(CASES[kind]), tmp_path, check)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_no_damage_of_a_table_is_another_error(kind: str, tmp_path: Path) -> None:
    try_each(more_damage(kind, range(20, 2000)), tmp_path, check)


def check(case: Case, folder: Path) -> None:
    path = next(folder.iterdir())
    kind = case.name.partition("/")[0]

    def read() -> None:
        if kind == "lesions":
            _, problems = read_lesions(path, {"s1"})
        else:
            cohort = read_cohort(path, "own")
            problems = cohort.problems
            store = open_store(folder / "store", create=True)
            save_cohort(cohort, store)
            assert load_cohort(store, "own").table.equals(cohort.table)
        for text in problems:
            check_sentence(text)

    said = said_by(read)
    if case.refused is not None:
        assert bool(said) == case.refused, said or "read"
    if said:
        assert not (folder / "store" / "cohorts").exists()
