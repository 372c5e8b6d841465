"""Each hostile statement ends in its own sentence or is harmless; nothing is read or written."""

import hashlib
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from clearbench.cohort.table import check_cohort
from clearbench.errors import BadQuery
from clearbench.store.answers import as_csv, as_json, for_screen
from clearbench.store.catalogue.fold import refresh
from clearbench.store.catalogue.limits import Limits
from clearbench.store.catalogue.query import fetch_table
from clearbench.store.cohorts import save_cohort
from clearbench.store.features import ScanFeatures, write_features
from clearbench.store.folder import ScanKey, StoreFolder, open_store
from clearbench.store.records import EncoderRecord, write_record
from hostile.limits import tried
from hostile.sql_cases import ENDLESS, TIME, SqlCase, sql_cases

PLANTED = "MUELLER_HANS_19540302"
CASES: dict[str, list[SqlCase]] = defaultdict(list)
for each in sql_cases():
    CASES[each.kind].append(each)

outside = pa.table({"secret": [PLANTED]})


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreFolder:
    """A store whose paths name a patient, as do a file next to it, the environment, and Python."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLEARBENCH_PLANTED", PLANTED)
    (tmp_path / "planted.csv").write_text(f"secret\n{PLANTED}\n")
    opened = open_store(tmp_path / "store", create=True)
    cells = {
        "scan_id": ["s1"],
        "patient_id": ["p1"],
        "path": [f"/data/{PLANTED}/ct.nii"],
        "site": ["north"],
        "x": ["1"],
    }
    save_cohort(check_cohort(pa.table(cells), "c", tmp_path / "c.csv"), opened)
    features = ScanFeatures(
        key=ScanKey("enc-a", "01" * 32, "c", "s1"),
        patient_id="p1",
        features=np.ones((3, 1, 4), np.float32),
        present=np.ones((3, 1), bool),
        z_mm=np.zeros(3, np.float32),
        slice_index=np.arange(3, dtype=np.int32),
        source_signature="source",
        pixels_signature="pixels",
        about={"fingerprint": "01" * 32, "views": [{"name": "lung"}], "facts": {}},
    )
    write_features(features, opened)
    record = EncoderRecord("enc-a", "01" * 32, 4, ("lung",), "float32", "float32", "00" * 32)
    write_record(record, opened)
    refresh(opened)
    return opened


def test_there_are_many_of_them() -> None:
    assert len({case.statement for cases in CASES.values() for case in cases}) >= 240


@pytest.mark.parametrize("kind", CASES)
def test_a_hostile_statement_reads_and_writes_nothing(store: StoreFolder, kind: str) -> None:
    folder = store.root.parent
    before = digest(folder)
    local = outside
    assert local.num_rows == 1
    places = {"{file}": folder / "planted.csv", "{folder}": folder, "{new}": folder / "new"}
    for case in CASES[kind]:
        statement = case.statement
        for name, place in places.items():
            statement = statement.replace(name, str(place))
        with tried("SQL"):
            answer = what_is_said(store, statement, Limits(timeout_s=20))
        where = f"{statement[:200]!r}: {answer[:500]}"
        assert answer.startswith("refused" if case.said else "answered"), where
        assert case.said in answer, where
        assert PLANTED not in answer, where
        assert "root:x:0" not in answer, where
        # a sentence may repeat what was typed
        assert str(folder) not in answer or str(folder) in statement, where
    assert digest(folder) == before


@pytest.mark.parametrize("statement", ENDLESS)
def test_a_statement_without_end_is_stopped(store: StoreFolder, statement: str) -> None:
    said = ENDLESS[statement]
    limits = Limits(0.3 if said == TIME else 60, memory_gb=0.2, temp_gb=0.2)
    answer = what_is_said(store, statement, limits)
    assert answer.startswith("refused"), answer[:500]
    assert said in answer


def what_is_said(store: StoreFolder, statement: str, limits: Limits) -> str:
    """Run a statement; return the sentence that refuses it, or the answer in every form."""
    try:
        table = fetch_table(store, statement, limits)
    except BadQuery as refusal:
        sentence = str(refusal)
        assert sentence.isprintable(), sentence
        assert len(sentence) < 1000, sentence
        return f"refused: {sentence}"
    assert len(set(table.column_names)) == table.num_columns
    answer = "".join(as_json(table))
    assert len(json.loads(answer, parse_constant=pytest.fail)) == table.num_rows
    assert len(for_screen(table)) == table.num_rows
    return f"answered: {answer} {''.join(as_csv(table))}"


def digest(folder: Path) -> dict[str, str]:
    """Return the content of every file below a folder, in short."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in folder.rglob("*")
    }
