from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearbench.errors import BadTask
from clearbench.evaluation.bags.load import load_bags, whole_units
from clearbench.evaluation.task.units import make_units
from clearbench.store.features import ScanFeatures, write_features
from clearbench.store.folder import ScanKey, StoreFolder, open_store
from clearbench.store.records import EncoderRecord, write_record

Make = Callable[..., Any]
CARD = {"input": {"views": "free", "default_views": ["lung", "bone"]}}
RECORD = EncoderRecord("e", "f" * 64, 4, ("lung", "bone"), "float32", "float32", "w", CARD)


@pytest.fixture
def store(tmp_path: Path) -> StoreFolder:
    return open_store(tmp_path / "store", create=True)


def write(
    store: StoreFolder,
    scan: str,
    n: int,
    *,
    absent: bool = False,
    of: EncoderRecord = RECORD,
    cohort: str = "c",
    window: float = 0.0,
) -> Any:
    views = len(of.views)
    features = np.random.default_rng(n).normal(size=(n, views, 4)).astype(np.float32)
    present = np.ones((n, views), bool)
    if absent:
        present[0, 1] = False
        features[0, 1] = np.nan
    write_features(
        ScanFeatures(
            ScanKey("e", of.fingerprint, cohort, scan), "p", features, present,
            np.zeros(n, np.float32), np.arange(n, dtype=np.int32) + 10, "a", "b",
            {"views": [{"name": name, "windows_hu": [[window, 1.0]]} for name in of.views]},
        ),
        store,
    )  # fmt: skip
    return features


def test_a_bag_holds_all_slices_and_views_of_a_unit(
    store: StoreFolder, make_cohort: Make, make_task: Make
) -> None:
    first, second = write(store, "s0", 2), write(store, "s1", 3, absent=True)
    units = make_units(make_cohort(patient_id=["a", "a"], x=["1", "0"]), make_task().card)
    kept, [bag] = load_bags(units, RECORD, store)
    assert kept.ids == units.ids
    rows = [*first.reshape(-1, 4), *np.delete(second.reshape(-1, 4), 1, axis=0)]
    np.testing.assert_array_equal(bag.features, rows)
    assert bag.scan_ids == ("s0",) * 4 + ("s1",) * 5
    assert bag.slice_index.tolist() == [10, 10, 11, 11, 10, 11, 11, 12, 12]
    assert bag.views == ("lung", "bone") * 2 + ("lung",) + ("lung", "bone") * 2


def test_one_scan_is_not_copied(store: StoreFolder, make_cohort: Make, make_task: Make) -> None:
    write(store, "s0", 2)
    _, [bag] = load_bags(make_units(make_cohort(x=["1"]), make_task().card), RECORD, store)
    assert not bag.features.flags.writeable
    assert not bag.features.flags.owndata


def test_units_without_features_are_left_out_by_name(
    store: StoreFolder, make_cohort: Make, make_task: Make
) -> None:
    write(store, "s0", 2)
    write(store, "s2", 2)
    cohort = make_cohort(patient_id=["a", "b", "c", "c"], x=["1", "0", "1", "1"])
    kept, bags = load_bags(make_units(cohort, make_task().card), RECORD, store)
    assert kept.ids == ("a",)
    assert len(bags) == 1
    assert kept.excluded == (
        "2 without features of e@ffffffff: b, c (clearbench embed c --model e)",
    )


def test_no_features_at_all_name_the_command(
    store: StoreFolder, make_cohort: Make, make_task: Make
) -> None:
    units = make_units(make_cohort(x=["1"]), make_task().card)
    with pytest.raises(BadTask, match=r"no unit of cohort c .*: clearbench embed c --model e$"):
        load_bags(units, RECORD, store)
    other = EncoderRecord("e", "f" * 64, 4, ("brain",), "float32", "float32", "w", CARD)
    with pytest.raises(BadTask, match=r"clearbench embed c --model e --views brain$"):
        load_bags(units, other, store)


def test_of_marked_slices_alone_a_bag_is_made_where_the_task_says_so(
    store: StoreFolder, make_cohort: Make, make_task: Make
) -> None:
    features = write(store, "s0", 5)
    write(store, "s1", 3)
    cohort = make_cohort(x=["1", "0"], key_slices=["11 13", None])
    units = make_units(cohort, make_task(slices="key").card)
    assert units.excluded == ("1 of 2 patient units have no marked slice",)
    _, [bag] = load_bags(units, RECORD, store)
    np.testing.assert_array_equal(bag.features, features[[1, 3]].reshape(-1, 4))
    assert bag.slice_index.tolist() == [11, 11, 13, 13]


def test_a_volume_encoder_has_no_marked_slices(
    store: StoreFolder, make_cohort: Make, make_task: Make
) -> None:
    write(store, "s0", 1)
    cohort = make_cohort(x=["1", "0"], key_slices=["11", "12"])
    units = make_units(cohort, make_task(slices="key").card)
    whole = replace(RECORD, card={"scope": "volume"})
    with pytest.raises(
        BadTask,
        match=r"e embeds whole scans, but the task takes key slices only .*slices = \"key\"",
    ):
        load_bags(units, whole, store)


def test_only_some_of_the_stored_views(
    store: StoreFolder, make_cohort: Make, make_task: Make
) -> None:
    features = write(store, "s0", 2)
    write(store, "s1", 1, absent=True)
    units = make_units(make_cohort(x=["1", "0"]), make_task().card)
    bone = RECORD.with_views(["bone"])
    kept, [bag] = load_bags(units, bone, store)
    np.testing.assert_array_equal(bag.features, features[:, 1])
    assert bag.views == ("bone", "bone")
    assert kept.excluded == ("1 without the views bone: p1",)
    assert bone.stored_views == ("lung", "bone")
    assert bone.with_views(["lung", "bone"]) == RECORD


BONE = EncoderRecord("e", "a" * 64, 4, ("bone",), "float32", "float32", "w", CARD)


@pytest.mark.parametrize("window", [0.0, 5.0])
def test_a_test_cohort_with_other_views_is_met_on_those_of_both(
    store: StoreFolder, make_cohort: Make, make_task: Make, window: float
) -> None:
    """Its features were made with other views; but one name must mean one window."""
    train = write(store, "s0", 2)
    write_record(RECORD, store)
    write_record(BONE, store)
    test = write(store, "s0", 3, of=BONE, cohort="d", window=window)
    card = make_task().card
    units = make_units(make_cohort(x=["1"]), card)
    both = units.joined(make_units(make_cohort(x=["0"], name="d"), card))
    if window:
        with pytest.raises(BadTask, match="view bone is another window in d; embed both cohorts"):
            load_bags(both, RECORD, store)
        return
    kept, [first, second] = load_bags(both, RECORD, store)
    np.testing.assert_array_equal(first.features, train[:, 1])
    np.testing.assert_array_equal(second.features, test[:, 0])
    assert kept.excluded == ("only the views bone are used; not all cohorts have lung",)


def test_units_with_damaged_features_are_left_out_by_name(
    store: StoreFolder, make_cohort: Make, make_task: Make
) -> None:
    for scan in ("s0", "s1", "s2", "s3"):
        write(store, scan, 2)
    [cut, other] = [next(store.features.glob(f"*/c/{scan}.h5")) for scan in ("s1", "s3")]
    cut.write_bytes(cut.read_bytes()[:700])
    other.write_bytes(next(store.features.glob("*/c/s2.h5")).read_bytes())
    cohort = make_cohort(patient_id=["a", "b", "c", "c"], x=["1", "0", "1", "1"])
    units = make_units(cohort, make_task().card)
    kept, bags = load_bags(units, RECORD, store)
    assert (kept.ids, len(bags)) == (("a",), 1)
    assert kept.excluded == (
        "2 with damaged features of e@ffffffff: b, c (clearbench embed c --model e)",
    )
    assert whole_units(units, RECORD, store) == kept
    for path in store.features.glob("*/c/*.h5"):
        path.write_bytes(b"")
    for load in (load_bags, whole_units):
        with pytest.raises(BadTask, match="3 with damaged features of e@ffffffff: a, b, c"):
            load(units, RECORD, store)


def test_features_of_another_length_than_the_record_says_are_damaged(
    store: StoreFolder, make_cohort: Make, make_task: Make
) -> None:
    write(store, "s0", 2)
    write(store, "s1", 2, of=replace(RECORD, views=("lung",)))
    units = make_units(make_cohort(x=["1", "0"]), make_task().card)
    kept, _ = load_bags(units, RECORD, store)
    assert kept.ids == units.ids[:1]
