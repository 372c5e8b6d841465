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
        (("-1", "-1.0", "−1", "‑1"), "-1"),
        (("Non-Survivor", "non survivor", "non_survivor", "non - survivor"), "non survivor"),
        (("covid-19",), "covid-19"),
        (("1-2",), "1-2"),
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


# Negative and positive, as a table has them.
DENIED = [
    ("benign", "non-benign"), ("benign", "not benign"), ("Benign", "Non Benign"),
    ("alive", "not alive"), ("survived", "not survived"), ("N0", "not N0"), ("M0", "not M0"),
    ("pN0", "non-pN0"), ("intact", "not intact"), ("negative", "not negative"),
    ("normal", "not normal"), ("survivor", "non-survivor"), ("survivor", "non survivor"),
    ("Survivor", "Non_Survivor"), ("survivor", "nonsurvivor"), ("survivors", "non-survivors"),
    ("healthy", "not healthy"), ("gutartig", "nicht gutartig"), ("bénin", "non bénin"),
    ("disease-free", "not disease free"), ("absent", "not absent"),
    ("not malignant", "malignant"), ("non-malignant", "malignant"), ("NonCOVID", "COVID"),
    ("not abnormal", "abnormal"), ("not detected", "detected"), ("not dead", "dead"),
    ("no finding", "finding"), ("sin hallazgos", "hallazgos"), ("kein Befund", "Befund"),
    ("nicht vorhanden", "vorhanden"), ("no-recurrence", "recurrence"), ("not mutated", "mutated"),
    ("without contrast", "with contrast"), ("non-small-cell", "small cell"),
]  # fmt: skip


@pytest.mark.parametrize(("negative", "positive"), DENIED)
def test_not_x_is_positive_only_where_x_is_healthy(negative: str, positive: str) -> None:
    pair = (fold(negative), fold(positive))
    assert positive_of(pair) == positive_of(pair[::-1]) == fold(positive)


@pytest.mark.parametrize(
    "pair",
    [
        ("a", "b"), ("mild", "severe"), ("1", "2"), ("left", "right"),
        ("responder", "non-responder"), ("responder", "non responder"),
        ("responders", "nonresponders"), ("response", "no response"),
        ("complete response", "no complete response"), ("remission", "no remission"),
        ("diagnostic", "non-diagnostic"), ("resectable", "not resectable"),
        ("viable", "non-viable"), ("union", "non-union"), ("reported", "not reported"),
        ("normal", "not reported"), ("normal", "non-diagnostic"), ("healthy", "poor quality"),
        ("normal", "benign"), ("normal", "not done"), ("control", "excluded"),
        ("normal", "limited quality"), ("negative", "not detected"), ("normal", "unknown"),
        ("healthy", "control"), ("normal", "1"), ("0", "2"), ("no tumour", "tumor"),
        ("no", "yes - left"), ("no", "none"), ("low", "high"), ("mutated", "wild-type"),
    ],
)  # fmt: skip
def test_two_other_words_are_not_guessed(pair: tuple[str, str]) -> None:
    one, other = map(fold, pair)
    assert positive_of((one, other)) == positive_of((other, one)) == ""


@pytest.mark.parametrize("finding", ["nodule", "infarct", "unstable", "injury", "mild", "covid-19"])
def test_a_finding_beside_normal_is_positive(finding: str) -> None:
    assert positive_of(("normal", finding)) == finding


@given(st.sampled_from(DENIED), st.sampled_from(["-", " ", "_", "  ", "‑"]))
def test_hyphens_and_spaces_say_the_same(pair: tuple[str, str], between: str) -> None:
    one, other = (fold(text.replace("-", between).replace(" ", between)) for text in pair)
    assert positive_of((one, other)) == fold(pair[1])


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
        (("0", "1", "7"), ("7",)),
        (("0", "1", "8"), ("8",)),
        (("6", "7", "8", "9", "10"), ()),
        (("1", "2", "3", "4", "5", "6", "7"), ()),
        (("no", "probable", "yes"), ("probable",)),
        (("definite", "possible", "probable"), ()),
        (("absent", "possible", "present"), ("possible",)),
        (("detected", "negative", "not detected"), ("not detected",)),
        (("equivocal", "no", "yes"), ("equivocal",)),
        (("negative", "not detected", "positive"), ("not detected",)),
        (("detected", "not detected"), ()),
        (("normal", "not reported"), ("not reported",)),
    ],
)
def test_codes_that_may_mean_unknown(values: tuple[str, ...], codes: tuple[str, ...]) -> None:
    assert asked(values) == codes


@pytest.mark.parametrize(
    "text",
    ["'--", "--", "Not collected", "not-available", "Not Available", "#VALUE!", "#N/A", "k.A.",
     "k. A.", "keine Angabe", "Unknown", "#DIV/0!", "NA", "?"],
)  # fmt: skip
def test_words_that_mean_unknown(text: str) -> None:
    assert is_unknown(fold(text), (), ())


def test_unknown_words_may_be_classes() -> None:
    assert is_unknown("none", (), ())
    assert not is_unknown("none", ("none", "mild"), ())
    assert is_unknown("9", (), ("9",))
    assert not is_unknown("9", (), ())
