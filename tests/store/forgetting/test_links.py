"""A store may lie on several disks: what links lead to belongs to it."""

import shutil
from pathlib import Path

import pytest

from clearbench.cohort.pseudonyms import KEY_TABLE, read_keys
from clearbench.store.folder import StoreFolder
from clearbench.store.forgetting.forget import forget, plan_removal
from clearbench.store.forgetting.mentions import Mentions
from clearbench.store.forgetting.search import search

from .conftest import CLEAR, ONE, TEN, files_with, scan_of


def put_behind_link(path: Path, disk: Path) -> None:
    """Move a file or folder to another disk, and link to it."""
    disk.mkdir(exist_ok=True)
    target = disk / f"content-{len(list(disk.iterdir()))}"
    shutil.move(path, target)
    path.symlink_to(target)


def test_folders_behind_links_are_cleaned_and_searched(store: StoreFolder, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    for folder in (store.results / "t", store.features, store.results, store.cohorts):
        put_behind_link(folder, disk)
    plan = plan_removal(store, [ONE])
    proof = forget(plan)
    assert proof.found == ()
    assert proof.files > len(plan.traces)
    assert files_with(disk, scan_of(ONE), (scan_of(TEN),)) == []
    assert files_with(disk, ONE, (TEN,)) == []
    assert files_with(disk, TEN) != []


def test_files_behind_links_are_cleaned_and_stay_links(store: StoreFolder, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    files = [path for path in sorted(store.root.rglob("*")) if path.is_file()]
    for path in files:
        if path.name not in ("store.json", "catalogue.duckdb") and not path.name.startswith("."):
            put_behind_link(path, disk)
    assert forget(plan_removal(store, [ONE])).found == ()
    for name in (ONE, scan_of(ONE), CLEAR[ONE]):
        assert files_with(disk, name, (TEN, scan_of(TEN), CLEAR[TEN])) == [], name
    assert files_with(disk, TEN) != []
    assert (store.root / KEY_TABLE).is_symlink()
    assert (store.cohorts / "own.parquet").is_symlink()
    assert TEN in read_keys(store.root)
    assert [path for path in store.root.rglob("*") if not path.exists()] == []


def test_an_id_in_the_place_that_a_link_leads_to_is_found(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "link").symlink_to(tmp_path / "patient-0007" / "gone")
    [found] = search(
        [tmp_path / "place"], Mentions(frozenset({"patient-0007"}), frozenset()), tmp_path / "none"
    ).found
    assert "links to" in found


@pytest.mark.parametrize("inner", ["file", "folder"])
def test_what_can_t_be_searched_proves_nothing(
    tmp_path: Path, inner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir() if inner == "folder" else closed.write_text("x")

    def refuse(*_: object, **__: object) -> object:
        raise PermissionError(13, "Permission denied", str(closed))

    monkeypatch.setattr("os.scandir" if inner == "folder" else "mmap.mmap", refuse)
    mentions = Mentions(frozenset({"patient-0007"}), frozenset())
    [found] = search([tmp_path], mentions, tmp_path / "none").found
    assert "can't be searched (Permission denied)" in found
