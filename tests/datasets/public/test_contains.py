"""The table of data sets agrees with itself, and relations follow from it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearbench.cards import check_card
from clearbench.datasets.public.contains import (
    ContainsTable,
    Overlap,
    contains_table,
    find_data_set,
    relation,
)
from clearbench.datasets.public.registry import PUBLIC_DATA_SETS
from clearbench.encoders.registry import encoder_files, find_encoder
from clearbench.errors import BadCard

NAMES = [item.name for item in contains_table().dataset]


def overlap(one: str, other: str) -> Overlap:
    first, second = find_data_set(one), find_data_set(other)
    assert first is not None
    assert second is not None
    return relation(first, second).overlap


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("LIDC-IDRI", "LUNA16", "yes"),
        ("LUNA16", "LIDC-IDRI", "yes"),
        ("luna_16", "LIDC idri", "yes"),
        ("TCIA", "LUNA16", "yes"),  # through LIDC-IDRI
        ("AbdomenCT-1K", "3D-IRCADb", "yes"),  # through LiTS
        ("CT-ORG", "LiTS", "yes"),
        ("CT-ORG", "3D-IRCADb", "possible"),  # some of LiTS, not stated which
        ("CT-ORG", "Medical Segmentation Decathlon", "yes"),  # all of LiTS is in the latter
        ("ULS23", "CuriaBench", "possible"),  # both hold some of DeepLesion
        ("CT-FM-148k", "LIDC-IDRI", "possible"),
        ("IDC", "NLST", "yes"),
        ("COVIDx CT", "COVID-CT-MD", "yes"),
        ("CuriaBench", "LUNA16", "yes"),
        ("CuriaBench", "COVID-CT-MD", "possible"),  # some of COVIDx CT, not stated which
        ("TCIA", "KiTS21", "yes"),  # through the 210 public patients of KiTS19
        ("CADS", "LIDC-IDRI", "yes"),  # a mixture, one part of which is known
        ("CADS", "NLST", "yes"),
        ("CADS", "CT-RATE", "possible"),
        ("PreCT-160K", "CT-RATE", "yes"),
        ("CuriaBench", "RSNA Intracranial Hemorrhage", "yes"),
        ("CT-ICH", "Brain Stroke CT Image Dataset", "yes"),
        ("Brain Stroke Prediction CT Scan Image Dataset", "ct-ich", "yes"),
        ("DeepLesion", "NIH Pancreas-CT", "possible"),
        ("DeepLesion", "LIDC-IDRI", "none"),
        ("NLST", "CT-RATE", "none"),
        ("PMC-15M", "CT-ICH", "possible"),
        ("CT-ICH", "MedSAM", "possible"),
        ("LAION-2B", "DeepLesion", "possible"),
        ("ImageNet-1k", "CT-ICH", "none"),
        ("LVD-142M", "DeepLesion", "none"),
        ("PMC-15M", "synthetic", "none"),
        ("synthetic", "synthetic", "yes"),
    ],
)
def test_patients_are_shared_as_the_sources_say(one: str, other: str, expected: Overlap) -> None:
    assert overlap(one, other) == overlap(other, one) == expected


@given(st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_relations_go_both_ways_and_have_sources(one: str, other: str) -> None:
    first, second = find_data_set(one), find_data_set(other)
    assert first is not None
    assert second is not None
    there, back = relation(first, second), relation(second, first)
    assert there.overlap == back.overlap
    assert bool(there.sources) == (there.overlap != "none")
    assert (one == other) <= (there.overlap == "yes")


def test_every_row_has_a_source_that_can_be_looked_up() -> None:
    table = contains_table()
    for row in (*table.dataset, *table.holds):
        assert re.search(r"https://\S+\.\S+/|^clearbench/", row.source), row


def test_what_the_registry_and_the_tasks_speak_of_is_known() -> None:
    for name in encoder_files():
        for pretraining in find_encoder(name).card.facts.pretraining:
            assert find_data_set(pretraining), f"{name}: {pretraining}"
    assert all(find_data_set(name) for name in (*PUBLIC_DATA_SETS, "deeplesion", "synthetic"))
    assert find_data_set("my own") is None


def test_every_source_says_whether_it_was_read() -> None:
    table = contains_table()
    rows = (*table.dataset, *table.holds)
    for row in rows:
        assert bool(row.says) == bool(row.read), row
        assert len(row.says) < 200, row
    assert {row.cited.partition(" https://")[0] for row in rows if "https://" in row.source} == {
        "read in",
        "not read in a source:",
        "seen in the images of",
    }


def test_the_stroke_images_are_those_of_ct_ich_and_the_row_says_how_that_was_seen() -> None:
    row = next(row for row in contains_table().holds if row.part.startswith("Brain Stroke"))
    assert (row.whole, row.share, row.read) == ("CT-ICH", "all", False)
    assert "the same 82 patients" in row.seen
    assert "49 to 53, who have a haemorrhage, are under Normal" in row.seen


@given(st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_a_relation_says_of_each_source_whether_it_was_read(one: str, other: str) -> None:
    first, second = find_data_set(one), find_data_set(other)
    assert first is not None
    assert second is not None
    for source in relation(first, second).sources:
        assert re.match(r"read in |seen in the images of |not read in a source: ", source)


ROW = {"name": "A", "kind": "scans", "source": "https://a.org/", "read": False}
READ = ROW | {"read": "2026-01-31", "says": "it has scans"}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"dataset": [ROW, ROW | {"name": "b", "aliases": ["a"]}]}, "names of two data sets: a"),
        (
            {
                "dataset": [ROW],
                "holds": [
                    {
                        "whole": "A",
                        "part": "B",
                        "share": "all",
                        "source": "https://a.org/",
                        "read": False,
                    }
                ],
            },
            "no data set is called B",
        ),
        ({"dataset": [READ | {"says": ""}]}, "a source that was read has `says`"),
        ({"dataset": [READ | {"read": False}]}, r"one that wasn't \(false\) has none"),
        ({"dataset": [READ | {"read": True}]}, "read"),
        ({"dataset": [{key: ROW[key] for key in ("name", "kind", "source")}]}, "read"),
        ({"dataset": [ROW | {"kind": "wild"}]}, "kind"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(facts: dict[str, object], words: str) -> None:
    with pytest.raises(BadCard, match=words):
        check_card(facts, ContainsTable, "contains.toml")
