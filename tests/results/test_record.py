import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from clearbench.errors import BadRequest
from clearbench.results.record import CHECKS, SCHEMA, Result, find_results, read_result

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
    for name in (*CHECKS, "gates", "stored_views", "dim"):
        del facts[name]
    path.write_text(json.dumps(facts))
    read = read_result(path)
    assert (read.labels_check, read.gates) == ("", True)
    assert read.question != with_value("f", 0.8).question


def test_two_folders_with_one_name_keep_both_questions(with_value: Make, tmp_path: Path) -> None:
    """Labels were corrected in one store: neither result hides the other, in any order."""
    folders = [tmp_path / name for name in ("before", "after")]
    for folder in folders:
        folder.mkdir()
        saved(with_value("a", 0.6, labels_check=folder.name), folder / "a.json")
    for order in (folders, folders[::-1]):
        found = find_results(order).results
        assert {each.labels_check for each in found} == {"before", "after"}


def test_of_equal_results_that_of_the_first_folder_is_taken(
    with_value: Make, tmp_path: Path
) -> None:
    for name, value in (("mine", 0.6), ("published", 0.7)):
        (tmp_path / name).mkdir()
        saved(with_value("a", value), tmp_path / name / "a.json")
    [found] = find_results([tmp_path / "mine", tmp_path / "published"]).results
    assert found.score()["value"] == 0.6


def test_results_behind_a_link_to_a_folder_are_found(with_value: Make, tmp_path: Path) -> None:
    for name in ("disk", "results"):
        (tmp_path / name).mkdir()
    saved(with_value("a", 0.6), tmp_path / "disk" / "a.json")
    (tmp_path / "results" / "t").symlink_to(tmp_path / "disk")
    assert len(find_results([tmp_path / "results"]).results) == 1
