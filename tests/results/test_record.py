import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from clearbench.errors import BadRequest
from clearbench.results.record import SCHEMA, Result, read_result

Make = Callable[..., Result]


def saved(result: Result, place: Path, **more: object) -> Path:
    facts = {name: value for name, value in asdict(result).items() if name != "path"}
    place.write_text(json.dumps(facts | more), encoding="utf-8")
    return place


def test_a_result_comes_back_as_it_was_written(with_value: Make, tmp_path: Path) -> None:
    result = with_value("a", 0.8)
    assert read_result(saved(result, tmp_path / "a.json")) == result


def test_a_result_of_another_version_says_so(with_value: Make, tmp_path: Path) -> None:
    """Not which argument of which function is missing."""
    path = saved(with_value("a", 0.8), tmp_path / "a.json", schema=SCHEMA - 2)
    facts = json.loads(path.read_text())
    del facts["draws"]
    path.write_text(json.dumps(facts))
    with pytest.raises(
        BadRequest, match=rf"its schema is {SCHEMA - 2}, this version needs {SCHEMA}"
    ):
        read_result(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", "3"])
def test_what_is_no_result_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(BadRequest, match=r"broken\.json: not a result of this clearbench"):
        read_result(path)


def test_a_result_without_labels_is_read_and_compared_with_no_other(
    with_value: Make, tmp_path: Path
) -> None:
    """Schema 3 doesn't say which labels a result was made with."""
    path = saved(with_value("f", 0.8, floor=True), tmp_path / "a.json", schema=3)
    facts = json.loads(path.read_text())
    for name in ("content_sha256", "labels_check", "gates", "stored_views", "dim"):
        del facts[name]
    path.write_text(json.dumps(facts))
    read = read_result(path)
    assert (read.labels_check, read.gates) == ("", True)
    assert read.question != with_value("f", 0.8).question
