"""Technical tags, age and sex as a design matrix that learns from training rows alone."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from clearbench.cohort.table import Cohort
from clearbench.errors import UnknownName
from clearbench.evaluation.guards.tags import (
    TagTable,
    fit_tags,
    person_alarm,
    person_features,
    tag_features,
    tags_alarm,
)

Make = Callable[..., Cohort]


def alone(count: int) -> list[list[str]]:
    """Each scan a unit of its own."""
    return [[f"s{i}"] for i in range(count)]


def test_tags_are_read_from_the_cohort(make_cohort: Make) -> None:
    cohort = make_cohort(
        thickness_mm=["1.5", "5", None, "thick"],
        kernel=["B30f", "b30F ", None, "FC52"],
        label=[1, 0, 1, 0],
    )
    table = tag_features(cohort, alone(4), {"s0": 30, "s1": 60, "s3": 90})
    assert table.number_names == ("thickness_mm", "slices", "scans")
    np.testing.assert_array_equal(table.numbers[:, 0], [1.5, 5, np.nan, np.nan])
    np.testing.assert_array_equal(table.numbers[:, 1], [30, 60, np.nan, 90])
    assert table.category_names == ("kernel",)
    assert table.categories[:, 0].tolist() == ["b30f", "b30f", "", "fc52"]


def test_a_units_scans_are_joined(make_cohort: Make) -> None:
    cohort = make_cohort(kvp=["100", "120", None], site=["north", "south", "north"])
    table = tag_features(cohort, [["s0", "s1"], ["s2"], ["s0", "s2"]], {"s0": 10, "s1": 20})
    assert table.number_names == ("kvp", "slices", "scans")
    np.testing.assert_array_equal(table.numbers, [[110, 15, 2], [np.nan, np.nan, 1], [100, 10, 2]])
    assert table.categories[:, 0].tolist() == ["north + south", "north", "north"]


def test_a_scan_that_is_not_there_is_named(make_cohort: Make) -> None:
    with pytest.raises(UnknownName, match='no scan of cohort c is called "s9"'):
        tag_features(make_cohort(kvp=["100"]), [["s9"]], {})


def table(numbers: list[float], words: list[str]) -> TagTable:
    return TagTable(
        ("kvp",), np.array(numbers, float)[:, None], ("kernel",), np.array(words)[:, None]
    )


def test_levels_and_medians_come_from_training_rows() -> None:
    both = table([100, 120, 140, np.nan, 9000], ["soft", "soft", "sharp", "sharp", "new"])
    encoding = fit_tags(both, [0, 1, 2, 3])
    assert encoding.columns == ("kvp", "kvp unknown", "kernel = sharp", "kernel = soft")
    np.testing.assert_array_equal(
        encoding.design(both),
        [[100, 0, 0, 1], [120, 0, 0, 1], [140, 0, 1, 0], [120, 1, 1, 0], [9000, 0, 0, 0]],
    )


def test_a_level_of_one_training_row_would_name_a_patient() -> None:
    encoding = fit_tags(table([1, 2, 3, 4], ["a", "a", "b", "only me"]), range(4))
    assert encoding.levels == (("kernel", "a"),)


def test_unknown_is_a_level_and_what_never_differs_is_left_out() -> None:
    encoding = fit_tags(table([120, 120, 120, 120], ["", "", "soft", "soft"]), range(4))
    assert encoding.columns == ("kernel = unknown", "kernel = soft")
    nothing = fit_tags(table([120, 120], ["soft", "soft"]), range(2))
    assert nothing.design(table([120, 100, 80], ["a", "b", "c"])).shape == (3, 0)


def test_a_cohort_without_a_column_is_unknown_in_it(make_cohort: Make) -> None:
    here = make_cohort(kvp=["100", "120", "120", None], site=["a", "a", "b", "b"])
    encoding = fit_tags(tag_features(here, alone(4), {}), range(4))
    assert encoding.columns == ("kvp", "kvp unknown", "site = a", "site = b")
    elsewhere = tag_features(make_cohort(model=["One", "Two"]), alone(2), {})
    np.testing.assert_array_equal(encoding.design(elsewhere), [[120, 1, 0, 0]] * 2)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 20), st.integers(1, 20))
def test_test_rows_never_change_the_encoding(seed: int, train: int, test: int) -> None:
    rng = np.random.default_rng(seed)
    words = rng.choice(["", "a", "b", "c"], (train + test, 2)).astype(np.str_)
    numbers = np.where(rng.random((train + test, 2)) < 0.3, np.nan, rng.normal(size=words.shape))
    whole = TagTable(("n", "m"), numbers, ("v", "w"), words)
    alone_ = TagTable(("n", "m"), numbers[:train], ("v", "w"), words[:train])
    encoding = fit_tags(whole, range(train))
    assert encoding == fit_tags(alone_, range(train))
    design = encoding.design(whole)
    assert design.shape == (train + test, len(encoding.columns))
    assert np.isfinite(design).all()
    np.testing.assert_array_equal(design[:train], encoding.design(alone_))


def test_a_scanner_that_knows_the_label_is_found_and_noise_is_not(make_cohort: Make) -> None:
    """What the guard is for: the ill were scanned on another machine, mostly."""
    rng = np.random.default_rng(0)
    ill = rng.random(300) < 0.5
    leaky = np.where(rng.random(300) < 0.9, ill, ~ill)
    scores = {}
    for name, machine in (("leaky", leaky), ("blind", rng.random(300) < 0.5)):
        cohort = make_cohort(model=np.where(machine, "One", "Two"), kvp=rng.choice([100, 120], 300))
        tags = tag_features(cohort, alone(300), dict.fromkeys((f"s{i}" for i in range(300)), 40))
        design = fit_tags(tags, range(200)).design(tags)
        model = LogisticRegression().fit(design[:200], ill[:200])
        scores[name] = roc_auc_score(ill[200:], model.predict_proba(design[200:])[:, 1])
    assert scores["leaky"] > 0.8
    assert 0.35 < scores["blind"] < 0.65


@pytest.mark.parametrize(
    ("column", "values", "years"),
    [
        ("age", ["63", "7.5"], [63, 7.5]),
        ("PatientAge", ["063Y", "018M"], [63, 1.5]),
        ("Age (years)", ["about 60", "60"], [np.nan, 60]),
        ("patient_age", ["001W", "old"], [7 / 365.25, np.nan]),
        ("age_years", ["-1", "40"], [np.nan, 40]),
    ],
)
def test_ages_are_read_in_their_usual_spellings(
    make_cohort: Make, column: str, values: list[str], years: list[float]
) -> None:
    found = person_features(make_cohort(**{column: values}), alone(2))
    assert found.names == ("age",)
    np.testing.assert_allclose(found.numbers[:, 0], years)


def test_sexes_are_read_in_their_usual_spellings(make_cohort: Make) -> None:
    words = ["M", "male ", "F", "Female", "O", None, "1"]
    found = person_features(make_cohort(Gender=words), alone(7))
    assert found.names == ("sex",)
    wanted = ["male", "male", "female", "female", "o", "", "1"]
    assert found.categories[:, 0].tolist() == wanted


def test_a_cohort_without_age_and_sex_has_no_columns(make_cohort: Make) -> None:
    found = person_features(make_cohort(stage=["1", "2"]), alone(2))
    assert found.names == ()
    assert fit_tags(found, [0]).design(found).shape == (2, 0)


@pytest.mark.parametrize("low", [None, float("nan"), 0.2, 0.6])
def test_no_alarm_without_proof(low: float | None) -> None:
    assert tags_alarm(low) == person_alarm(low) == ""


def test_an_alarm_says_what_predicts_the_label_and_what_to_do() -> None:
    assert "technical tags alone predict this label (AUROC at least 0.71)" in tags_alarm(0.71)
    assert "compare it with the floor" in tags_alarm(0.71)
    assert "age and sex alone predict this label (AUROC at least 0.61)" in person_alarm(0.61)
