from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from clearbench.board.overall import Overall, TaskResults, one_preset, rank_overall
from clearbench.board.standings import make_standings
from clearbench.results.predictions import predictions_path
from clearbench.results.record import Result

Make = Callable[..., Result]


def results_of(*results: Result) -> TaskResults:
    return TaskResults(results, make_standings(one_preset(results)))


def ranked(*tasks: TaskResults) -> Overall:
    found = rank_overall(tasks, resamples=200)
    assert found is not None
    return found


@pytest.fixture
def task(make_result: Make) -> Callable[..., list[Result]]:
    """Make a task's results, a floor first, of encoders with a strength each."""

    def make(name: str, seed: int = 0, /, **strengths: float) -> list[Result]:
        names = {"floor": 0.0, **strengths}
        return [
            make_result(encoder, strength, 10 * seed + k, task=name, floor=encoder == "floor")
            for k, (encoder, strength) in enumerate(names.items())
        ]

    return make


@pytest.fixture
def first(task: Callable[..., list[Result]]) -> list[Result]:
    return task("first", strong=3.0, weak=0.7)


@pytest.fixture
def second(task: Callable[..., list[Result]]) -> list[Result]:
    return task("second", 1, strong=3.0, weak=0.7)


def test_who_is_better_on_every_task_is_first(first: list[Result], second: list[Result]) -> None:
    found = ranked(results_of(*first), results_of(*second))
    assert (found.preset, found.tasks, found.notes) == ("default", ("first", "second"), ())
    assert [rank.encoder for rank in found.ranks] == ["strong", "weak"], "a floor is not ranked"
    assert (found.ranks[0].value, found.ranks[0].low, found.ranks[0].high) == (1.0, 1.0, 1.0)


def test_the_order_of_results_changes_no_rank(first: list[Result], second: list[Result]) -> None:
    """One task's results were read weak first: the ranks go by name all the same."""
    assert ranked(results_of(*first), results_of(*second[::-1])) == ranked(
        results_of(*first), results_of(*second)
    )


def test_damaged_predictions_leave_one_encoder_out(
    first: list[Result], task: Callable[..., list[Result]]
) -> None:
    second = task("second", 1, strong=3.0, weak=0.7, broken=1.0)
    predictions_path(second[-1]).write_bytes(b"PAR1")
    third = task("third", 2, strong=3.0, weak=0.7, broken=1.0)
    found = ranked(results_of(*first), results_of(*second), results_of(*third))
    assert [rank.encoder for rank in found.ranks] == ["strong", "weak"]
    [note] = found.notes
    assert note.startswith("broken is left out: no result of the declared head on first, se")


def test_encoders_that_are_nearly_equal_have_wide_intervals(
    task: Callable[..., list[Result]],
) -> None:
    found = ranked(*(results_of(*task(n, k, a=1.5, b=1.5)) for k, n in enumerate(("one", "two"))))
    assert all(rank.high - rank.low >= 0.5 for rank in found.ranks)


def test_one_task_has_no_average(first: list[Result]) -> None:
    assert rank_overall([results_of(*first)]) is None
    assert rank_overall([]) is None


def test_a_task_without_signal_does_not_count_and_is_named(
    first: list[Result], second: list[Result], task: Callable[..., list[Result]]
) -> None:
    noise, bare = task("noise", 2, strong=0.0, weak=0.0), task("bare", 3, strong=3.0)[1:]
    found = ranked(*(results_of(*each) for each in (first, second, noise, bare)))
    assert found.tasks == ("first", "second")
    assert len(found.ranks) == 2
    assert found.notes == (
        "bare doesn't count: no floor was evaluated",
        "noise doesn't count: no encoder beats every floor",
    )
    alone = ranked(results_of(*first), results_of(*noise))
    assert alone.ranks == ()
    assert alone.notes[-1] == "fewer than two tasks count, so none is ranked"


def test_an_encoder_that_misses_a_task_is_named_with_the_command(
    first: list[Result], second: list[Result], make_result: Make
) -> None:
    some = make_result("some", 2.0, 9, task="first")
    found = ranked(results_of(*first, some), results_of(*second))
    assert [rank.encoder for rank in found.ranks] == ["strong", "weak"]
    assert found.notes == (
        "some is left out: no result of the declared head on second; run: "
        "clearbench evaluate --task second --model some",
    )
    left = [result for result in second if result.encoder != "weak"]
    alone = ranked(results_of(*first), results_of(*left))
    assert alone.ranks == ()
    assert (
        alone.notes[-1] == "fewer than two encoders have a result on every task, so none is ranked"
    )


def test_a_result_without_predictions_is_as_good_as_none(
    first: list[Result], second: list[Result], make_result: Make
) -> None:
    some = [make_result("some", 2.0, 9, task=name) for name in ("first", "second")]
    Path(predictions_path(some[1])).unlink()
    found = ranked(results_of(*first, some[0]), results_of(*second, some[1]))
    assert "--task second --model some" in found.notes[0]


def test_only_the_declared_head_counts(
    first: list[Result], second: list[Result], make_result: Make
) -> None:
    other = replace(make_result("other", 4.0, 9, task="second"), head="knn")
    found = ranked(results_of(*first), results_of(*second, other))
    assert [rank.encoder for rank in found.ranks] == ["strong", "weak"]


def test_presets_are_not_mixed(first: list[Result], second: list[Result]) -> None:
    clear = [replace(result, preset="clear") for result in second]
    mixed = ranked(results_of(*first), results_of(*clear))
    assert mixed.preset == "default"
    assert mixed.notes[0] == "second doesn't count: no result with the preset default"
    both = [results_of(*(replace(r, preset="clear") for r in some)) for some in (first, second[:2])]
    assert ranked(*both).notes[0].endswith("--task second --model weak --preset clear")


def test_the_newest_version_of_a_task_counts_once(
    first: list[Result], second: list[Result]
) -> None:
    old = [replace(result, task_version=0, split_sha256="o") for result in first[:2]]
    found = ranked(results_of(*first), results_of(*second), results_of(*old))
    assert found.tasks == ("first", "second")
    assert len(found.ranks) == 2


def test_an_encoder_with_several_features_is_ranked_once_for_each(
    first: list[Result], second: list[Result]
) -> None:
    """One more set of features on one task is left out, and named with its fingerprint."""
    more = replace(first[2], fingerprint="e" * 64)
    found = ranked(results_of(*first, more), results_of(*second))
    assert [rank.encoder for rank in found.ranks] == ["strong", "weak@ffffffff"]
    assert found.notes[0].startswith("weak@eeeeeeee is left out")
    assert found.notes[0].endswith("--task second --model weak@eeeeeeee")


def test_other_features_on_each_task_are_one_encoder(
    first: list[Result], second: list[Result]
) -> None:
    """A head and a chest are seen in different windows."""
    other = [replace(result, fingerprint="e" * 64) for result in second]
    found = ranked(results_of(*first), results_of(*other))
    assert [rank.encoder for rank in found.ranks] == ["strong", "weak"]


def test_encoders_meet_on_the_patients_that_all_have(
    first: list[Result], second: list[Result], make_result: Make
) -> None:
    """The same scores, of fewer patients: nobody is ahead."""
    twins = [[*some, replace(some[1], encoder="twin")] for some in (first, second)]
    part = make_result("twin", 3.0, 1, task="first", lost=30)
    twins[0][-1] = part
    whole, twin = ranked(*(results_of(*some) for some in twins)).ranks[:2]
    assert (whole.value, twin.value) == (1.5, 1.5)
