import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearbench import pipeline
from clearbench.cohort.table import read_cohort
from clearbench.errors import (
    BadArgument,
    BadRequest,
    BadStore,
    UnknownName,
    WeightsUnavailable,
)
from clearbench.evaluation.head_registry import plain_heads
from clearbench.evaluation.task.card import find_task
from clearbench.evaluator import chosen_heads
from clearbench.files import find_drafts
from clearbench.results.record import Result
from clearbench.scans.write import write_nifti
from clearbench.store.cohorts import load_cohort, save_cohort
from clearbench.store.feature_store import FeatureStore
from clearbench.store.folder import ScanKey, open_store

CARD_FILE = str(Path(__file__).parent / "cards" / "tiny.toml")
MODEL = "tiny"
VIEWS = ["abdomen", "lung"]
SPACING_MM = (5.0, 1.0, 1.0)


def hu_of(seed: int, slices: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1000, 400, (slices, 40, 48)).astype(np.int16)


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Five scans of 2 to 6 slices, four patients, one label."""
    lines = ["scan_id,patient_id,path,ill"]
    for number in range(5):
        write_nifti(tmp_path / f"{number}.nii.gz", hu_of(number, 2 + number), SPACING_MM)
        lines.append(f"s{number},p{number % 4},{number}.nii.gz,{number % 2}")
    table = tmp_path / "small.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


def run(cohort: Path, store: Path, **options: object) -> pipeline.EmbedReport:
    options = {"models": [CARD_FILE], "views": VIEWS, "workers": 0, **options}
    return pipeline.embed(cohort, store=store, **options)  # type: ignore[arg-type]


def test_every_scan_gets_its_features(cohort: Path, tmp_path: Path) -> None:
    report = run(cohort, tmp_path / "store")
    assert not report.failed
    store = FeatureStore(tmp_path / "store")
    for number in range(5):
        features = store.features(MODEL, f"s{number}")
        assert features.shape == (2 + number, 2, 64)
        assert np.isfinite(features).all()


def test_a_sketch_is_the_same_for_every_encoder_and_no_query_shows_it(
    cohort: Path, tmp_path: Path
) -> None:
    """Two sets of features under other views; the sketch is pixel data and stays in the files."""
    from clearbench.store.features import read_file

    run(cohort, tmp_path / "store")
    run(cohort, tmp_path / "store", views=["bone"])
    store = FeatureStore(tmp_path / "store")
    for number in range(5):
        files = sorted(store.folder.features.glob(f"*/small/s{number}.h5"))
        one, other = (read_file(file).sketch for file in files)
        assert one is not None
        assert other is not None
        np.testing.assert_array_equal(one.thumbnail, other.thumbnail)
        np.testing.assert_array_equal(one.histogram, other.histogram)
        assert one.slices == 2 + number
    names: set[str] = set()
    features = f"features_tiny_{store.encoders()[0].fingerprint[:8]}"
    for view in ("scans", "slices", features, "encoders", "labels", "duplicates"):
        names |= set(store.table(f"SELECT * FROM {view} LIMIT 0").column_names)
    assert {"slice_index", "patient_id"} <= names
    assert not names & {"thumbnail", "histogram", "sketch"}


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (3, 1), (64, 2)])
def test_features_do_not_depend_on_batches_or_readers(
    cohort: Path, tmp_path: Path, batch_size: int, workers: int
) -> None:
    run(cohort, tmp_path / "a")
    run(cohort, tmp_path / "b", batch_size=batch_size, workers=workers)
    one, other = FeatureStore(tmp_path / "a"), FeatureStore(tmp_path / "b")
    for number in range(5):
        expected = one.features(MODEL, f"s{number}")
        np.testing.assert_allclose(
            other.features(MODEL, f"s{number}"), expected, rtol=1e-4, atol=1e-5
        )


def test_a_set_of_features_is_marked_while_a_run_writes_it(cohort: Path, tmp_path: Path) -> None:
    seen = []
    store = tmp_path / "store"
    run(cohort, store, on_event=lambda _: seen.append({d.writer for d in find_drafts(store)}))
    assert {"running"} in seen
    assert find_drafts(store) == []


def test_a_rerun_reads_nothing_again(cohort: Path, tmp_path: Path) -> None:
    run(cohort, tmp_path / "store")
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.h5")}
    again = run(cohort, tmp_path / "store")
    assert len(again.runs[0].of("skipped")) == 5
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.h5")} == files


def test_a_copied_source_is_still_done(cohort: Path, tmp_path: Path) -> None:
    run(cohort, tmp_path / "store")
    os.utime(tmp_path / "0.nii.gz", (1, 1))
    assert len(run(cohort, tmp_path / "store").runs[0].of("skipped")) == 5


def test_scans_that_the_table_lost_are_named_and_leave_if_asked(
    cohort: Path, tmp_path: Path
) -> None:
    run(cohort, tmp_path / "store")
    cohort.write_text("\n".join(cohort.read_text().splitlines()[:-1]) + "\n")
    store = FeatureStore(tmp_path / "store")
    for options in ({"dry_run": True}, {}):
        [note] = run(cohort, tmp_path / "store", **options).notes
        assert note.startswith("1 scan of the stored cohort small is not in this table any more")
        assert store.sql("SELECT count(*) FROM scans").fetchall() == [(5,)]
    [note] = run(cohort, tmp_path / "store", replace_rows=True).notes
    assert "left the cohort small: s4" in note
    for view in ("scans", "labels", "slices"):
        found = store.sql(f"SELECT DISTINCT scan_id FROM {view}").fetchall()
        assert sorted(found) == [("s0",), ("s1",), ("s2",), ("s3",)], view


def test_an_embed_whose_paths_lead_nowhere_keeps_those_that_do(
    cohort: Path, tmp_path: Path
) -> None:
    run(cohort, tmp_path / "store")
    moved = tmp_path / "moved" / cohort.name
    moved.parent.mkdir()
    moved.write_text(cohort.read_text())
    report = run(moved, tmp_path / "store")
    assert len(report.failed) == 5
    assert "so the stored one, which does, is kept" in report.notes[0]
    again = run("small", tmp_path / "store")  # type: ignore[arg-type]
    assert not again.failed
    assert len(again.runs[0].of("skipped")) == 5


def test_other_pixels_under_a_known_id_fail_until_replaced(cohort: Path, tmp_path: Path) -> None:
    run(cohort, tmp_path / "store")
    before = np.array(FeatureStore(tmp_path / "store").features(MODEL, "s0"))
    write_nifti(tmp_path / "0.nii.gz", hu_of(99, 2), SPACING_MM)
    report = run(cohort, tmp_path / "store")
    assert list(report.failed) == ["s0"]
    assert "use replace" in report.failed["s0"]
    np.testing.assert_array_equal(FeatureStore(tmp_path / "store").features(MODEL, "s0"), before)
    assert not run(cohort, tmp_path / "store", replace=True).failed
    assert not np.allclose(FeatureStore(tmp_path / "store").features(MODEL, "s0"), before)


def test_a_scan_that_cannot_be_read_costs_nothing_else(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "2.nii.gz").write_bytes(b"not a NIfTI file")
    (tmp_path / "3.nii.gz").unlink()
    report = run(cohort, tmp_path / "store", workers=2)
    assert sorted(report.failed) == ["s2", "s3"]
    assert len(report.runs[0].of("written")) == 3


def test_shards_share_the_scans_out(cohort: Path, tmp_path: Path) -> None:
    parts = [
        {
            outcome.scan_id
            for outcome in run(cohort, tmp_path / f"{i}", shard=f"{i}/3").runs[0].outcomes
        }
        for i in (1, 2, 3)
    ]
    assert set.union(*parts) == {f"s{number}" for number in range(5)}
    assert sum(map(len, parts)) == 5


def test_a_dry_run_writes_no_features(cohort: Path, tmp_path: Path) -> None:
    report = run(cohort, tmp_path / "store", dry_run=True)
    assert len(report.runs[0].of("written")) == 5
    assert not list((tmp_path / "store").rglob("*.h5"))


def test_labels_can_be_queried_with_features(cohort: Path, tmp_path: Path) -> None:
    run(cohort, tmp_path / "store")
    rows = FeatureStore(tmp_path / "store").sql(
        "SELECT value, count(*) FROM slices JOIN labels USING (cohort, scan_id) GROUP BY value "
        "ORDER BY value"
    )
    assert rows.fetchall() == [("0", 2 * (2 + 4 + 6)), ("1", 2 * (3 + 5))]


def test_bare_folders_get_pseudonyms(tmp_path: Path) -> None:
    folder = tmp_path / "Mueller_Hans"
    folder.mkdir()
    write_nifti(folder / "Mueller-1950.nii.gz", hu_of(1), SPACING_MM)
    report = run(folder, tmp_path / "store", name="own")
    names = [outcome.scan_id for outcome in report.runs[0].outcomes]
    assert names[0].startswith("scan-")
    assert len(names[0]) == len("scan-") + 12
    stored = [path.name for path in (tmp_path / "store" / "features").rglob("*")]
    assert not any("Mueller" in name for name in stored)


def test_views_that_images_lack_are_named(tmp_path: Path, shared_data: Path) -> None:
    report = run(shared_data / "ct-ich" / "084", tmp_path / "store", views=["lung"])
    [reason] = report.failed.values()
    assert "use views bone,brain" in reason


def test_a_slice_that_lacks_a_window_is_kept(tmp_path: Path, shared_data: Path) -> None:
    run(shared_data / "ct-ich" / "084", tmp_path / "store", views=["brain", "bone"])
    store = FeatureStore(tmp_path / "store")
    counts = store.sql("SELECT view, count(*) FROM slices GROUP BY view ORDER BY view").fetchall()
    assert counts == [("bone", 35), ("brain", 36)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"models": []}, "models=.*name an encoder"),
        ({"shard": "4/3"}, "1 ≤ i ≤ n"),
        ({"batch_size": 0}, "batch_size=0: must be from 1 to 65,536"),
        ({"store_dtype": "int8"}, "store_dtype='int8': must be float32 or float16"),
        ({"models": ["a", "b"], "weights": "w.bin"}, "one encoder"),
    ],
)
def test_requests_that_cannot_be_served(
    cohort: Path, tmp_path: Path, options: dict[str, object], words: str
) -> None:
    with pytest.raises(BadRequest, match=words):
        run(cohort, tmp_path / "store", **options)


def test_a_misspelt_encoder_is_corrected(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean random-vit-tiny"):
        run(cohort, tmp_path / "store", models=["random-vit-tini"])


def test_an_encoder_that_can_not_be_had_changes_nothing(cohort: Path, tmp_path: Path) -> None:
    """Else a failed command would bring back a patient who was taken out of the store."""
    run(cohort, tmp_path / "store")
    store = open_store(tmp_path / "store")
    save_cohort(replace(read_cohort(cohort), table=read_cohort(cohort).table.slice(1)), store)
    before = load_cohort(store, "small").column("scan_id")
    assert "s0" not in before
    with pytest.raises(WeightsUnavailable):
        run(cohort, tmp_path / "store", weights=tmp_path / "none.safetensors")
    assert load_cohort(store, "small").column("scan_id") == before


def test_a_store_of_another_schema_is_refused(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "store.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(BadStore, match="schema 99"):
        run(cohort, tmp_path / "store")


def test_nothing_to_embed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadRequest, match="no scans in it"):
        run(tmp_path / "empty", tmp_path / "store")
    with pytest.raises(BadRequest, match="no such table, folder or file"):
        run(tmp_path / "nothing", tmp_path / "store")


SLOW_RUN = """
import sys, time
from clearbench import pipeline
from clearbench.errors import BadArgument
from clearbench.evaluator import chosen_heads

def wait(event):
    if getattr(event, "status", "") == "written":
        print("one", flush=True)
        time.sleep(0.5)

pipeline.embed(
    sys.argv[1], [sys.argv[3]], views=["abdomen", "lung"], store=sys.argv[2], workers=1,
    batch_size=1, on_event=wait,
)
"""


def stopped_after_one(cohort: Path, store: Path, how: signal.Signals) -> int:
    """Start embedding in a process of its own, and stop it once the first scan is written."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_RUN, str(cohort), str(store), CARD_FILE],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=cohort.parent,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(how)
    process.stdout.close()
    return process.wait(timeout=60)


def readers_of(folder: Path) -> list[str]:
    """Name the processes whose working folder is `folder`."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            found += [link.parent.name] if link.resolve() == folder.resolve() else []
    return found


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="needs /proc")
def test_a_killed_run_leaves_no_reader_behind(cohort: Path, tmp_path: Path) -> None:
    stopped_after_one(cohort, tmp_path / "store", signal.SIGKILL)
    deadline = time.monotonic() + 20
    while readers_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not readers_of(tmp_path)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_loses_nothing(cohort: Path, tmp_path: Path, how: signal.Signals) -> None:
    assert stopped_after_one(cohort, tmp_path / "store", how) != 0
    done = list((tmp_path / "store").rglob("*.h5"))
    assert 1 <= len(done) < 5
    report = run(cohort, tmp_path / "store")
    assert not report.failed
    assert len(report.runs[0].of("skipped")) >= len(done)
    run(cohort, tmp_path / "whole")
    for number in range(5):
        np.testing.assert_allclose(
            FeatureStore(tmp_path / "store").features(MODEL, f"s{number}"),
            FeatureStore(tmp_path / "whole").features(MODEL, f"s{number}"),
            rtol=1e-4,
            atol=1e-5,
        )
    assert not list((tmp_path / "store").rglob("*.tmp"))


def test_a_draft_of_a_killed_run_is_never_taken_as_done(cohort: Path, tmp_path: Path) -> None:
    run(cohort, tmp_path / "store")
    [file] = (tmp_path / "store").rglob("s1.h5")
    draft = file.with_name(f".s1.h5.{os.uname().nodename}-999999.tmp")
    draft.write_bytes(file.read_bytes()[:100])
    file.unlink()
    report = run(cohort, tmp_path / "store")
    assert [outcome.scan_id for outcome in report.runs[0].of("written")] == ["s1"]
    assert not draft.exists()


FULL_DISK = """
import resource, signal, sys
from clearbench.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sys.argv = ["clearbench", *sys.argv[2:]]
main()
"""


def test_a_disk_that_fills_up(cohort: Path, tmp_path: Path) -> None:
    run(cohort, tmp_path / "enough")
    sizes = sorted(path.stat().st_size for path in (tmp_path / "enough").rglob("*.h5"))
    arguments = [str(sizes[2]), "embed", str(cohort), "-m", CARD_FILE, "--views", "abdomen,lung"]
    arguments += ["--store", str(tmp_path / "store"), "--workers", "0", "--batch-size", "1"]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    whole = sorted(path.stem for path in (tmp_path / "store").rglob("*.h5"))
    assert whole
    assert len(whole) < 5
    assert not list((tmp_path / "store").rglob("*.tmp"))
    report = run(cohort, tmp_path / "store")
    assert len(report.runs[0].of("skipped")) == len(whole)
    assert not report.failed


def planted(tmp_path: Path, patients: int = 40) -> Path:
    """Features of 40 patients written without an encoder: the ill have one bright slice of six."""
    from clearbench.store.features import ScanFeatures, write_features
    from clearbench.store.records import EncoderRecord, write_record

    store = open_store(tmp_path / "store", create=True)
    generator = np.random.default_rng(0)
    lines = ["scan_id,patient_id,path,ill"]
    record = EncoderRecord("planted", "ab" * 32, 8, ("soft",), "float32", "float32", "00" * 32)
    for number in range(patients):
        features = generator.normal(size=(6, 1, 8)).astype(np.float32)
        features[generator.integers(6), 0, 0] += 6.0 * (number % 2)
        key = ScanKey(record.name, record.fingerprint, "planted", f"s{number}")
        about = {"fingerprint": record.fingerprint, "views": [{"name": "soft"}], "facts": {}}
        rows = np.arange(6)
        write_features(
            ScanFeatures(
                key,
                f"p{number}",
                features,
                np.ones((6, 1), bool),
                rows.astype(np.float32),
                rows.astype(np.int32),
                "source",
                "pixels",
                about,
            ),
            store,
        )
        lines.append(f"s{number},p{number},.,{number % 2}")
    (tmp_path / "planted.csv").write_text("\n".join(lines) + "\n")
    save_cohort(read_cohort(tmp_path / "planted.csv"), store)
    write_record(record, store)
    return store.root


CARD = """
title = "Planted"
version = 1
cohort = "planted"
target = "binary"
labels = ["ill"]
[split]
folds = 2
repeats = 1
"""


def test_a_planted_signal_is_found_and_kept(tmp_path: Path) -> None:
    store = planted(tmp_path)
    (tmp_path / "planted-task.toml").write_text(CARD)
    results = pipeline.evaluate([str(tmp_path / "planted-task.toml")], store=store)
    values = {result.head: result.score()["value"] for result in results if not result.floor}
    assert set(values) == {"abmil", "mean-logreg"}
    assert all(value is not None and value > 0.85 for value in values.values()), values
    sql = FeatureStore(store)
    predictions = sql.sql(
        "SELECT head, count(DISTINCT patient_id), count(*) FROM predictions "
        "WHERE encoder NOT LIKE 'floor-%' GROUP BY head ORDER BY head"
    )
    assert predictions.fetchall() == [("abmil", 40, 40), ("mean-logreg", 40, 40)]
    sums = sql.sql(
        "SELECT min(w), max(w) FROM (SELECT sum(weight) w FROM attention GROUP BY unit)"
    ).fetchall()
    assert sums[0] == pytest.approx((1.0, 1.0), abs=1e-5)
    again = pipeline.evaluate([str(tmp_path / "planted-task.toml")], store=store)
    assert [result.scores for result in again] == [result.scores for result in results]


def test_a_view_that_is_not_stored_is_refused(tmp_path: Path) -> None:
    store, card = planted(tmp_path), tmp_path / "planted-task.toml"
    card.write_text(CARD)
    with pytest.raises(BadArgument, match="planted@abababab has soft; did you mean soft"):
        pipeline.evaluate([str(card)], store=store, views=["sof"])


def test_stale_results_are_named_and_repeated_alone(tmp_path: Path) -> None:
    """After labels are corrected; a head that is not stale is left as it is."""
    store, card = planted(tmp_path), tmp_path / "planted-task.toml"
    card.write_text(CARD)

    def run(*heads: str, **more: Any) -> list[Result]:
        return pipeline.evaluate([str(card)], store=store, heads=heads, floors=False, **more)

    run("mean-logreg", "knn")
    assert pipeline.stale_results([str(card)], store=store) == ()
    assert run(stale=True) == []
    table = tmp_path / "planted.csv"
    table.write_text(table.read_text().replace("s3,p3,.,1", "s3,p3,.,0"))
    save_cohort(read_cohort(table), open_store(store))
    [knn, mean] = sorted(
        pipeline.stale_results([str(card)], store=store), key=lambda s: s.result.head
    )
    assert (knn.result.head, mean.changed) == ("knn", ("labels", "split"))
    run("mean-logreg")
    [left] = pipeline.stale_results([str(card)], store=store)
    assert left.result.head == "knn"
    assert [result.head for result in run(stale=True)] == ["knn"]
    assert pipeline.stale_results([str(card)], store=store) == ()
    card.write_text(CARD.replace('title = "Planted"', 'title = "New title"'))
    assert pipeline.stale_results([str(card)], store=store) == ()
    card.write_text(CARD.replace("version = 1", "version = 2"))
    assert {each.changed for each in pipeline.stale_results([str(card)], store=store)} == {
        ("version", "card")
    }


def test_floors_and_guards_are_part_of_an_evaluation(tmp_path: Path) -> None:
    store = planted(tmp_path)
    (tmp_path / "planted-task.toml").write_text(CARD)
    results = pipeline.evaluate([str(tmp_path / "planted-task.toml")], store=store)
    floors = {result.encoder: result for result in results if result.floor}
    assert set(floors) == {"floor-permuted", "floor-tags"}, "no sketch, no age, no sex here"
    for floor in floors.values():
        value = floor.score()["value"]
        assert value is not None
        assert 0.2 < value < 0.8
    [encoder, _] = [result for result in results if not result.floor]
    found = {finding["guard"]: finding for finding in encoder.guards}
    assert set(found) == {"sides", "copies", "patients", "tags", "contamination"}
    assert not any(finding["alarm"] for finding in found.values())
    assert found["copies"]["says"] == "not searched: 0 of 40 scans have a thumbnail"
    bare = pipeline.evaluate([str(tmp_path / "planted-task.toml")], store=store, floors=False)
    assert [result.encoder for result in bare] == [encoder.encoder] * 2


def test_all_heads_are_each_kind_once_and_best_is_typed() -> None:
    task = find_task("synthetic-stage")
    assert chosen_heads(task, []) == ["abmil", "mean-logreg"]
    assert chosen_heads(task, ["all"]) == list(plain_heads())
    assert chosen_heads(task, ["all", "knn", "best"]) == [*plain_heads(), "best"]


def test_a_curve_without_the_declared_head_is_refused(tmp_path: Path) -> None:
    store, card = planted(tmp_path), tmp_path / "planted-task.toml"
    card.write_text(CARD)
    with pytest.raises(BadRequest, match="declares the head abmil; evaluate it too"):
        pipeline.evaluate([str(card)], heads=["knn"], fractions="16", store=store)


def test_a_head_that_is_none_is_refused_before_floors_are_trained(tmp_path: Path) -> None:
    store, card = planted(tmp_path), tmp_path / "planted-task.toml"
    card.write_text(CARD)
    with pytest.raises(UnknownName, match="did you mean mean-logreg"):
        pipeline.evaluate([str(card)], heads=["meanlogreg"], store=store, results=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_results_that_can_not_be_written_are_refused_before_a_head_is_trained(
    tmp_path: Path,
) -> None:
    store, card = planted(tmp_path), tmp_path / "planted-task.toml"
    card.write_text(CARD)
    (tmp_path / "file").touch()
    steps: list[object] = []
    for results, heads in ((tmp_path / "file", None), (None, tmp_path / "file" / "heads")):
        with pytest.raises(BadRequest, match="file is a file, not a folder"):
            pipeline.evaluate(
                [str(card)], store=store, results=results, save_heads=heads, on_step=steps.append
            )
    assert not steps


def test_a_task_without_features_names_the_command(cohort: Path, tmp_path: Path) -> None:
    from clearbench.errors import BadTask

    store = planted(tmp_path)
    (tmp_path / "t.toml").write_text(CARD.replace('"planted"', '"small"'))
    run(cohort, store, dry_run=False, models=[CARD_FILE])
    for path in store.rglob("tiny-*/small/*.h5"):
        path.unlink()
    with pytest.raises(BadTask):
        pipeline.evaluate([str(tmp_path / "t.toml")], store=store)
    (tmp_path / "t.toml").write_text(CARD)
    with pytest.raises(UnknownName, match="clearbench embed planted --model tiny"):
        pipeline.evaluate([str(tmp_path / "t.toml")], [MODEL], store=store)


def test_a_volume_encoder_leaves_one_row_a_scan(cohort: Path, tmp_path: Path) -> None:
    card = CARD_FILE.replace("tiny.toml", "tiny-volume.toml")
    report = run(cohort, tmp_path / "store", models=[card], views=[])
    assert not report.failed
    assert report.runs[0].slices == sum(range(2, 7))
    store = FeatureStore(tmp_path / "store")
    assert store.features("tiny-volume", "s3").shape == (1, 1, 16)
    rows = store.sql(
        "SELECT scan_id, slice_index, view, z_mm, len(embedding) FROM slices ORDER BY scan_id"
    ).fetchall()
    assert [row[:3] for row in rows] == [(f"s{n}", -1, "volume") for n in range(5)]
    assert [row[3:] for row in rows] == [(None, 16)] * 5
    again = run(cohort, tmp_path / "store", models=[card], views=[])
    assert [outcome.status for outcome in again.runs[0].outcomes] == ["skipped"] * 5
    with pytest.raises(BadRequest, match="fixed views"):
        run(cohort, tmp_path / "store", models=[card])


def test_one_name_is_not_many_letters() -> None:
    assert pipeline.as_names("mean-logreg") == ("mean-logreg",)
    assert pipeline.as_names(["a", "b"]) == ("a", "b")
