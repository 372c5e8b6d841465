"""Public data sets are built by name, and have what their task cards need."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clearbench.cohort.table import check_cohort
from clearbench.datasets.public.published import build_published
from clearbench.datasets.public.registry import PUBLIC_DATA_SETS
from clearbench.errors import BadCohort, BadRequest, UnknownName
from clearbench.evaluation.task.card import find_task, task_names
from clearbench.evaluation.task.labels import SIDES
from clearbench.scans.slices import ScanSource, read_scan

Layout = Callable[[str], Path]
ROOT = Path(__file__).resolve().parents[3]
CARDS = {name: find_task(name, [ROOT / "tasks"]).card for name in task_names([ROOT / "tasks"])}
PUBLIC = sorted(name for name, card in CARDS.items() if card.cohort in PUBLIC_DATA_SETS)


def test_an_unknown_data_set_is_met_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match='no data set is called "ctich"; did you mean ct-ich'):
        build_published("ctich", tmp_path, tmp_path / "c.csv")


@pytest.mark.parametrize("name", PUBLIC_DATA_SETS)
def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadCohort, match="no such folder"):
        build_published(name, tmp_path / "nowhere", tmp_path / "c.csv")


@pytest.mark.parametrize("name", PUBLIC_DATA_SETS)
def test_an_empty_folder_is_met_with_where_to_get_the_data(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadCohort) as refused:
        build_published(name, tmp_path, tmp_path / "c.csv")
    assert "https://" in str(refused.value)


@pytest.mark.parametrize("name", PUBLIC_DATA_SETS)
def test_a_layout_as_published_becomes_a_public_cohort(
    layout: Layout, tmp_path: Path, name: str
) -> None:
    target = tmp_path / "tables" / "c.csv"
    found = build_published(name, layout(name), target)
    cohort = check_cohort(found.table, "", target)
    assert cohort.name == name
    assert cohort.public
    assert cohort.problems == ()


@pytest.mark.parametrize("name", sorted(set(PUBLIC_DATA_SETS) - {"ct-ich"}))
def test_every_scan_of_a_cohort_can_be_read(layout: Layout, tmp_path: Path, name: str) -> None:
    target = tmp_path / "c.csv"
    cohort = check_cohort(build_published(name, layout(name), target).table, "", target)
    for row in cohort.rows():
        scan = read_scan(ScanSource(row.path, row.series_id))
        assert scan.pixels.shape[1:] in ((6, 5), (8, 8))
        upward = -1 if name == "deeplesion" else 1  # whose images are numbered from the head
        assert np.all(np.diff(scan.slice_index) * upward > 0)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_card_asks_for_columns_that_the_builder_writes(
    layout: Layout, tmp_path: Path, name: str
) -> None:
    card = CARDS[name]
    target = tmp_path / "c.csv"
    cohort = check_cohort(
        build_published(card.cohort, layout(card.cohort), target).table, "", target
    )
    for label in card.labels:
        values = {value for value in cohort.label(label) if value is not None}
        assert values <= set(card.classes) or not card.classes
    if card.split.column:
        sides = {SIDES.get(side or "") for side in cohort.label(card.split.column)}
        assert {"train", "test"} <= sides
    if card.slices == "key":
        assert any(cohort.column("key_slices"))
    if card.select != "all":
        assert all(cohort.column("day"))


def test_split_files_are_refused_for_data_sets_without_any(layout: Layout, tmp_path: Path) -> None:
    root = layout("ct-ich")
    with pytest.raises(BadRequest, match="ct-ich has no split files"):
        build_published("ct-ich", root, tmp_path / "c.csv", repair_split=True)
