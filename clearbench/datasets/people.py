"""Who is who in DICOM headers: one PatientID may be of many people, or of several hospitals."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from clearbench.cohort.ids import ISSUED, find_nobody, is_nobody
from clearbench.scans.dicom.records import Identity


def name_people(identities: Iterable[Identity]) -> dict[Identity, str]:
    """Return whose each header is: its PatientID, with the issuer if several issued that PatientID.

    A header without an issuer has that of its study; where its study has none, it is of a patient
    of its own, the PatientID alone.
    """
    known = list(dict.fromkeys(identities))
    issuers = {one: _issuer(one) for one in known}
    of_patient: dict[str, set[str]] = defaultdict(set)
    of_study: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one, issuer in issuers.items():
        if issuer:
            of_patient[one.patient_id].add(issuer)
            of_study[one.patient_id, one.study_uid].add(issuer)
    people = {}
    for one, issuer in issuers.items():
        in_study = of_study[one.patient_id, one.study_uid]
        named = issuer or (next(iter(in_study)) if one.study_uid and len(in_study) == 1 else "")
        several = len(of_patient[one.patient_id]) > 1
        people[one] = f"{one.patient_id}{ISSUED}{named}" if several and named else one.patient_id
    return people


def _issuer(one: Identity) -> str:
    """Return who issued a PatientID, in one spelling; "" if the header doesn't say, or of nobody's.

    It may stand in an id, so it has no spaces.
    """
    if not one.patient_id or is_nobody(one.issuer):
        return ""
    return "-".join(one.issuer.casefold().split())


def issued_by_several(identities: Iterable[Identity]) -> dict[str, list[str]]:
    """Return the PatientIDs that several issued, each with its issuers."""
    found: dict[str, set[str]] = defaultdict(set)
    for one in identities:
        found[one.patient_id].add(_issuer(one))
    known = {patient: sorted(some - {""}) for patient, some in found.items()}
    return {patient: some for patient, some in known.items() if len(some) > 1}


def find_placeholders(people: Mapping[Identity, str]) -> dict[str, str]:
    """Return PatientIDs that can't be one patient's, with the reason.

    They are words such as Anonymous, or stand over studies with other birth dates or sexes.
    """
    of_person: dict[str, list[Identity]] = defaultdict(list)
    for one, person in people.items():
        if person:
            of_person[person].append(one)
    studies = {(one.patient_id, one.study_uid) for one in people if one.patient_id}
    nobody = find_nobody(patient for patient, _ in studies)
    found = {}
    for person, some in of_person.items():
        several = _studies(some) > 1
        births = {one.birth_date for one in some} - {""}
        sexes = {one.sex for one in some} - {"", "O"}
        if several and (len(births) > 1 or len(sexes) > 1):
            found[person] = "one PatientID over studies with other birth dates or sexes"
        elif several and some[0].patient_id in nobody:
            found[person] = "a PatientID that is nobody's name, over several studies"
    return found


def _studies(identities: Sequence[Identity]) -> int:
    """Return how many studies some headers are of."""
    return len({one.study_uid for one in identities})
