"""Files of a store, and tables with paths, are their owner's alone from the first byte on."""

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from clearbench.cohort.files import write_table
from clearbench.cohort.pseudonyms import open_pseudonyms, remember_keys
from clearbench.cohort.table import check_cohort
from clearbench.files import in_use, write_first, write_text, write_whole
from clearbench.rights import is_group_readable
from clearbench.store.catalogue.fold import refresh
from clearbench.store.cohorts import save_cohort
from clearbench.store.folder import (
    StoreFolder,
    find_foreign,
    find_readable,
    open_store,
    share,
)

TABLE = pa.table({"scan_id": ["s"], "patient_id": ["p"], "path": ["/x/MUELLER"]})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root)): mode(path) for path in [root, *root.rglob("*")]}


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Lax, usual and strict."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def fill(store: StoreFolder) -> None:
    """Write what every store has."""
    open_pseudonyms(store.root)
    remember_keys(store.root, {"scan-1": "MUELLER"})
    save_cohort(check_cohort(TABLE, "c", Path("c.csv")), store)
    with in_use(store.features / "e-1"):
        pass
    write_text(store.features / "e-1" / "encoder-more.json", "{}")
    write_text(store.results / "task" / "more.txt", "x")
    refresh(store)


@pytest.mark.usefixtures("umask")
def test_a_store_is_its_owners_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store", create=True)
    fill(store)
    found = modes(store.root)
    assert {"cohorts/c.parquet", "catalogue.duckdb", "keys.csv", "secret.key"} < set(found)
    for name, rights in found.items():
        assert rights == (0o700 if (store.root / name).is_dir() else 0o600), name
    assert find_readable(store) == ()


@pytest.mark.usefixtures("umask")
def test_a_groups_store_is_read_by_the_group_without_its_keys(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store", create=True)
    share(store, group=True)
    fill(store)
    for name, rights in modes(store.root).items():
        alone = 0o600 if name in ("keys.csv", "secret.key") else 0o640
        assert rights == (0o750 if (store.root / name).is_dir() else alone), name
    assert is_group_readable(store.root)
    assert open_store(store.root) == store
    share(store, group=False)
    assert {rights & 0o077 for rights in modes(store.root).values()} == {0}
    refresh(store, rebuild=True)
    assert mode(store.catalogue) == 0o600


def test_what_others_may_read_is_found_and_put_right(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store", create=True)
    fill(store)
    loose = store.cohorts / "c.parquet"
    loose.chmod(0o644)
    store.features.chmod(0o755)
    assert find_readable(store) == (loose, store.features)
    share(store, group=False)
    assert find_readable(store) == ()


def test_what_belongs_to_another_user_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path / "store", create=True)
    fill(store)
    assert find_foreign(store) == ()
    secret = store.root / "secret.key"
    plain = Path.stat

    def stat_of(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        facts = plain(path, follow_symlinks=follow_symlinks)
        return os.stat_result([*facts[:4], 4711, *facts[5:]]) if path == secret else facts

    monkeypatch.setattr(Path, "stat", stat_of)
    assert find_foreign(store) == (secret,)
    assert find_readable(store) == ()


def test_what_links_lead_to_is_found_and_closed_and_never_opened(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store", create=True)
    fill(store)
    disk = tmp_path / "disk"
    store.features.rename(disk)
    store.features.symlink_to(disk)
    inner = disk / "e-1" / "encoder-more.json"
    inner.chmod(0o604)
    disk.chmod(0o755)
    assert find_readable(store) == (store.features, store.features / "e-1" / inner.name)
    share(store, group=True)
    assert find_readable(store) == ()
    assert (mode(disk), mode(inner), mode(store.cohorts)) == (0o750, 0o600, 0o750)
    share(store, group=False)
    assert mode(disk) == 0o700


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("name", ["series.csv", "new/cohort.parquet"])
def test_a_table_with_paths_is_its_owners_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_table(TABLE, path, private=True)
    assert mode(path) == 0o600
    path.chmod(0o644)
    write_table(TABLE, path, private=True)
    assert mode(path) == 0o600
    write_table(TABLE, path, private=True, group=True)
    assert mode(path) == 0o640


def test_files_elsewhere_have_the_rights_that_the_umask_gives(tmp_path: Path) -> None:
    before = os.umask(0o022)
    write_text(tmp_path / "folder" / "file", "x")
    os.umask(before)
    assert (mode(tmp_path / "folder"), mode(tmp_path / "folder" / "file")) == (0o755, 0o644)


def test_a_file_of_that_name_makes_no_store(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text('{"shop": 1}')
    before = os.umask(0o022)
    write_text(tmp_path / "folder" / "file", "x")
    os.umask(before)
    assert mode(tmp_path / "folder" / "file") == 0o644


@pytest.mark.parametrize("private", [True, False])
def test_a_draft_has_its_rights_before_its_first_byte(tmp_path: Path, private: bool) -> None:
    open_store(tmp_path, create=True)
    seen = []

    def write(draft: Path) -> None:
        seen.append((mode(draft), draft.stat().st_size))
        pyarrow.parquet.write_table(TABLE, draft)
        seen.append((mode(draft), 0))

    write_whole(tmp_path / "c.parquet", write, private=private)
    assert seen == [(0o600, 0), (0o600, 0)]
    write_first(tmp_path / "first", b"x", private=private)
    assert mode(tmp_path / "first") == 0o600


def open_to_others(place: str) -> bool:
    """Tell whether others may read a file or folder; one that is gone isn't."""
    try:
        return bool(os.lstat(place).st_mode & 0o077)
    except OSError:
        return False


def readable(root: Path) -> Iterator[str]:
    """Yield the files that others can read; nobody else gets into a folder that is closed."""
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if open_to_others(f"{folder}/{name}")]
        yield from (name for name in files if open_to_others(f"{folder}/{name}"))


def watched(root: Path, work: Callable[[], object]) -> set[str]:
    """Return the files that others could read at any moment of some work."""
    found: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            found.update(readable(root))
            time.sleep(0)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        work()
    finally:
        stop.set()
        thread.join()
    return found


def test_the_catalogue_is_never_open_while_it_is_written(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store", create=True)
    many = pa.table(
        {
            "scan_id": [f"s{i}" for i in range(3000)],
            "patient_id": [f"p{i}" for i in range(3000)],
            "path": [f"/x/MUELLER_{i}" for i in range(3000)],
        }
    )
    store.root.chmod(0o755)  # as a user may have made it
    before = os.umask(0)
    try:
        work = lambda: (  # noqa: E731
            save_cohort(check_cohort(many, "c", Path("c.csv")), store),
            refresh(store),
            refresh(store, rebuild=True),
        )
        assert watched(store.root, work) == set()
    finally:
        os.umask(before)
    assert [path.name for path in store.root.iterdir() if path.name.startswith(".")] == []
