"""Whether an encoder saw the test patients: a verdict and a reason."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearbench.cohort.pseudonyms import patient_hash
from clearbench.errors import BadStore
from clearbench.evaluation.guards.contamination import contamination, read_seen

PATIENTS = [f"p{i}" for i in range(20)]


def seen(*patients: str) -> frozenset[str]:
    return frozenset(map(patient_hash, patients))


@pytest.mark.parametrize(
    ("pretraining", "cohort", "verdict", "reason"),
    [
        (["DeepLesion"], "deeplesion", "yes", "pretrained on DeepLesion itself"),
        (
            ["LIDC-IDRI"],
            "luna16",
            "yes",
            "LIDC-IDRI shares patients with luna16 (read in https://luna16.",
        ),
        (["NLST"], "luna25", "yes", "NLST shares patients with luna25 (not read in a source: "),
        (
            ["Brain Stroke CT Image Dataset"],
            "ct-ich",
            "yes",
            "shares patients with ct-ich (seen in the images of https://www.kaggle.com/",
        ),
        (["ImageNet-1k"], "ct-ich", "none", "ImageNet-1k has no medical images of patients"),
        (["ImageNet-1k"], "my-hospital", "none", "ImageNet-1k has no medical images"),
        (["PMC-15M"], "ct-ich", "possible", "PMC-15M is made of figures in publications"),
        (["CT-FM"], "nlst", "possible", "CT-FM may share patients with nlst (read in https://"),
        (
            ["COVIDx CT"],
            "covid-ct-md",
            "yes",
            "COVIDx CT shares patients with covid-ct-md (read in https://",
        ),
        (["CADS"], "lidc-idri", "yes", "CADS shares patients with lidc-idri (read in https://"),
        (["MedSAM"], "amos", "possible", "MedSAM mixes many public data sets"),
        (["DeepLesion"], "ct-ich", "none", "DeepLesion is not known to share patients with ct-ich"),
        (["DeepLesion"], "my-hospital", "unknown", "nothing is known of my-hospital, and Deep"),
        (["Secret-1B"], "ct-ich", "unknown", "nothing is known of Secret-1B"),
        ([], "ct-ich", "unknown", "the card names no data set of its pretraining"),
        (["my-hospital"], "my_hospital", "yes", "pretrained on my-hospital itself"),
        (["PMC-15M"], "synthetic", "none", "is not known to share patients with synthetic"),
    ],
)
def test_the_table_decides_where_no_patients_are_listed(
    pretraining: list[str], cohort: str, verdict: str, reason: str
) -> None:
    found = contamination(pretraining, cohort, (), PATIENTS)
    assert found.verdict == verdict
    assert reason in found.reason
    assert (found.patients, found.overlap) == (20, None)


def test_the_worst_of_several_data_sets_counts_and_is_named() -> None:
    found = contamination(["ImageNet-1k", "Secret-1B", "PMC-15M"], "ct-ich", (), PATIENTS)
    assert found.verdict == "possible"
    assert "PMC-15M" in found.reason
    assert "ImageNet" not in found.reason
    two = contamination(["Secret-1B", "Hidden-2B"], "ct-ich", (), PATIENTS)
    assert two.reason == "nothing is known of Secret-1B; nothing is known of Hidden-2B"


def test_random_weights_have_seen_nobody() -> None:
    found = contamination([], "ct-ich", (), PATIENTS, random_weights=True)
    assert (found.verdict, found.reason) == ("none", "random weights, no pretraining")


def test_listed_patients_who_are_tested_are_counted() -> None:
    found = contamination(["synthetic"], "synthetic", seen("p3", "p7", "elsewhere"), PATIENTS)
    assert (found.verdict, found.overlap) == ("yes", 2)
    assert found.reason == "2 of 20 test patients were seen in pretraining"


def test_listed_patients_outweigh_another_name() -> None:
    """The cohort was renamed between pretraining and evaluation."""
    assert contamination(["copy"], "mine", seen("p3"), PATIENTS).verdict == "yes"


def test_training_patients_of_the_same_cohort_may_be_listed() -> None:
    others = ["t1", "t2", "t3"]
    found = contamination(["mine"], "mine", seen("t1", "t2"), PATIENTS, others=others)
    assert (found.verdict, found.overlap) == ("none", 0)
    assert "other patients of mine, none of them tested" in found.reason


def test_ids_of_another_kind_are_no_proof_of_innocence() -> None:
    found = contamination(["mine"], "mine", seen("000001", "000002"), PATIENTS, others=["t1"])
    assert (found.verdict, found.overlap) == ("possible", 0)
    assert "none of the 2 patients its card lists is known here" in found.reason


@given(st.sets(st.sampled_from(PATIENTS)), st.sets(st.sampled_from(PATIENTS)))
def test_the_overlap_is_that_of_the_patients(listed: set[str], tested: set[str]) -> None:
    found = contamination(["mine"], "mine", seen(*listed), tested)
    assert found.overlap == (len(listed & tested) if listed else None)
    if listed & tested:
        assert found.verdict == "yes"


def test_a_list_next_to_the_card_is_read(tmp_path: Path) -> None:
    path = tmp_path / "my.patients.txt"
    path.write_text("".join(f"{line}\n" for line in sorted(seen("p1", "p2"))))
    assert read_seen(path) == seen("p1", "p2")
    with pytest.raises(BadStore, match=r"gone\.txt: the list of patients seen in pretraining"):
        read_seen(tmp_path / "gone.txt")
