"""What a pack holds, and above all what it doesn't."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from clearbench import sharing
from clearbench.errors import BadTask
from clearbench.packs.read import opened_pack
from clearbench.store.feature_store import FeatureStore
from clearbench.store.features import read_file
from clearbench.store.folder import open_store

Packed = Any  # see conftest


def contents(packed: Packed) -> dict[str, str]:
    """Return every file of a pack as text, tables and feature files in the clear."""
    with zipfile.ZipFile(packed.file) as archive:
        texts = {name: archive.read(name).decode("latin-1") for name in archive.namelist()}
    with opened_pack(packed.file) as pack:
        for name in [name for name in texts if name.endswith(".parquet")]:
            texts[name] += str(pyarrow.parquet.read_table(pack.root / name).to_pylist())
    return texts


def test_a_private_pack_holds_no_id_path_place_or_signature(private: Packed) -> None:
    for name, text in contents(private).items():
        for secret in (*private.secrets, str(private.store)):
            assert secret not in name
            assert secret not in text, f"{secret} in {name}"


def test_the_secrets_would_be_found(public: Packed) -> None:
    """A published cohort keeps its ids, so that the test above can fail."""
    found = contents(public)
    text = "".join([*found, *found.values()])
    assert "Miller-7" in text
    assert "SCAN77-1-0" in text
    for secret in public.secrets[2:]:
        assert secret not in text


def test_a_pack_holds_features_labels_folds_card_and_results(private: Packed) -> None:
    folders = {name.rpartition("/")[0]: [] for name in contents(private)}
    for name in contents(private):
        folders[name.rpartition("/")[0]].append(name.rpartition("/")[2])
    assert sorted(folders) == [
        "",
        "results/planted-task",
        "store",
        "store/cohorts",
        "store/features/planted-abababab",
        "store/features/planted-abababab/own",
        "tasks",
    ]
    assert sorted(folders[""]) == ["NOTICE.txt", "pack.json"]
    assert sorted(folders["tasks"]) == ["planted-task.split.json", "planted-task.toml"]
    assert folders["store"] == ["store.json"]
    assert len(folders["store/features/planted-abababab/own"]) == private.patients - 1
    assert len(folders["results/planted-task"]) == 4
    assert [one.scans for one in private.facts.features] == [private.patients - 1]


def test_features_are_as_they_were_stored(private: Packed) -> None:
    """The unit's latest scan alone is packed, and its numbers are untouched."""
    before = FeatureStore(private.store)
    values = {before.features("planted", s).tobytes() for s in all_scans(private.store)}
    with opened_pack(private.file) as pack:
        there = FeatureStore(pack.store.root)
        scans = all_scans(pack.store.root)
        packed = [there.features("planted", scan) for scan in scans]
        assert all(part.dtype == np.float32 for part in packed)
        assert len({part.tobytes() for part in packed} & values) == private.patients - 1
        columns = set(pyarrow.parquet.read_table(pack.store.cohorts / "own.parquet").column_names)
    assert columns == {
        "scan_id",
        "patient_id",
        "path",
        "cohort",
        "public",
        "ill",
        "day",
        "key_slices",
    }


def test_no_picture_or_histogram_is_packed(private: Packed) -> None:
    assert all(read_file(path).sketch for path in private.store.glob("features/*/own/*.h5"))
    with opened_pack(private.file) as pack:
        packed = list(pack.store.root.glob("features/*/own/*.h5"))
        assert packed
        assert not any(read_file(path).sketch for path in packed)


def all_scans(store: Path) -> list[str]:
    return [path.stem for path in store.glob("features/*/own/*.h5")]


def test_a_private_pack_says_that_it_is_patient_data(private: Packed, public: Packed) -> None:
    for packed, words in ((private, "pseudonymised patient data"), (public, "published cohorts")):
        assert words in packed.facts.notice
        assert words in contents(packed)["NOTICE.txt"]
    assert [(one.renamed, one.patients) for one in private.facts.cohorts] == [
        (True, private.patients)
    ]


def test_the_same_content_makes_the_same_file(private: Packed, tmp_path: Path) -> None:
    sharing.pack(str(private.card), tmp_path / "again.zip", store=private.store)
    assert (tmp_path / "again.zip").read_bytes() == private.file.read_bytes()


def test_results_of_another_card_stay_behind(private: Packed, tmp_path: Path) -> None:
    card = tmp_path / private.card.name
    card.write_text(private.card.read_text().replace("version = 1", "version = 2"))
    facts = sharing.pack(str(card), tmp_path / "p.zip", store=private.store)
    assert facts.results == ()
    assert len(facts.left_out) == 2
    assert "card, labels, scans or split changed" in facts.left_out[0]


def test_results_of_unknown_patients_stay_behind(private: Packed, tmp_path: Path) -> None:
    """An id that can't be renamed can't be given away either."""
    source = private.result("knn")
    place = tmp_path / "results" / "planted-task"
    place.mkdir(parents=True)
    (place / source.name).write_bytes(source.read_bytes())
    predictions = source.with_suffix(".predictions.parquet")
    table = pyarrow.parquet.read_table(predictions)
    ids = ["stranger", *table.column("unit").to_pylist()[1:]]
    at = table.column_names.index("unit")
    pyarrow.parquet.write_table(table.set_column(at, "unit", [ids]), place / predictions.name)
    facts = sharing.pack(
        str(private.card), tmp_path / "p.zip", store=private.store, results=tmp_path / "results"
    )
    assert facts.results == ()
    assert "no predictions of these patients" in facts.left_out[0]


def test_notes_that_name_patients_are_cut(private: Packed) -> None:
    [name] = [name for name in private.facts.results if "knn" in name]
    assert json.loads(private.result("knn").read_text())["excluded"][0].count("Miller") == 1
    facts = json.loads(contents(private)[name])
    assert facts["excluded"] == ["1 without features of planted@abababab"]
    guards = {finding["guard"]: finding["says"] for finding in facts["guards"]}
    assert guards["copies"] == guards["contamination"] == "withheld"
    assert guards["sides"].startswith("no patient is on two sides")


def test_a_task_without_features_makes_no_pack(private: Packed, tmp_path: Path) -> None:
    empty = open_store(tmp_path / "empty", create=True)
    shutil.copytree(private.store / "cohorts", empty.cohorts)
    with pytest.raises(BadTask, match="clearbench embed own"):
        sharing.pack(str(private.card), tmp_path / "p.zip", store=empty.root)
    assert not (tmp_path / "p.zip").exists()
