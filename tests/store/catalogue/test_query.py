import gc
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

import clearbench.store.catalogue.query as query
from clearbench.errors import BadQuery
from clearbench.store.catalogue.limits import Limits
from clearbench.store.catalogue.query import fetch_table, run_select
from clearbench.store.features import map_features, read_facts
from clearbench.store.folder import StoreFolder, open_store
from clearbench.store.records import EncoderRecord

FP = "0123456789abcdef" * 4
AddSet = Callable[..., EncoderRecord]
RUN = ("t", "enc-a", FP, "abmil", "default")
EXACT = ("float32", "float32", "w" * 64)
PREDICTED = (*RUN, 0, 1, 0, "p1", "p1")


def rows(store: StoreFolder, statement: str) -> list[Any]:
    return list(run_select(store, statement).fetchall())


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (
            "encoders",
            [("enc-a", FP, "T", "timm", 8, "cls", ["lung", "bone"], *EXACT, "MIT", 1.5, None)],
        ),
        ("labels", [("c", "s1", "p1", "x", "1")]),
        ("splits", [("c", "s1", "p1", "train"), ("c", "s2", "p2", "test")]),
        ("results", [(*RUN, "auroc", 0.75, 0.5, 1.0, 2, "now", 0)]),
        ("predictions", [(*PREDICTED, "x", 1.0, None, 0.9, 0.5)]),
        ("attention", [(*PREDICTED, "s1", 2, "bone", 0.25)]),
    ],
)
def test_a_view_shows_what_is_in_the_store(
    full: StoreFolder, view: str, expected: list[Any]
) -> None:
    assert rows(full, f"SELECT * FROM {view} ORDER BY ALL") == expected


def test_scans_join_cohort_split_and_what_was_read(full: StoreFolder) -> None:
    columns = "scan_id, day, site, split, n_slices, spacing_z_mm, spacing_x_mm, kernel, kvp"
    found = rows(full, f"SELECT {columns}, problems, encoders FROM scans ORDER BY scan_id")
    known = (3, 5.0, None, "B30f", 120.0, "odd", ["enc-a@01234567"])
    assert found == [("s1", 3.0, "north", "train", *known), ("s2", None, "south", "test", *known)]


def test_slices_are_the_present_ones(full: StoreFolder) -> None:
    """Slice 1 (number 2 of its source) of each scan lacks the view lung."""
    found = rows(full, "SELECT scan_id, slice_index, view, z_mm FROM slices ORDER BY ALL")
    one = [(0, "bone", 0.0), (0, "lung", 0.0), (2, "bone", 5.0)]
    one += [(4, "bone", None), (4, "lung", None)]
    assert found == [(scan, *row) for scan in ("s1", "s2") for row in one]
    assert len(rows(full, "SELECT embedding FROM slices")) == 10


def test_embeddings_are_those_of_the_files(full: StoreFolder) -> None:
    where = "scan_id = 's2' AND view = 'bone' ORDER BY slice_index"
    statement = f"SELECT embedding FROM features_enc_a WHERE {where}"
    found = fetch_table(full, statement).column("embedding")
    assert found.type == pa.list_(pa.float32(), 8)
    features = map_features(read_facts(full.features / "enc-a-01234567" / "c" / "s2.h5"))
    np.testing.assert_array_equal(np.array(found.to_pylist(), np.float32), features[:, 1])
    typed = rows(full, "SELECT typeof(embedding) FROM features_enc_a LIMIT 1")
    assert typed == [("FLOAT[8]",)]


def test_embeddings_are_not_copied(store: StoreFolder, add_set: AddSet) -> None:
    """What DuckDB is given is the memory map itself."""
    add_set()
    query.refresh(store)
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{store.catalogue}' AS catalogue (READ_ONLY)")
        before = pa.total_allocated_bytes()
        table = query._embedding_table(connection, store, "enc-a", FP)
    chunk = table.column("embedding").chunk(0).flatten()
    with pa.memory_map(str(store.features / "enc-a-01234567" / "c" / "s1.h5")) as file:
        whole = file.read_buffer()
    facts = read_facts(store.features / "enc-a-01234567" / "c" / "s1.h5")
    assert chunk.buffers()[1].address % 64 == 0
    assert chunk.buffers()[1].address % 4096 == facts.offset % 4096, "it is in a mapped page"
    assert whole.slice(facts.offset, chunk.nbytes).equals(chunk.buffers()[1])
    assert pa.total_allocated_bytes() - before < 4096


def test_half_floats_are_widened(store: StoreFolder, add_set: AddSet) -> None:
    add_set("half", dtype="float16")
    found = rows(store, "SELECT embedding FROM features_half WHERE scan_id = 's1' ORDER BY ALL")
    features = map_features(read_facts(store.features / "half-01234567" / "c" / "s1.h5"))
    expected = sorted(tuple(row) for row in features.astype(np.float32).reshape(-1, 8).tolist())
    assert sorted(tuple(row[0]) for row in found) == expected


def test_files_beyond_the_limit_of_maps_are_copied(
    full: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement = "SELECT embedding FROM features_enc_a ORDER BY ALL"
    mapped = rows(full, statement)
    monkeypatch.setattr(query, "MOST_MAPS", 1)
    assert rows(full, statement) == mapped


def test_two_fingerprints_of_one_encoder_are_never_mixed(
    store: StoreFolder, add_set: AddSet
) -> None:
    add_set()
    add_set(fingerprint="f" * 64, scans=("s1",))
    with pytest.raises(BadQuery, match="features_enc_a"):
        run_select(store, "SELECT * FROM features_enc_a")
    assert len(rows(store, "SELECT embedding FROM features_enc_a_ffffffff")) == 6
    assert len(rows(store, "SELECT embedding FROM FEATURES_ENC_A_01234567")) == 12
    assert len(rows(store, "SELECT embedding FROM slices")) == 18


def test_names_that_differ_by_a_dash_have_separate_views(
    store: StoreFolder, add_set: AddSet
) -> None:
    add_set("a-b")
    add_set("a_b", fingerprint="f" * 64)
    assert len(rows(store, "SELECT * FROM features_a_b_ffffffff")) == 12
    with pytest.raises(BadQuery, match="features_a_b"):
        run_select(store, "SELECT * FROM features_a_b")


def test_an_empty_store_answers(store: StoreFolder) -> None:
    assert rows(store, "SELECT embedding FROM slices") == []
    assert rows(store, "SELECT count(*) FROM scans") == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "FROM scans",
        "WITH a AS (SELECT 1) SELECT * FROM a;",
        "EXPLAIN SELECT * FROM slices",
        "explain analyze select embedding from slices",
        "DESCRIBE features_enc_a",
        "SELECT ';' AS semicolon -- SELECT 2; DROP",
    ],
)
def test_one_select_is_accepted(full: StoreFolder, statement: str) -> None:
    assert rows(full, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "SELECT 1; SELECT 2",
        "DROP VIEW scans",
        "CREATE TEMP TABLE x AS SELECT 1",
        "COPY (SELECT 1) TO 'x.csv'",
        "ATTACH 'x.db'",
        "DETACH catalogue",
        "PRAGMA database_list",
        "SET enable_external_access = true",
        "EXPLAIN DROP VIEW scans",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'x.csv'",
        "EXPLAIN CREATE TABLE x AS SELECT 1",
        "INSERT INTO labels VALUES (1) RETURNING *",
        "DELETE FROM catalogue.labels RETURNING *",
        "INSTALL httpfs",
        "EXPORT DATABASE 'x'",
        "nonsense",
    ],
)
def test_anything_else_is_refused(full: StoreFolder, statement: str) -> None:
    with pytest.raises(BadQuery):
        run_select(full, statement)
    with pytest.raises(BadQuery):
        fetch_table(full, statement)


outside = pa.table({"secret": [1]})


@pytest.mark.parametrize(
    "source",
    [
        "read_csv('/etc/passwd')",
        "read_text('/etc/passwd')",
        "read_blob('/etc/passwd')",
        "'/etc/passwd'",
        "glob('/etc/*')",
        "outside",
        "query('DROP VIEW scans')",
    ],
)
def test_nothing_outside_the_store_is_read(full: StoreFolder, source: str) -> None:
    local = outside
    assert local.num_rows == 1
    with pytest.raises(BadQuery):
        fetch_table(full, f"SELECT * FROM {source}")


def test_a_slow_query_is_stopped(full: StoreFolder) -> None:
    with pytest.raises(BadQuery, match=r"stopped after 0\.2 s"):
        fetch_table(full, "SELECT sum(range) FROM range(1000000000000)", Limits(timeout_s=0.2))


def test_a_wrong_column_is_named_in_a_short_message(full: StoreFolder) -> None:
    with pytest.raises(BadQuery, match="scan_idd") as refusal:
        run_select(full, "SELECT scan_idd FROM scans")
    assert "LINE 1" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_relations_live_on_their_own(full: StoreFolder, add_set: AddSet) -> None:
    """One is read after the store has changed and another query has run."""
    first = run_select(full, "SELECT count(*), sum(embedding[1]) FROM features_enc_a")
    (full.cohorts / "c.parquet").unlink()  # it doesn't have s7
    add_set("enc-a", scans=("s7",))
    assert rows(full, "SELECT count(*) FROM features_enc_a") == [(16,)]
    gc.collect()
    assert first.fetchall()[0][0] == 10


def test_quotes_in_the_stores_path_do_no_harm(tmp_path: Any) -> None:
    store = open_store(tmp_path / "it's a store", create=True)
    assert rows(store, "SELECT count(*) FROM labels") == [(0,)]


def test_an_unknown_view_offers_the_known_ones(full: StoreFolder) -> None:
    with pytest.raises(BadQuery, match=r'no view is called "slice"; did you mean slices\?'):
        fetch_table(full, "SELECT * FROM slice")
    with pytest.raises(BadQuery, match="scans, slices, encoders"):
        fetch_table(full, "SELECT * FROM nothing_like_it")
