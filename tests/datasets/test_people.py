"""One PatientID may be of several people; data of one issuer has the same ids as without."""

from hypothesis import given
from hypothesis import strategies as st

from clearbench.datasets.people import find_placeholders, issued_by_several, name_people
from clearbench.scans.dicom.records import Identity


def header(patient: str, study: str = "1", issuer: str = "", **more: str) -> Identity:
    return Identity(patient, "", study, f"{study}.1", "", issuer=issuer, **more)


def test_two_hospitals_with_one_id_are_two_patients() -> None:
    north, south = header("0001", "1", "North"), header("0001", "2", " south ")
    other = header("0002", "3", "North")
    people = name_people([north, south, other])
    assert len({people[north], people[south], people[other]}) == 3
    assert people[other] == "0002"
    assert issued_by_several(people) == {"0001": ["north", "south"]}


def test_a_series_without_an_issuer_has_that_of_its_study() -> None:
    said, silent = header("1", "a", "North"), header("1", "a")
    people = name_people([said, silent, header("1", "b", "South")])
    assert people[said] == people[silent]
    assert name_people([said, header("1", "c")])[said] == "1", "one issuer, and none"


def test_an_issuer_that_is_nobody_s_name_is_none() -> None:
    people = name_people([header("1", "a", "North"), header("1", "b", "UNKNOWN")])
    assert set(people.values()) == {"1"}


IDENTITIES = st.lists(
    st.builds(
        header,
        st.sampled_from(["", "1", "2", "01"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["", "North", "NORTH", "South"]),
    ),
    max_size=12,
)


@given(IDENTITIES)
def test_ids_change_only_where_issuers_differ(identities: list[Identity]) -> None:
    """So the pseudonyms of data without issuers, or with one, stay as they were."""
    people = name_people(identities)
    several = issued_by_several(identities)
    for one, person in people.items():
        assert person == one.patient_id or one.patient_id in several
        assert person.partition("^^^")[0] == one.patient_id
    assert name_people(identities[::-1]) == people


def test_words_for_nobody_count_by_studies() -> None:
    anonymous = [header("Anonymous", str(n)) for n in range(3)]
    assert list(find_placeholders(name_people(anonymous))) == ["Anonymous"]
    assert find_placeholders(name_people([anonymous[0]])) == {}


def test_a_patient_0_among_counted_ones_is_somebody() -> None:
    counted = [header(str(n), f"{n}.{visit}") for n in range(3) for visit in range(2)]
    assert find_placeholders(name_people(counted)) == {}
    zeros = [header("0", str(n)) for n in range(9)]
    assert list(find_placeholders(name_people([*zeros, header("P1", "x")]))) == ["0"]


def test_other_birth_dates_under_two_issuers_are_no_doubt() -> None:
    two = [
        header("1", "a", "North", birth_date="19500101"),
        header("1", "b", "South", birth_date="19710203"),
    ]
    assert find_placeholders(name_people(two)) == {}
