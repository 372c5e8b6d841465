"""Words are read as people mean them; where they may mean two things, that is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearbench.evaluation.task.words import asked, fold, is_unknown, positive_of, spellings, usual


@pytest.mark.parametrize(
    ("texts", "folded"),
    [
        (("Benign", "benign", "benign ", "BENIGN"), "benign"),
        (("1", "1.0", "01", "1.", "+1", "1.00"), "1"),
        (("0", "0.0", "-0", "000"), "0"),
        (("-1", "-1.0"), "-1"),
        (("no  finding", "No finding"), "no finding"),
        (("1.5",), "1.5"),
        (("10",), "10"),
    ],
)
def test_spellings_of_one_value(texts: tuple[str, ...], folded: str) -> None:
    assert {fold(text) for text in texts} == {folded}


@given(st.text(max_size=12))
def test_a_folded_value_stays_as_it_is(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.integers(-10_000, 10_000))
def test_numbers_keep_their_value(number: int) -> None:
    assert fold(str(number)) == fold(f"{number}.0") == str(number)


def test_the_usual_spelling_is_shown() -> None:
    found = spellings(["benign", "Benign", "Benign", "2.0", "2.0", "2"])
    assert {value: usual(texts) for value, texts in found.items()} == {"2": "2", "benign": "Benign"}


@pytest.mark.parametrize(
    ("negative", "positive"),
    [
        ("normal", "abnormal"), ("benign", "malignant"), ("no", "yes"), ("nein", "ja"),
        ("alive", "dead"), ("none", "sdh"), ("no tumor", "tumor"), ("without pe", "with pe"),
        ("not ill", "ill"), ("normal", "covid-19"), ("control", "case"), ("gesund", "krank"),
    ],
)  # fmt: skip
def test_the_positive_of_a_known_pair(negative: str, positive: str) -> None:
    """Whatever their order in the alphabet."""
    assert positive_of((negative, positive)) == positive_of((positive, negative)) == positive


@pytest.mark.parametrize("pair", [("a", "b"), ("mild", "severe"), ("1", "2"), ("left", "right")])
def test_two_other_words_are_not_guessed(pair: tuple[str, str]) -> None:
    assert positive_of(pair) == ""


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        (("-1", "0", "1"), ("-1",)),
        (("0", "1", "9"), ("9",)),
        (("0", "1", "99"), ("99",)),
        (("0", "1", "2"), ()),
        (("7", "8", "9"), ()),
        (tuple("0123456789"), ()),
        (("t1", "t2", "tx"), ("tx",)),
        (("no", "not assessable", "yes"), ("not assessable",)),
        (("0", "1"), ()),
    ],
)
def test_codes_that_may_mean_unknown(values: tuple[str, ...], codes: tuple[str, ...]) -> None:
    assert asked(values) == codes


def test_unknown_words_may_be_classes() -> None:
    assert is_unknown("none", (), ())
    assert not is_unknown("none", ("none", "mild"), ())
    assert is_unknown("9", (), ("9",))
    assert not is_unknown("9", (), ())
