"""Each damaged file of a store costs only itself, is named, and embedding again heals it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from clearbench.cohort.pseudonyms import KEY_TABLE, SECRET_FILE, open_pseudonyms, read_keys
from clearbench.engines.reader import ReadTask, facts_before
from clearbench.errors import BadStore, UnreadableScan
from clearbench.scans.slices import ScanSource
from clearbench.store.catalogue.fold import damaged_files, refresh
from clearbench.store.feature_store import FeatureStore
from clearbench.store.features import ScanFeatures, file_image
from clearbench.store.folder import STORE_FILE, StoreFolder, open_store
from clearbench.store.forgetting.journal import JOURNAL, read_journal
from clearbench.store.garbage import find_garbage
from clearbench.store.records import PINS, RunRecord, read_pins, write_record
from clearbench.store.result_columns import ATTENTION, PREDICTIONS
from hostile.cases import Case
from hostile.limits import tried
from hostile.store_cases import (
    FP,
    RECORD,
    catalogue_cases,
    encoder_cases,
    file_cases,
    json_cases,
    key_cases,
    make_scan,
    parquet_cases,
    result_cases,
    run_cases,
    secret_cases,
    table_bytes,
)

GOOD = ("good-1", "good-2")
CARD = {"title": "T", "weights": {"licence": "MIT"}, "facts": {"parameters_m": 1.0}}
RUN = RunRecord(9, 2, 1.0, "cpu", 2, 16)
RESULT = {
    **dict.fromkeys(("task", "encoder", "head", "preset"), "a"),
    **{"fingerprint": FP, "created": "now", "patients": 2},
    "scores": {"auroc": {"value": 0.5, "low": 0.1, "high": 0.9}},
}
JOURNAL_FACTS = {
    **{key: [] for key in ("patients", "cohorts", "names", "identifiers", "shared")},
    **{"results": [], "pretraining": [], "scans": [["c", "s"]], "marks": {"a": 1}},
}


def test_there_are_hundreds_of_them() -> None:
    files = [case.name for case in file_cases()]
    assert len(files) > 200
    assert len(set(files)) == len(files)


@pytest.fixture
def store(tmp_path: Path) -> StoreFolder:
    """A store with two good scans of one encoder and one cohort."""
    folder = open_store(tmp_path / "store", create=True)
    record = replace(RECORD, card=CARD)
    write_record(record, folder)
    for scan in GOOD:
        put_features(make_scan(scan), folder)
    ids = pa.array(GOOD)
    put_table(folder.cohorts / "c.parquet", cohort_table(ids))
    return folder


def put_features(scan: ScanFeatures, store: StoreFolder) -> Path:
    """Write a feature file as clearbench does, without waiting for the disk."""
    path = scan.key.path(store)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_bytes(file_image(scan))
    return draft.replace(path)


def cohort_table(ids: pa.Array) -> pa.Table:
    return pa.table({"scan_id": ids, "patient_id": ids, "path": ids, "ill": ["1"] * len(ids)})


def put_table(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(table_bytes(table))


def assert_good_ones_are_there(store: StoreFolder) -> None:
    table = FeatureStore(store.root).table(
        "SELECT DISTINCT scan_id, value, first(embedding ORDER BY slice_index, view DESC) AS e "
        "FROM features_enc JOIN labels USING (cohort, scan_id) GROUP BY ALL ORDER BY ALL"
    )
    assert table.column("scan_id").to_pylist() == list(GOOD)
    for scan, found in zip(GOOD, table.column("e").to_pylist(), strict=True):
        np.testing.assert_array_equal(np.float32(found), make_scan(scan).features[0, 0])


def assert_named(faults: Iterator[str] | list[str], cases: Mapping[Path, Case]) -> None:
    """Each case has its own clear sentence, and nothing else has one."""
    said = {path: fault for path in cases for fault in faults if fault.startswith(f"{path}: ")}
    for path, case in cases.items():
        assert path in said, f"{case.name}: nothing is said"
        text = said[path]
        assert len(text) < 700, f"{case.name}: {text}"
        assert text.isprintable(), f"{case.name}: {text!r}"
        assert "root:" not in text
        assert "; " in text, f"{case.name}: no way out in {text}"
    assert len(said) == len(list(faults)), set(faults) - set(said.values())


def test_a_damaged_feature_file_is_one_missing_scan(store: StoreFolder) -> None:
    cases = {}
    for number, case in enumerate(file_cases()):
        path = put_features(make_scan(f"case-{number}"), store)
        case.write(path)
        cases[path] = case
    ids = [*GOOD, *(path.stem for path in cases)]
    put_table(store.cohorts / "c.parquet", cohort_table(pa.array(ids)))
    with tried("store: features, all at once", len(cases)):
        assert_named(damaged_files(store), cases)
    checked = FeatureStore(store.root).verify()
    assert (checked.intact, checked.others) == (2, ())
    assert_named(list(checked.damaged), cases)
    rows = FeatureStore(store.root).table("SELECT DISTINCT scan_id FROM slices ORDER BY ALL")
    assert rows.column("scan_id").to_pylist() == list(GOOD)
    assert find_garbage(store).items == ()
    for path in cases:
        with pytest.raises((BadStore, KeyError)):
            FeatureStore(store.root).features("enc", path.stem)
    heal(store, cases)


def heal(store: StoreFolder, cases: Mapping[Path, Case]) -> None:
    """Embed again: what is not done is written; only a folder stays in the way."""
    folders = []
    for path, case in cases.items():
        task = ReadTask(path.stem, "p", ScanSource(path), path, record=RECORD)
        if path.is_dir():
            folders.append(path)
            with pytest.raises(UnreadableScan, match="is a folder where its features belong"):
                facts_before(task)
            continue
        assert facts_before(task) is None, case.name
        put_features(make_scan(path.stem), store)
        assert facts_before(task) is not None
    checked = FeatureStore(store.root).verify()
    assert checked.intact == 2 + len(cases) - len(folders)
    assert [text.partition(":")[0] for text in checked.damaged] == list(map(str, folders))
    assert checked.others == ()


def test_a_damaged_encoder_record_costs_its_own_features(store: StoreFolder) -> None:
    cases = {}
    good = asdict(replace(RECORD, card=CARD))
    for number, case in enumerate(encoder_cases(good)):
        name = f"case-{number}"
        path = write_record(replace(RECORD, name=name, card=CARD), store)
        own = Case(case.name, case.write)
        put_features(make_scan(GOOD[0], encoder=name), store)
        own.write(path)
        cases[path] = own
    # a record that says another name is that of another folder
    with tried("store: records, all at once", len(cases)):
        assert_named(damaged_files(store), cases)
    assert_good_ones_are_there(store)
    table = FeatureStore(store.root).table("SELECT encoder FROM encoders")
    assert table.to_pydict() == {"encoder": ["enc"]}
    assert [record.name for record in FeatureStore(store.root).encoders()] == ["enc"]
    assert find_garbage(store).items == ()
    for number, path in enumerate(cases):
        if not path.is_dir():
            write_record(replace(RECORD, name=f"case-{number}", card=CARD), store)
    assert len(damaged_files(store)) == 1


def test_a_damaged_run_costs_only_its_speed(store: StoreFolder) -> None:
    runs = store.encoder("enc", FP) / "runs"
    runs.mkdir()
    (runs / "good.json").write_text(json.dumps(asdict(RUN)))
    cases = {}
    for number, case in enumerate(run_cases(asdict(RUN))):
        path = runs / f"{number}.json"
        path.touch()
        case.write(path)
        cases[path] = case
    with tried("store: records, all at once", len(cases)):
        assert_named(damaged_files(store), cases)
    table = FeatureStore(store.root).table("SELECT slices_per_s FROM encoders")
    assert table.to_pydict() == {"slices_per_s": [9.0]}


def test_a_damaged_cohort_costs_only_itself(store: StoreFolder) -> None:
    ids = pa.array(["a", "b"])
    cases = {}
    for number, case in enumerate(parquet_cases(cohort_table(ids), "scan_id")):
        path = store.cohorts / f"case-{number}.parquet"
        path.touch()
        case.write(path)
        put_features(make_scan("a", cohort=path.stem), store)
        cases[path] = case
    with tried("store: tables, all at once", len(cases)):
        assert_named(damaged_files(store), cases)
    assert_good_ones_are_there(store)
    found = find_garbage(store)
    assert found.items == (), "what an unreadable cohort has is not known"
    assert len(found.notes) == len(cases)


def test_a_damaged_result_costs_only_itself(store: StoreFolder) -> None:
    place = store.results / "t"
    good, attention = one_row(PREDICTIONS), one_row(ATTENTION)
    cases = {}
    every = [(case, ".json") for case in result_cases(RESULT)]
    every += [(case, ".predictions.parquet") for case in parquet_cases(good, "head")]
    every += [(case, ".attention.parquet") for case in parquet_cases(attention, "head")]
    every.append((Case("nothing", lambda _: None), ""))
    for number, (case, suffix) in enumerate(every):
        put_table(place / f"{number}.predictions.parquet", good)
        put_table(place / f"{number}.attention.parquet", attention)
        (place / f"{number}.json").write_text(json.dumps(RESULT))
        if suffix:
            path = place / f"{number}{suffix}"
            case.write(path)
            cases[path] = case
    with tried("store: tables, all at once", len(cases)):
        assert_named(damaged_files(store), cases)
    whole = sum(suffix != ".json" for _, suffix in every)
    opened = FeatureStore(store.root)
    assert opened.table("SELECT metric FROM results").num_rows == whole
    for table, column in (("predictions", "score"), ("attention", "weight")):
        own = sum(suffix == f".{table}.parquet" for _, suffix in every)
        assert opened.table(f"SELECT {column} FROM {table}").num_rows == whole - own


def one_row(schema: pa.Schema) -> pa.Table:
    row = {field.name: 0.5 if pa.types.is_floating(field.type) else 0 for field in schema}
    row |= {field.name: "a" for field in schema if field.type == pa.string()}
    return pa.Table.from_pylist([row], schema=schema)


SINGLE: Mapping[str, tuple[Any, Any]] = {
    STORE_FILE: (
        open_store,
        json_cases({"schema": 1}, {"schema": (-1, 1.5, "1", True, None, 10**9, float("inf"))}),
    ),
    PINS: (lambda root: read_pins(StoreFolder(root)), json_cases({}, {"enc": (1, None)})),
    JOURNAL: (
        lambda root: read_journal(StoreFolder(root)),
        json_cases(
            JOURNAL_FACTS,
            {key: ("abc", [1], None) for key in ("patients", "results", "scans")}
            | {"marks": ([], {"a": "b"}, {"a": -1})},
        ),
    ),
    KEY_TABLE: (read_keys, key_cases()),
    SECRET_FILE: (open_pseudonyms, secret_cases()),
}


@pytest.mark.parametrize("name", SINGLE)
def test_a_damaged_record_of_the_store_is_one_sentence(name: str, store: StoreFolder) -> None:
    read, cases = SINGLE[name]
    path = store.root / name
    for case in cases:
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.touch()
        case.write(path)
        with tried("store: keys and settings"), pytest.raises(BadStore) as caught:
            read(store.root)
        fault = str(caught.value)
        if "isn't a clearbench store" not in fault:
            assert_named([fault], {path: case})


@pytest.mark.parametrize("case", list(catalogue_cases()), ids=lambda case: case.name)
def test_a_damaged_catalogue_is_made_anew(case: Case, store: StoreFolder) -> None:
    path = refresh(store)
    case.write(path)
    with tried("store: catalogue"):
        assert damaged_files(store) == []
        assert_good_ones_are_there(store)
    for fault in FeatureStore(store.root).verify().others:
        assert "catalogue.duckdb: damaged" in fault
        assert "make it again: clearbench store reindex" in fault
    refresh(store, rebuild=True)
    assert FeatureStore(store.root).verify().sound
