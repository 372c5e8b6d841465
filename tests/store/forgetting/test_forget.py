import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

import clearbench.store.forgetting.forget as story
from clearbench.cohort.pseudonyms import open_pseudonyms, read_keys, remember_keys
from clearbench.cohort.table import check_cohort
from clearbench.errors import BadArgument, BadRequest, BadStore, UnknownName
from clearbench.store.catalogue.query import fetch_table
from clearbench.store.cohorts import cohort_names, load_cohort, save_cohort
from clearbench.store.folder import StoreFolder, open_store
from clearbench.store.forgetting.forget import forget, plan_removal
from clearbench.store.forgetting.journal import JOURNAL
from clearbench.store.forgetting.outside import NOT_SEARCHED
from clearbench.store.forgetting.search import Searched
from clearbench.store.forgetting.traces import Folders
from clearbench.store.garbage import delete_garbage, find_garbage

from .conftest import (
    CLEAR,
    ONE,
    PATIENTS,
    TEN,
    TWO,
    add_cohort,
    add_result,
    files_with,
    scan_of,
)


def tree(root: Path) -> dict[str, bytes]:
    """Every file with its bytes; of the catalogue only that it is there."""
    return {
        path.relative_to(root).as_posix(): b"" if path.suffix == ".duckdb" else path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def remove(store: StoreFolder, *patients: str, **more: Any) -> Searched:
    return forget(plan_removal(store, patients, **more))


def test_listing_changes_nothing(store: StoreFolder) -> None:
    before = tree(store.root)
    plan = plan_removal(store, [ONE])
    assert tree(store.root) == before
    found = {(trace.kind, trace.rows) for trace in plan.traces}
    assert found == {
        ("features", 0),
        ("draft", 0),
        ("rows of results", 2),
        ("rows of results", 1),
        ("result", 2),
        ("key table", 3),
        ("seen", 1),
        ("cohort", 1),
    }


def test_nothing_of_the_patient_is_left_anywhere(store: StoreFolder) -> None:
    """An independent look, before and after: names, bytes, and what tables have decoded."""
    names = (ONE, scan_of(ONE), "study-1", CLEAR[ONE], "scan-f1")
    others = (TEN, scan_of(TEN), "study-10", CLEAR[TEN])
    for name in names:
        assert files_with(store.root, name, others), f"{name}: the look must see it before"
    searched = remove(store, ONE)
    assert searched.found == ()
    assert searched.files == sum(path.is_file() for path in store.root.rglob("*"))
    for name in names:
        assert files_with(store.root, name, others) == []


def test_a_patient_whose_id_begins_alike_keeps_everything(store: StoreFolder) -> None:
    remove(store, ONE)
    assert load_cohort(store, "own").column("patient_id") == [TEN, TWO]
    for folder in store.features.iterdir():
        scans = sorted(path.stem for path in folder.glob("own/*.h5"))
        assert scans == [scan_of(TEN), scan_of(TWO)]
    for path in store.results.rglob("*.parquet"):
        patients = pyarrow.parquet.read_table(path).column("patient_id").to_pylist()
        assert patients == [TEN, TEN, TWO, TWO]
    for path in store.results.rglob("*.csv"):
        assert path.read_text() == f"first_scan,second_scan\n{scan_of(TEN)},{scan_of(TWO)}\n"
    assert set(read_keys(store.root)) == {TEN, TWO, "scan-10", "scan-2", "scan-f0", "scan-f2"}
    [row] = fetch_table(
        store, "SELECT count(*) n, count(DISTINCT patient_id) p FROM predictions"
    ).to_pylist()
    assert row == {"n": 4, "p": 2}


def test_results_keep_their_scores_and_say_who_left(store: StoreFolder) -> None:
    remove(store, ONE)
    for path in store.results.rglob("*.json"):
        facts = json.loads(path.read_text())
        assert facts["scores"]["auroc"]["value"] == 0.75
        assert facts["forgotten"] == 1
        assert facts["excluded"] == [f"2 without features: (removed), {TEN}"]
        assert facts["guards"][0]["says"] == f"(removed) = {scan_of(TEN)}"
    remove(store, TEN, TWO)
    marks = fetch_table(store, "SELECT DISTINCT forgotten FROM results").to_pydict()
    assert marks == {"forgotten": [3]}
    assert cohort_names(store) == [], "a cohort without scans goes"
    assert list(store.results.rglob("*.parquet")) == []


@pytest.mark.parametrize(
    ("facts", "mark"),
    [
        ({}, 1),
        ({"patients_with": (TEN, TWO)}, 0),
        ({"patients_with": (TEN, TWO), "crossed": False}, 1),
        ({"patients_with": (TEN, TWO), "crossed": False, "cohort": "other"}, 0),
        ({"test_cohort": "own", "cohort": "own"}, 1),
    ],
)
def test_only_results_made_with_the_patient_are_marked(
    store: StoreFolder, facts: dict[str, Any], mark: int
) -> None:
    """On a fixed split, a patient without predictions may be in training."""
    shutil.rmtree(store.results)
    patients = facts.pop("patients_with", PATIENTS)
    path = add_result(store.results, patients=patients, excluded=[], guards=[], **facts)
    remove(store, ONE)
    assert json.loads(path.read_text()).get("forgotten", 0) == mark


STEPS = 14  # one per trace, then the proof


@pytest.fixture(scope="module")
def forgotten(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a store after a removal that nothing interrupted."""
    store = open_store(shutil.copytree(filled, tmp_path_factory.mktemp("whole") / "store"))
    remove(store, ONE)
    return tree(store.root)


@pytest.mark.parametrize("step", [0, 5, 10, 12, 13, STEPS])
def test_a_second_run_finishes_what_was_interrupted(
    store: StoreFolder,
    forgotten: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    """Stopped before a step; in the end every file is as if nothing had happened."""
    plan = plan_removal(store, [ONE])
    assert len(plan.traces) == STEPS
    count = iter(range(STEPS + 1))

    def stopping(call: Callable[..., Any]) -> Callable[..., Any]:
        def stops(*arguments: Any) -> Any:
            if next(count) == step:
                raise KeyboardInterrupt
            return call(*arguments)

        return stops

    with monkeypatch.context() as patch:
        removers = {kind: stopping(remover) for kind, remover in story.REMOVERS.items()}
        patch.setattr(story, "REMOVERS", removers)
        patch.setattr(story, "_proof", stopping(story._proof))
        with pytest.raises(KeyboardInterrupt):
            forget(plan)
    again = plan_removal(store, [ONE])
    assert again.resumed
    assert forget(again).found == ()
    assert tree(store.root) == forgotten


def test_an_unfinished_removal_comes_first(
    store: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(story, "refresh", stop)
        with pytest.raises(KeyboardInterrupt):
            remove(store, ONE)
    assert (store.root / JOURNAL).stat().st_mode & 0o077 == 0, "it has ids in clear"
    with pytest.raises(BadStore, match=r"removal of pat-1 is not finished.*--patient pat-1 --yes"):
        plan_removal(store, [TWO])
    remove(store, ONE)
    assert not (store.root / JOURNAL).exists()
    remove(store, TWO)


def test_a_second_run_knows_the_folders_and_the_patient_of_the_first(
    store: StoreFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typed again without --results, and with the PatientID in clear as the first time."""
    one = open_pseudonyms(store.root).name("patient", "4711")
    add_cohort(store, "hidden", (one, TWO))
    remember_keys(store.root, {one: "4711"})
    add_result(tmp_path / "results", cohort="hidden", patients=(one, TWO), excluded=[f"1: {one}"])

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(story, "REMOVERS", dict.fromkeys(story.REMOVERS, stop))
        with pytest.raises(KeyboardInterrupt):
            remove(store, "4711", folders=Folders(results=(tmp_path / "results",)))
    assert remove(store, "4711").found == ()
    assert files_with(tmp_path / "results", one) == []


def test_an_id_of_two_cohorts_needs_their_names(store: StoreFolder) -> None:
    add_cohort(store, "theirs")
    path = add_result(store.results, cohort="theirs", head="knn")
    before = {name: data for name, data in tree(store.root).items() if "theirs" in name}
    before |= {name: data for name, data in tree(store.root).items() if "knn" in name}
    with pytest.raises(BadArgument, match="--cohort own --cohort theirs"):
        plan_removal(store, [ONE])
    with pytest.raises(BadArgument, match="pat-1 is not in other, but in own, theirs"):
        plan_removal(store, [ONE], cohorts=["other"])
    plan = plan_removal(store, [ONE], cohorts=["own"])
    assert any("others have these ids too" in text for text in plan.outside)
    assert forget(plan).found == ()
    after = tree(store.root)
    assert {name: after[name] for name in before} == before, "the other person keeps everything"
    assert "forgotten" not in json.loads(path.read_text())
    assert load_cohort(store, "own").column("patient_id") == [TEN, TWO]
    remove(store, ONE)
    assert files_with(store.root, ONE, (TEN,)) == []


def test_two_cohorts_of_one_task_are_told_apart(store: StoreFolder) -> None:
    """Where a task has two cohorts, ids have the cohort before them."""
    add_cohort(store, "theirs")
    shutil.rmtree(store.results)
    facts = {"cohort": "theirs", "test_cohort": "own", "crossed": False}
    add_result(store.results, **{**facts, "excluded": [], "guards": []})
    [path] = store.results.rglob("*.predictions.parquet")
    table = pyarrow.parquet.read_table(path)
    mine = [name.replace("theirs/", "own/") for name in table.column("unit").to_pylist()]
    for column in ("unit", "patient_id"):
        table = table.set_column(table.column_names.index(column), column, [mine])
    pyarrow.parquet.write_table(table, path)
    remove(store, ONE, cohorts=["own"])
    kept = pyarrow.parquet.read_table(path).column("unit").to_pylist()
    assert kept == [f"own/{TEN}"] * 2 + [f"own/{TWO}"] * 2
    [path] = store.results.rglob("*.attention.parquet")
    units = pyarrow.parquet.read_table(path).column("unit").to_pylist()
    assert f"theirs/{ONE}" in units


def test_a_patient_can_be_named_in_clear(tmp_path: Path) -> None:
    """The PatientID itself is nowhere but in the key table, and leads to the pseudonym."""
    store = open_store(tmp_path / "store", create=True)
    names = open_pseudonyms(store.root)
    one, other = (names.name("patient", name) for name in ("4711", "0815"))
    add_cohort(store, "a", (one, other))
    add_cohort(store, "b", (one, other))
    remember_keys(store.root, {one: "4711", other: "0815"})
    plan = plan_removal(store, ["4711"])
    assert plan.leaving.patients == {one}
    assert plan.leaving.cohorts == {"a", "b"}, "one pseudonym is one person"
    assert forget(plan).found == ()
    assert read_keys(store.root) == {other: "0815"}
    assert files_with(store.root, one) == []


def test_an_unknown_patient_is_refused(store: StoreFolder) -> None:
    with pytest.raises(UnknownName, match=r'no patient of this store is called "pat1"; did you'):
        plan_removal(store, ["pat1"])
    remove(store, ONE)
    with pytest.raises(UnknownName):
        plan_removal(store, [ONE])


def test_an_id_in_the_labels_of_others_is_said(store: StoreFolder) -> None:
    """A column of ids under a name of its own became a label."""
    cohort = load_cohort(store, "own").with_column("comes_with", [TWO, "MRN4712", TEN])
    save_cohort(cohort, store)
    cohort = cohort.with_column("site", [f"house {TWO}", None, None])
    save_cohort(cohort, store)
    said = " ".join(plan_removal(store, [TWO]).outside)
    assert "labels or sites of others have an id of a patient who leaves" in said
    assert "column comes_with of cohort own (1 row)" in said
    assert "column site of cohort own (1 row)" in said
    assert "sites of others" not in " ".join(plan_removal(store, [ONE]).outside)
    with pytest.raises(UnknownName, match=r"labels have it.*column comes_with of cohort own"):
        plan_removal(store, ["MRN4712"])
    with pytest.raises(UnknownName) as refused:
        plan_removal(store, ["1"])
    assert "labels" not in str(refused.value), "a class is no id"


def test_one_patient_id_of_two_issuers_is_asked_for(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store", create=True)
    names = open_pseudonyms(store.root)
    ids = ("0001^^^north", "0001^^^south", "0002")
    patients = tuple(names.name("patient", name) for name in ids)
    add_cohort(store, "a", patients)
    remember_keys(store.root, dict(zip(patients, ids, strict=True)))
    with pytest.raises(UnknownName, match=r"issued to several.*0001\^\^\^north, 0001\^\^\^south"):
        plan_removal(store, ["0001"])
    plan = plan_removal(store, ["0001^^^north"])
    assert plan.leaving.patients == {patients[0]}
    assert "--patient 0001^^^south" in " ".join(plan.outside)
    assert "issuers" not in " ".join(plan_removal(store, ["0002"]).outside)


def test_who_left_the_cohort_before_is_still_found(store: StoreFolder) -> None:
    """Rows were replaced, features collected; predictions and notes are left."""
    table = load_cohort(store, "own").table.slice(1)
    save_cohort(check_cohort(table, "own", Path("/data/c.csv")), store)
    delete_garbage(find_garbage(store), store)
    assert not list(store.features.rglob(f"{scan_of(ONE)}.h5"))
    remove(store, ONE)
    others = (TEN, scan_of(TEN), CLEAR[TEN])
    for name in (ONE, scan_of(ONE), CLEAR[ONE]):
        assert files_with(store.root, name, others) == []


def test_a_note_alone_is_found(store: StoreFolder) -> None:
    """A split file that still had the patient put the id into a later result."""
    remove(store, ONE)
    path = next(store.results.rglob("*.json"))
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "excluded": [f"1 patients have no unit: {ONE}"]}))
    remove(store, ONE)
    assert files_with(store.root, ONE, (TEN,)) == []
    assert json.loads(path.read_text())["forgotten"] == 1


@pytest.mark.parametrize("place", ["note.txt", "results/t/board.md", "heads/x.bin", "pack.zip"])
def test_a_file_that_nobody_knows_fails_the_proof(store: StoreFolder, place: str) -> None:
    path = store.root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if place.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("cohorts/own.csv", f"patient_id,ill\n{ONE},1\n" * 50)
    else:
        path.write_bytes(b"\0\1" * 500 + ONE.encode() + b"\0\1" * 500)
    [found] = remove(store, ONE).found
    assert found.startswith(f"{path}: has {ONE}")
    assert (store.root / JOURNAL).exists(), "the ids are kept for the next search"
    path.unlink()
    assert remove(store, ONE).found == ()
    assert not (store.root / JOURNAL).exists()


def test_results_elsewhere_are_cleaned_and_searched(store: StoreFolder, tmp_path: Path) -> None:
    other = tmp_path / "results"
    add_result(other)
    remove(store, ONE, folders=Folders(results=(other,)))
    assert files_with(other, ONE, (TEN,)) == []
    with pytest.raises(BadRequest, match="nowhere: no such folder"):
        plan_removal(store, [TWO], folders=Folders(results=(tmp_path / "nowhere",)))


def test_the_results_of_the_store_are_done_once(store: StoreFolder) -> None:
    plan = plan_removal(store, [ONE], folders=Folders(results=(store.results,)))
    assert len(plan.traces) == STEPS
    assert forget(plan).found == ()


def test_an_id_like_a_name_changes_no_name(store: StoreFolder) -> None:
    """A patient called as the task, the head and a guard: only the note is about the patient."""
    add_cohort(store, "odd", ("t",))
    path = add_result(store.results, cohort="odd", patients=("t",), head="t", excluded=["1: t"])
    before = json.loads(path.read_text())
    remove(store, "t")
    assert json.loads(path.read_text()) == before | {"excluded": ["1: (removed)"], "forgotten": 1}


def test_stacks_of_slices_go(store: StoreFolder, tmp_path: Path) -> None:
    slices = tmp_path / "pretraining" / "lecl" / "slices"
    slices.mkdir(parents=True)
    for scan in (scan_of(ONE), scan_of(TEN)):
        for suffix in (".npy", ".index.npy"):
            (slices / f"{scan}-0123456789ab{suffix}").write_bytes(b"pixels")
    folders = Folders(pretraining=(tmp_path / "pretraining",))
    assert remove(store, ONE, folders=folders).found == ()
    assert sorted(path.name for path in slices.iterdir()) == [
        f"{scan_of(TEN)}-0123456789ab.index.npy",
        f"{scan_of(TEN)}-0123456789ab.npy",
    ]


def test_a_draft_of_another_host_goes_if_it_is_of_the_patient(store: StoreFolder) -> None:
    folder = store.features / "enc-a-01234567" / "own"
    theirs, others = (
        folder / f".{scan}.h5.elsewhere-1-0.tmp" for scan in (scan_of(ONE), scan_of(TEN))
    )
    theirs.write_bytes(b"half")
    others.write_bytes(b"half")
    assert remove(store, ONE).found == ()
    assert others.exists()
    assert not theirs.exists()


def test_what_stays_is_named(store: StoreFolder, tmp_path: Path) -> None:
    split = tmp_path / "t.split.json"
    fold = {"train": [TEN], "tune": [], "test": [ONE]}
    split.write_text(json.dumps({"cohort": "own", "folds": [fold]}))
    heads = store.root / "heads" / "t"
    heads.mkdir(parents=True)
    (heads / "bundle.json").write_text(json.dumps({"task_card": {"cohort": "own"}}))
    said = plan_removal(store, [ONE], split_files=[split]).outside
    assert f"{split} lists {ONE}" in said[0]
    assert "clearbench tasks freeze t --replace" in said[0]
    assert str(heads) in said[1]
    assert "enc-b@01234567 was pretrained on a patient who leaves" in said[2]
    assert "keys.csv has 2 ids that no cohort has" in said[3]
    assert said[4:] == (NOT_SEARCHED,)
    assert not any("split.json" in text for text in plan_removal(store, [TWO]).outside)


def test_an_id_that_was_changed_later_is_named(store: StoreFolder) -> None:
    """Results have the scan under the old id; only the user can say if it is the same person."""
    table = load_cohort(store, "own").table
    renamed = table.set_column(1, "patient_id", [["new-1", TEN, TWO]])
    save_cohort(check_cohort(renamed, "own", Path("/data/c.csv")), store)
    said = " ".join(plan_removal(store, ["new-1"]).outside)
    assert f"earlier results have these scans under another patient: {ONE}" in said
    plan = plan_removal(store, [ONE])
    assert {trace.kind for trace in plan.traces} >= {"features", "rows of results"}
    assert forget(plan).found == ()
    assert load_cohort(store, "own").column("patient_id") == ["new-1", TEN, TWO]
