from pathlib import Path

import pytest

from clearbench.errors import BadStore
from clearbench.store.catalogue.fold import refresh
from clearbench.store.catalogue.texts import database_texts, owners_of_files
from clearbench.store.folder import StoreFolder


def test_every_feature_file_has_its_patient(full: StoreFolder) -> None:
    folder = full.features / "enc-a-01234567" / "c"
    assert owners_of_files(full) == {folder / "s1.h5": "p1", folder / "s2.h5": "p1"}


def test_every_text_is_read_with_its_column(full: StoreFolder) -> None:
    found = set(database_texts(refresh(full)))
    assert {("scan_id", "s2"), ("patient_id", "p2"), ("site", "north"), ("unit", "p1")} <= found
    assert ("path", "features/enc-a-01234567/c/s1.h5") in found


def test_what_is_no_catalogue_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.duckdb"
    path.write_bytes(b"nothing" * 100)
    with pytest.raises(BadStore, match="not a readable database"):
        list(database_texts(path))
