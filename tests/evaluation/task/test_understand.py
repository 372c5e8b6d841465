"""What the values of a label are taken for; where it would be a guess, the way to say it."""

from pathlib import Path

import pytest

from clearbench.cohort.table import Cohort, read_cohort
from clearbench.errors import BadTask
from clearbench.evaluation.task.understand import Understood, Wishes, understand


def cohort(folder: Path, **labels: str) -> Cohort:
    """A cohort with one scan per letter (or per word, if there is a space) of each label."""
    columns = {name: text.split(" ") for name, text in labels.items()}
    count = len(next(iter(columns.values())))
    rows = [f"s{n},p{n},.," + ",".join(c[n] for c in columns.values()) for n in range(count)]
    path = folder / "mine.csv"
    path.write_text(f"scan_id,patient_id,path,{','.join(columns)}\n" + "\n".join(rows) + "\n")
    return read_cohort(path)


def read(folder: Path, values: str, **wishes: object) -> Understood:
    """Understand one label, called y."""
    return understand(cohort(folder, y=values), ("y",), Wishes(**wishes))  # type: ignore[arg-type]


def test_the_alphabet_never_decides_which_word_is_positive(tmp_path: Path) -> None:
    found = read(tmp_path, "abnormal normal normal")
    assert (found.target, found.classes, found.positive) == (
        "binary", ("normal", "abnormal"), "abnormal"
    )  # fmt: skip
    assert found.says == ("positive: abnormal (1 scan); negative: normal (2 scans)",)
    with pytest.raises(
        BadTask, match=r"which one is positive\? Say --positive left or --positive r"
    ):
        read(tmp_path, "left right right")
    said = read(tmp_path, "left right right", positive="left")
    assert (said.classes, said.positive) == (("right", "left"), "left")
    with pytest.raises(BadTask, match="upper is neither"):
        read(tmp_path, "left right right", positive="upper")


def test_yes_and_no_in_any_spelling(tmp_path: Path) -> None:
    for values in ("0 1 1", "0.0 1.0 1", "N y Y", "nein ja Ja", "FALSE True TRUE", "neg pos pos"):
        found = read(tmp_path, values)
        assert (found.target, found.classes) == ("binary", ()), values
        assert "(2 scans); negative" in found.says[0]


@pytest.mark.parametrize(
    ("values", "way"),
    [
        ("0 1 9", "does 9 .1 scan. mean unknown. If so: --unknown 9; if it is a class: --classes"),
        ("0 1 -1 -1", "does -1 .2 scans. mean unknown. If so: --unknown -1"),
        ("T1 T2 TX", "--unknown TX; if it is a class: --classes T1,T2,TX"),
    ],
)
def test_codes_are_asked_with_their_counts(tmp_path: Path, values: str, way: str) -> None:
    with pytest.raises(BadTask, match=way):
        read(tmp_path, values)


def test_a_code_that_means_unknown_or_is_a_class(tmp_path: Path) -> None:
    found = read(tmp_path, "0 1 9 9", unknown=("9",))
    assert (found.target, found.classes) == ("binary", ())
    assert "y, unknown (scans): 9 2" in found.says
    found = read(tmp_path, "0 1 9 9", classes=("0", "1", "9"))
    assert (found.target, found.classes) == ("multiclass", ("0", "1", "9"))


def test_none_is_unknown_until_somebody_says_that_it_is_a_class(tmp_path: Path) -> None:
    with pytest.raises(BadTask, match="None counts as unknown, unless you say: --classes None,Mil"):
        read(tmp_path, "None Mild Severe")
    found = read(tmp_path, "None Mild Severe", classes=("None", "Mild", "Severe"), ordered=True)
    assert (found.target, found.classes) == ("ordinal", ("None", "Mild", "Severe"))
    found = read(tmp_path, "None SDH SDH", classes=("None", "SDH"))
    assert found.positive == "SDH"


def test_spellings_are_one_class_and_said(tmp_path: Path) -> None:
    found = read(tmp_path, "Benign benign Malignant")
    assert found.classes == ("Benign", "Malignant")
    assert "y, read as one value each: Benign = benign" in found.says
    assert read(tmp_path, "0 1.0 1 2.0").classes == ("0", "1", "2")


def test_an_order_is_offered_and_taken(tmp_path: Path) -> None:
    assert "if these have an order: --order I,II,III" in read(tmp_path, "I II III").says
    found = read(tmp_path, "I II III", classes=("I", "II", "III"), ordered=True)
    assert found.target == "ordinal"
    with pytest.raises(BadTask, match=r"no class: III \(1 scan\)"):
        read(tmp_path, "I II III", classes=("I", "II"), ordered=True)


def test_a_time_and_an_event(tmp_path: Path) -> None:
    both = cohort(tmp_path, days="1 2 3", dead="1 2 2")
    with pytest.raises(BadTask, match="--positive 1 or --positive 2"):
        understand(both, ("days", "dead"), Wishes(survival=True))
    found = understand(both, ("days", "dead"), Wishes(survival=True, positive="2"))
    assert (found.target, found.classes, found.positive) == ("survival", ("1", "2"), "2")
    assert found.says == ("event: 2 (2 scans); none: 1 (1 scan)",)
    with pytest.raises(BadTask, match=r"a time is a number of one unit, .*, not soon"):
        understand(cohort(tmp_path, days="1 soon 3", dead="1 0 1"), ("days", "dead"),
                   Wishes(survival=True))  # fmt: skip


def test_several_labels_are_each_yes_or_no(tmp_path: Path) -> None:
    found = understand(cohort(tmp_path, a="1 0 1", b="no yes no"), ("a", "b"), Wishes())
    assert found.target == "multilabel"
    assert found.says == ("a: 2 of 3 scans are positive", "b: 1 of 3 scans are positive")
    with pytest.raises(BadTask, match=r"does -1 .1 scan. mean unknown"):
        understand(cohort(tmp_path, a="1 0 -1", b="no yes no"), ("a", "b"), Wishes())


def test_unknown_codes_are_the_event_s_and_a_time_of_9_stays(tmp_path: Path) -> None:
    both = cohort(tmp_path, days="9 2 3 4", dead="1 0 9 0")
    found = understand(both, ("days", "dead"), Wishes(survival=True, unknown=("9",)))
    assert found.says == ("event: 1 (1 scan); none: 0 (2 scans)", "dead, unknown (scans): 9 1")
    words = cohort(tmp_path, days="9 lost NA -5", dead="1 0 1 0")
    found = understand(words, ("days", "dead"), Wishes(survival=True, unknown=("lost", "-5")))
    assert found.says[-1] == "days, unknown (scans): -5 1, NA 1, lost 1"


@pytest.mark.parametrize(("times", "bad"), [("1 -5 3", "-5"), ("12mo 3mo 7mo", "12mo, 3mo, 7mo")])
def test_what_is_no_time_is_met_with_a_way_out(tmp_path: Path, times: str, bad: str) -> None:
    both = cohort(tmp_path, days=times, dead="1 0 1")
    with pytest.raises(BadTask, match=rf"one unit, .* not {bad}\. If .* unknown, clear the cells"):
        understand(both, ("days", "dead"), Wishes(survival=True))


def test_most_times_are_never_offered_as_unknown(tmp_path: Path) -> None:
    both = cohort(tmp_path, days="1mo 2mo 3mo", dead="1 0 1")
    with pytest.raises(BadTask, match=r"clear the cells$"):
        understand(both, ("days", "dead"), Wishes(survival=True))
    both = cohort(tmp_path, days="1 -5 3", dead="1 0 1")
    with pytest.raises(BadTask, match=r"or say: --unknown -5$"):
        understand(both, ("days", "dead"), Wishes(survival=True))


def test_several_labels_may_share_two_words(tmp_path: Path) -> None:
    both = cohort(tmp_path, a="present absent absent", b="Absent absent absent")
    found = understand(both, ("a", "b"), Wishes())
    assert (found.target, found.classes, found.positive) == (
        "multilabel", ("absent", "present"), "present"
    )  # fmt: skip
    assert found.says[1:3] == (
        "a: 1 of 3 scans are positive",
        "b: 0 of 3 scans are positive",
    )
    unsure = cohort(tmp_path, a="left right right", b="left left right")
    with pytest.raises(BadTask, match="which one is positive"):
        understand(unsure, ("a", "b"), Wishes())
    found = understand(unsure, ("a", "b"), Wishes(positive="left"))
    assert (found.classes, found.positive) == (("right", "left"), "left")
    with pytest.raises(BadTask, match=r"the same two words.* Write 0 and 1 .* task of each label$"):
        understand(cohort(tmp_path, a="u v", b="0 1", c="p q"), ("a", "b", "c"), Wishes())


def test_the_higher_one_of_two_in_an_order_is_positive(tmp_path: Path) -> None:
    found = read(tmp_path, "low high low", classes=("low", "high"), ordered=True)
    assert (found.target, found.classes, found.positive) == ("binary", ("low", "high"), "high")


def test_a_positive_word_isn_t_asked_again(tmp_path: Path) -> None:
    found = read(tmp_path, "normal not_reported", positive="not reported")
    assert found.positive == "not_reported"


def test_one_value_and_blanks_name_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(BadTask, match=r"blank \(2 scans\) counts as unknown: .* blank = .negative"):
        read(tmp_path, "1  1 ")


def test_values_of_a_command_line_are_quoted(tmp_path: Path) -> None:
    both = cohort(tmp_path, y="yes '-- no")
    assert "y, unknown (scans): '-- 1" in understand(both, ("y",), Wishes()).says
    with pytest.raises(BadTask, match="--positive 'x;y' or --positive z"):
        read(tmp_path, "x;y z z")
