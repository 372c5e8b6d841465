"""What a pack takes from a store's cohorts."""

from pathlib import Path

from clearbench.cohort.table import read_cohort
from clearbench.evaluation.task.card import find_task
from clearbench.evaluation.task.prepared import prepare_from_store
from clearbench.packs.plan import PackRequest, find_cohorts
from clearbench.store.cohorts import save_cohort
from clearbench.store.folder import open_store

CARD = """
title = "Sites"
version = 1
cohort = "own"
target = "binary"
labels = ["ill"]
[split]
group = "site"
"""
SITES = ("Bonn", "bonn", "Ulm", "ULM", "unknown", "")


def test_spellings_of_a_site_are_one_group_under_its_new_name(tmp_path: Path) -> None:
    rows = [f"s{n},p{n},.,{n // 6 % 2},{SITES[n % 6]}" for n in range(120)]
    (tmp_path / "own.csv").write_text("scan_id,patient_id,path,ill,site\n" + "\n".join(rows))
    card = tmp_path / "sites.toml"
    card.write_text(CARD)
    store = open_store(tmp_path / "store", create=True)
    save_cohort(read_cohort(tmp_path / "own.csv"), store)
    task = find_task(str(card))
    prepared = tuple(prepare_from_store(task, store))
    assert len(prepared[0].folds) == 2
    request = PackRequest(card, prepared, (), store, store.results)
    packed = find_cohorts(request)["own"]
    assert dict(packed.names.groups) == {"Bonn": "group-0001", "ULM": "group-0002"}
    assert set(packed.cohort.column("site")) == {"Bonn", "ULM", None}
