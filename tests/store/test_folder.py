from pathlib import Path

import pytest

from clearbench.errors import BadStore
from clearbench.store.folder import StoreFolder, default_store, open_store


def test_a_store_is_made_once_and_opened_again(tmp_path: Path) -> None:
    made = open_store(tmp_path / "a" / "store", create=True)
    assert open_store(made.root) == made
    assert open_store(made.root, create=True) == made


def test_the_error_for_a_missing_store_shows_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadStore, match=r"isn't a clearbench store; `clearbench embed` or"):
        open_store(tmp_path)


def test_a_file_is_not_a_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadStore, match="a file, not a folder"):
        open_store(tmp_path / "file", create=True)


def test_another_schema_is_refused(store: StoreFolder) -> None:
    (store.root / "store.json").write_text('{"schema": 99}')
    with pytest.raises(BadStore, match="schema 99"):
        open_store(store.root)


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense"])
def test_a_damaged_mark_is_named(store: StoreFolder, text: str) -> None:
    (store.root / "store.json").write_text(text)
    with pytest.raises(BadStore, match=r"store\.json: damaged"):
        open_store(store.root, create=True)


def test_the_default_store_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLEARBENCH_STORE", raising=False)
    assert default_store() == Path("clearbench-store")
    monkeypatch.setenv("CLEARBENCH_STORE", "/elsewhere")
    assert default_store() == Path("/elsewhere")
