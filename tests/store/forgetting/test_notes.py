from pathlib import Path

import pytest

from clearbench.errors import BadStore
from clearbench.store.forgetting.mentions import Mentions
from clearbench.store.forgetting.notes import count_notes, read_json, without_names

P17 = Mentions(frozenset({"patient-0123456789ab"}), frozenset())


@pytest.mark.parametrize("depth", [3, 500, 100_000])
def test_a_name_is_found_however_deep_it_is(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "r.json"
    path.write_text("[" * depth + '"of patient-0123456789ab"' + "]" * depth)
    assert count_notes(read_json(path), P17) == 1
    assert "0123456789ab" not in str(without_names(read_json(path), P17))


def test_a_file_that_is_too_large_to_be_searched_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    with path.open("wb") as file:
        file.truncate(2**36)
    with pytest.raises(BadStore, match=r"r\.json: can't be searched \(64 GB, more than"):
        read_json(path)
