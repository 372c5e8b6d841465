from pathlib import Path

import pytest

from clearbench.errors import BadStore
from clearbench.store.folder import SCHEMA, StoreFolder, open_store, read_schema
from clearbench.store.migrate import LOCK, STEPS, Step, migrate


def note(folder: StoreFolder, text: str) -> None:
    """What a step would do: change files, here one that keeps what was done."""
    path = folder.root / "notes.txt"
    path.write_text((path.read_text() if path.exists() else "") + text)


ONE = Step(SCHEMA + 1, "first", lambda folder: note(folder, "1"))
TWO = Step(SCHEMA + 2, "second", lambda folder: note(folder, "2"))


def notes(folder: StoreFolder) -> str:
    path = folder.root / "notes.txt"
    return path.read_text() if path.exists() else ""


def test_steps_lead_from_the_first_schema_to_this_version() -> None:
    assert [step.schema for step in STEPS] == list(range(2, SCHEMA + 1))


def test_a_store_of_this_version_needs_no_step(store: StoreFolder) -> None:
    found = migrate(store.root)
    assert (found.before, found.after, found.steps) == (SCHEMA, SCHEMA, ())


def test_steps_run_in_order_and_once(store: StoreFolder) -> None:
    found = migrate(store.root, steps=[TWO, ONE])
    assert found.steps == (f"{SCHEMA + 1}: first", f"{SCHEMA + 2}: second")
    assert notes(store) == "12"
    assert read_schema(store) == SCHEMA + 2
    assert migrate(store.root, steps=[ONE, TWO]).steps == ()
    assert notes(store) == "12"
    assert not (store.root / LOCK).exists()


def test_a_dry_run_changes_nothing(store: StoreFolder) -> None:
    assert migrate(store.root, dry_run=True, steps=[ONE]).steps == (f"{SCHEMA + 1}: first",)
    assert notes(store) == ""
    assert open_store(store.root) == store


def test_a_stopped_migration_continues_at_the_step_that_failed(store: StoreFolder) -> None:
    def stop(_folder: StoreFolder) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate(store.root, steps=[ONE, Step(SCHEMA + 2, "second", stop)])
    assert read_schema(store) == SCHEMA + 1
    migrate(store.root, steps=[ONE, TWO])
    assert notes(store) == "12"


def test_an_older_store_says_how_to_migrate_and_a_newer_one_to_update(store: StoreFolder) -> None:
    (store.root / "store.json").write_text(f'{{"schema": {SCHEMA - 1}}}')
    with pytest.raises(BadStore, match=r"run: clearbench store migrate --store"):
        open_store(store.root)
    (store.root / "store.json").write_text(f'{{"schema": {SCHEMA + 1}}}')
    for opened in (open_store, migrate):
        with pytest.raises(BadStore, match="a newer clearbench made this store"):
            opened(store.root)


def test_what_no_step_leads_away_from_is_refused(store: StoreFolder) -> None:
    with pytest.raises(BadStore, match="no way leads from schema"):
        migrate(store.root, steps=[TWO])


def test_one_process_migrates_at_a_time(store: StoreFolder) -> None:
    (store.root / LOCK).write_text("")
    with pytest.raises(BadStore, match="another process migrates"):
        migrate(store.root, steps=[ONE])


def test_a_folder_that_is_not_a_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadStore, match="not a clearbench store"):
        migrate(tmp_path)
