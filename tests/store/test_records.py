from collections.abc import Callable

import pytest

from clearbench.errors import BadRequest, BadStore, UnknownName, WeightsUnavailable
from clearbench.store.folder import StoreFolder
from clearbench.store.records import (
    EncoderRecord,
    RunRecord,
    every_record,
    find_record,
    has_cohort,
    list_records,
    measured_rate,
    pin_weights,
    read_run,
    write_run,
)

AddSet = Callable[..., EncoderRecord]


def test_records_are_read_as_they_were_written(store: StoreFolder, add_set: AddSet) -> None:
    second, first = add_set("b"), add_set("a")
    assert list_records(store) == [first, second]
    assert first.reference == "a@01234567"


def test_a_name_finds_its_only_features(store: StoreFolder, add_set: AddSet) -> None:
    record = add_set()
    assert find_record(store, "enc-a") == record
    assert find_record(store, "enc-a@0123", "c") == record


def test_two_sets_of_one_name_need_the_fingerprint(store: StoreFolder, add_set: AddSet) -> None:
    add_set()
    other = add_set(fingerprint="f" * 64)
    with pytest.raises(BadRequest, match=r"enc-a@01234567 \(lung, bone, float32\); enc-a@ffffffff"):
        find_record(store, "enc-a")
    assert find_record(store, "enc-a@ffff") == other


def test_only_sets_of_the_cohort_count(store: StoreFolder, add_set: AddSet) -> None:
    record = add_set()
    empty = add_set(fingerprint="f" * 64, scans=())
    assert has_cohort(store, record, "c")
    assert not has_cohort(store, empty, "c")
    assert find_record(store, "enc-a", "c") == record


def test_the_error_for_an_unknown_set_shows_how_to_make_it(
    store: StoreFolder, add_set: AddSet
) -> None:
    """A misspelt name is corrected; with another name, new features can be made."""
    add_set()
    with pytest.raises(UnknownName, match=r"did you mean enc-a\?$"):
        find_record(store, "enc-", "c")
    with pytest.raises(UnknownName, match="make them with `clearbench embed c --model other`"):
        find_record(store, "other", "c")


@pytest.mark.parametrize("text", ["", "[]", '{"name": "x"}', '{"views": [], "more": 1}'])
def test_a_damaged_record_is_named(store: StoreFolder, add_set: AddSet, text: str) -> None:
    add_set()
    (store.features / "enc-a-01234567" / "encoder.json").write_text(text)
    other = add_set("enc-b")
    assert list_records(store) == [other]
    with pytest.raises(BadStore, match=r"encoder\.json: damaged .*embed with this encoder again"):
        find_record(store, "enc-a")
    with pytest.raises(BadStore, match=r"encoder\.json: damaged"):
        every_record(store)
    add_set()
    assert [record.name for record in every_record(store)] == ["enc-a", "enc-b"]


def test_the_rate_is_the_median_of_runs(store: StoreFolder, add_set: AddSet) -> None:
    record = add_set()
    assert measured_rate(record, store) is None
    runs = store.encoder(record.name, record.fingerprint) / "runs"
    for number, seconds in enumerate((1.0, 2.0, 10.0)):
        write_run(RunRecord(100, 2, seconds, "cpu", 2, 16), record, store)
        [path] = [path for path in runs.iterdir() if path.name[0].isdigit()]
        path.rename(runs / f"run-{number}.json")
    assert measured_rate(record, store) == 50.0
    (runs / "run-9.json").write_text('{"other": 1}')
    assert measured_rate(record, store) == 50.0
    with pytest.raises(BadStore, match=r"run-9\.json: damaged"):
        read_run(runs / "run-9.json")


def test_the_first_weights_are_pinned(store: StoreFolder) -> None:
    pin_weights(store, "e", "a" * 64)
    pin_weights(store, "e", "a" * 64)
    pin_weights(store, "other", "b" * 64)
    with pytest.raises(WeightsUnavailable, match=r"e: the weights changed.*aaaaaaaaaaaa… then"):
        pin_weights(store, "e", "b" * 64)


def test_damaged_pins_are_named(store: StoreFolder) -> None:
    (store.root / "pins.json").write_text("{")
    with pytest.raises(BadStore, match=r"pins\.json: damaged"):
        pin_weights(store, "e", "a" * 64)
