"""Each malformed pack or bundle ends in its own sentence, and writes nothing outside its folder."""

import tempfile
from pathlib import Path

import pytest

from clearbench.evaluation.bundles.bundle import read_bundle
from clearbench.packs.read import opened_pack
from clearbench.store.records import list_records
from hostile.cases import Case
from hostile.limits import said_by, try_each, usual_part
from hostile.pack_cases import PACK, bundle_cases, more_damage, pack_cases

KINDS = {"pack": pack_cases, "bundle": bundle_cases}


@pytest.mark.filterwarnings("ignore")  # zipfile warns of a name twice
@pytest.mark.parametrize("kind", KINDS)
def test_a_malformed_pack_or_bundle_is_refused_in_a_sentence(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    try_each(usual_part(KINDS[kind]()), tmp_path / "cases", check)
    assert not list((tmp_path / "temporary").glob("clearbench*"))
    assert {path.name for path in tmp_path.iterdir()} == {"cases", "temporary"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_of_a_pack_or_bundle_is_another_error(kind: str, tmp_path: Path) -> None:
    try_each(more_damage(kind, range(20, 600)), tmp_path, check)


def check(case: Case, folder: Path) -> None:
    def read() -> None:
        if case.name.startswith("bundle"):
            read_bundle(folder)
            return
        with opened_pack(folder / PACK) as pack:
            list_records(pack.store)

    said = said_by(read)
    if case.refused is not None:
        assert bool(said) == case.refused, said or "read"
