import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from clearbench.cohort.table import Cohort
from clearbench.files import draft_of, in_use
from clearbench.store.catalogue.query import fetch_table
from clearbench.store.cohorts import save_cohort
from clearbench.store.features import ScanFeatures, write_features
from clearbench.store.folder import StoreFolder
from clearbench.store.garbage import ABANDONED_S, delete_garbage, find_garbage
from clearbench.store.records import EncoderRecord, write_record

AddSet = Callable[..., EncoderRecord]
OLD, NEW = "a" * 64, "b" * 64


def files(store: StoreFolder) -> set[str]:
    return {p.relative_to(store.root).as_posix() for p in store.root.rglob("*") if p.is_file()}


def kinds(store: StoreFolder) -> list[tuple[str, str]]:
    return [(item.kind, item.name) for item in find_garbage(store).items]


def age(folder: Path, seconds: float) -> None:
    """Make every file of a folder older."""
    for path in folder.rglob("*"):
        os.utime(path, (path.stat().st_mtime - seconds,) * 2)


@pytest.fixture
def dead() -> int:
    """The number of a process that ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_store_in_order_has_no_garbage(full: StoreFolder) -> None:
    before = files(full)
    found = find_garbage(full)
    assert found.items == found.notes == ()
    assert delete_garbage(found, full) == 0
    assert files(full) - {"catalogue.duckdb"} == before


def test_finding_deletes_nothing_and_deleting_only_what_was_found(
    full: StoreFolder, cohort: Cohort, dead: int
) -> None:
    gone = "features/enc-a-01234567/c/s1.h5"
    draft = full.results / "t" / f".x.json.{socket.gethostname()}-{dead}-0.tmp"
    draft.write_text("half")
    save_cohort(replace(cohort, table=cohort.table.slice(1)), full)
    before = files(full)
    found = find_garbage(full)
    assert files(full) == before
    assert {item.kind for item in found.items} == {"draft", "scans of no cohort"}
    size = (full.root / gone).stat().st_size + len("half")
    assert sum(item.size for item in found.items) == size
    assert delete_garbage(found, full) == size
    assert before - files(full) == {gone, f"results/t/{draft.name}"}
    assert fetch_table(full, "SELECT DISTINCT scan_id FROM slices").to_pydict() == {
        "scan_id": ["s2"]
    }


def test_drafts_of_running_processes_and_young_ones_of_other_hosts_stay(
    full: StoreFolder, dead: int
) -> None:
    host = socket.gethostname()
    running = draft_of(full.root / "catalogue.duckdb")
    other = full.cohorts / f".c.parquet.elsewhere-{dead}-0.tmp"
    old = full.cohorts / f".c.parquet.elsewhere.net-{dead}-1.tmp"
    killed = full.root / f".keys.csv.{host}-{dead}-0.tmp"
    for path in (running, other, old, killed):
        path.write_text("half")
    os.utime(old, (time.time() - 2 * ABANDONED_S,) * 2)
    found = find_garbage(full)
    assert {item.name for item in found.items} == {old.name, killed.name}
    [note] = found.notes
    assert "2 drafts are left alone" in note
    delete_garbage(found, full)
    assert running.exists()
    assert other.exists()


def test_only_a_set_that_no_result_names_and_a_newer_one_has_replaced_goes(
    store: StoreFolder, cohort: Cohort, add_set: AddSet
) -> None:
    save_cohort(cohort, store)
    for fingerprint in (OLD, NEW):
        add_set("enc-a", fingerprint)
        add_set("enc-b", fingerprint)
        age(store.features, 10)
    (store.results / "t").mkdir(parents=True)
    (store.results / "t" / "r.json").write_text(json.dumps({"fingerprint": OLD, "encoder": "x"}))
    assert kinds(store) == [], "a result names the old ones"
    (store.results / "t" / "r.json").write_text(json.dumps({"fingerprint": NEW}))
    assert [kind for kind, _ in kinds(store)] == ["superseded set"] * 2
    found = find_garbage(store)
    assert "enc-a@aaaaaaaa" in found.items[0].name
    assert "enc-a@bbbbbbbb has replaced it" in found.items[0].reason
    delete_garbage(found, store)
    assert {path.name for path in store.features.iterdir()} == {"enc-a-bbbbbbbb", "enc-b-bbbbbbbb"}
    assert list((store.results / "t").iterdir())


def test_results_elsewhere_and_bundles_name_sets_too(
    store: StoreFolder, cohort: Cohort, add_set: AddSet, tmp_path: Path
) -> None:
    save_cohort(cohort, store)
    add_set("enc-a", OLD)
    age(store.features, 10)
    add_set("enc-a", NEW)
    assert kinds(store)
    elsewhere = tmp_path / "results" / "t"
    elsewhere.mkdir(parents=True)
    (elsewhere / "r.json").write_text(json.dumps({"fingerprint": OLD}))
    assert find_garbage(store, [elsewhere.parent]).items == ()
    heads = store.root / "heads" / "t"
    heads.mkdir(parents=True)
    (heads / "bundle.json").write_text(json.dumps({"encoder": {"fingerprint": OLD}}))
    assert kinds(store) == []


def test_a_result_that_cannot_be_read_may_name_any_set(
    store: StoreFolder, cohort: Cohort, add_set: AddSet
) -> None:
    save_cohort(cohort, store)
    add_set("enc-a", OLD)
    age(store.features, 10)
    add_set("enc-a", NEW)
    (store.results / "t").mkdir(parents=True)
    (store.results / "t" / "r.json").write_text("cut off {")
    found = find_garbage(store)
    assert found.items == ()
    assert "r.json" in found.notes[0]


def test_sets_with_other_views_go_only_if_asked(
    store: StoreFolder, cohort: Cohort, add_set: AddSet, make_scan: Callable[..., ScanFeatures]
) -> None:
    save_cohort(cohort, store)
    record = add_set("enc-a", NEW)
    age(store.features, -10)
    write_record(replace(record, fingerprint=OLD, views=("wide",)), store)
    write_features(make_scan("s1", encoder="enc-a", fingerprint=OLD), store)
    [item] = find_garbage(store).items
    assert (item.kind, item.name) == ("other set", "enc-a@aaaaaaaa (wide; float32)")
    assert delete_garbage(find_garbage(store), store) == 0
    assert kinds(store)
    assert delete_garbage(find_garbage(store), store, other_sets=True) == item.size
    assert kinds(store) == []


def test_an_empty_set_goes_and_replaces_nothing(
    store: StoreFolder, cohort: Cohort, add_set: AddSet
) -> None:
    save_cohort(cohort, store)
    add_set("enc-a", OLD)
    age(store.features, 10)
    add_set("enc-a", NEW, scans=())
    assert kinds(store) == [("empty set", "enc-a@bbbbbbbb (lung, bone; float32)")]
    delete_garbage(find_garbage(store), store)
    assert [path.name for path in store.features.iterdir()] == ["enc-a-aaaaaaaa"]


def test_a_set_behind_a_link_goes_with_what_the_link_leads_to(
    store: StoreFolder, cohort: Cohort, add_set: AddSet, tmp_path: Path
) -> None:
    save_cohort(cohort, store)
    add_set("enc-a", OLD)
    age(store.features, 10)
    add_set("enc-a", NEW)
    (store.features / "enc-a-aaaaaaaa").rename(tmp_path / "disk")
    (store.features / "enc-a-aaaaaaaa").symlink_to(tmp_path / "disk")
    bundles = tmp_path / "bundles"
    bundles.mkdir()
    (store.root / "heads").symlink_to(bundles)
    (bundles / "bundle.json").write_text(json.dumps({"fingerprint": OLD}))
    assert find_garbage(store).items == ()
    (bundles / "bundle.json").unlink()
    assert [kind for kind, _ in kinds(store)] == ["superseded set"]
    delete_garbage(find_garbage(store), store)
    assert not (tmp_path / "disk").exists()
    assert [path.name for path in store.features.iterdir()] == ["enc-a-bbbbbbbb"]


def test_what_is_not_the_stores_stays_behind_a_link(
    store: StoreFolder, cohort: Cohort, add_set: AddSet, tmp_path: Path
) -> None:
    save_cohort(cohort, store)
    add_set("enc-a", OLD)
    age(store.features, 10)
    add_set("enc-a", NEW)
    (store.features / "enc-a-aaaaaaaa").rename(tmp_path / "disk")
    (store.features / "enc-a-aaaaaaaa").symlink_to(tmp_path / "disk")
    thesis = tmp_path / "disk" / "thesis" / "chapter.tex"
    thesis.parent.mkdir()
    thesis.write_text("years of work")
    delete_garbage(find_garbage(store), store)
    assert thesis.read_text() == "years of work"
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["thesis"]
    assert [path.name for path in store.features.iterdir()] == ["enc-a-bbbbbbbb"]


def test_a_set_that_a_run_writes_into_is_left_alone(
    store: StoreFolder, cohort: Cohort, add_set: AddSet
) -> None:
    save_cohort(cohort, store)
    record = add_set("enc-a", NEW, scans=())
    folder = store.encoder(record.name, record.fingerprint)
    with in_use(folder):
        found = find_garbage(store)
        assert found.items == ()
        assert "enc-a@bbbbbbbb: a run may be writing into it" in found.notes[0]
    assert not list(folder.glob(".*")), "the mark goes with its process"
    found = find_garbage(store)
    assert [item.kind for item in found.items] == ["empty set"]
    add_set("enc-a", NEW)
    assert delete_garbage(found, store) == 0
    assert len(list(folder.glob("c/*.h5"))) == 2, "it was filled meanwhile"


def test_a_cohort_that_is_gone_takes_its_features_along(full: StoreFolder) -> None:
    (full.cohorts / "c.parquet").unlink()
    found = find_garbage(full)
    assert [item.kind for item in found.items] == ["scans of no cohort", "empty set"]
    assert "the store has no cohort c" in found.items[0].reason
    delete_garbage(found, full)
    assert list(full.features.iterdir()) == []
    assert list(full.results.rglob("*.json")), "results are never garbage"
