import pytest

from clearbench.errors import BadStore
from clearbench.store.folder import StoreFolder
from clearbench.store.forgetting.journal import Journal, journal_path, read_journal, write_journal
from clearbench.store.forgetting.leaving import Leaving
from clearbench.store.forgetting.traces import Folders


def test_who_leaves_is_read_back(store: StoreFolder) -> None:
    assert read_journal(store) is None
    leaving = Leaving(
        patients=frozenset({"p1"}),
        cohorts=frozenset({"c"}),
        scans=frozenset({("c", "s1"), ("c", "s2")}),
        names=frozenset({"p1", "s1", "s2"}),
        identifiers=frozenset({"Müller"}),
        shared=frozenset({"s3"}),
    )
    journal = Journal(leaving, Folders(results=(store.results,)), {"r.json": 2})
    write_journal(store, journal)
    assert read_journal(store) == journal
    assert journal_path(store).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["cut", "[]", '{"patients": []}'])
def test_a_damaged_journal_says_what_to_do(store: StoreFolder, text: str) -> None:
    journal_path(store).write_text(text)
    with pytest.raises(BadStore, match=r"forgetting\.json: damaged .*forget the patient again"):
        read_journal(store)
