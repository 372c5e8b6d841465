"""The whole journey over scans with planted identifiers: nothing that it writes has one of them,
but for the places that SECURITY.md names, and those are their owner's alone."""

import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from clearbench.cli import main
from clearbench.cohort.files import read_table
from clearbench.scans.write import DicomHeader, seeded_uid, write_dicom_series
from clearbench.store.auditing.audit import Audit, audit
from clearbench.store.auditing.identifiers import gather_identifiers

CARDS = Path(__file__).parents[1] / "cards"
PEOPLE = (
    "Abendroth Adelgunde 19310203", "Birnstiel Burghild 19340506", "Dornbusch Dietlinde 19370809",
    "Eisenhauer Ekkehard 19401112", "Fahrenkamp Friedlinde 19430114",
    "Grünspecht Gundolf 19460217", "Haberkorn Hiltrud 19490320", "Immelmann Irmtraud 19520423",
    "Jägermeyer Jobst 19550526", "Kuckelkorn Kunigunde 19580629", "Löwenzahn Leberecht 19610701",
    "Mondschein Mechthild 19640804", "Nachtigall Notburga 19670907",
    "Ochsenknecht Ottokar 19701010", "Pfannenstiel Philomena 19731113",
    "Quittenbaum Quirin 19761216", "Rosenzweig Roswitha 19790119",
    "Sauerampfer Swanhild 19820222", "Trockenbrodt Theophil 19850325",
    "Unverzagt Ursulina 19880428", "Vogelsang Volkwin 19910507", "Wacholder Walburga 19940610",
    "Zwetschge Zdenko 19970713", "Apfelbeck Amalaswintha 19300816",
)  # fmt: skip
KERNELS = ("B30f", "B70f", "Kern {}", "{}^weich")


def run(*arguments: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["clearbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
    return int(done.value.code or 0)


def patient_id(number: int) -> str:
    return f"MRN-{7700123 + 17 * number}"


def write_person(folder: Path, number: int) -> None:
    """Write the CT of one person, whose name is all over its header."""
    family, given, born = PEOPLE[number].split()
    header = DicomHeader(
        patient_id=patient_id(number),
        study_uid=seeded_uid("study", str(number)),
        series_uid=seeded_uid("series", str(number)),
        accession_number=f"ACC{88001 + number}",
        thickness_mm=5.0,
        kernel=KERNELS[number % 4].format(family),
        contrast=number % 3 == 0,
        manufacturer=("SIEMENS", f"Praxis {family}")[number % 2],
        model=("Sensation 64", f"Modell {given}")[number % 2],
        kvp=120.0,
        series_description=f"Kontrolle {family}",
    )
    rng = np.random.default_rng(number)
    hu = rng.normal(20 * (number % 2), 60, (6, 48, 48)).astype(np.int16)
    hu[:, :12] = -1000
    write_dicom_series(folder, hu, (5.0, 1.0, 1.0), header=header)
    for place, path in enumerate(sorted(folder.iterdir())):
        dataset = pydicom.dcmread(path)
        edit(dataset, family, given, born, number, place)
        dataset.save_as(folder / f"{family}_{place:02}.dcm")
        path.unlink()


def edit(dataset: Dataset, family: str, given: str, born: str, number: int, place: int) -> None:
    """Plant the identifiers, and oddities that are noted."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = f"{family}^{given}"
    dataset.PatientBirthDate = born
    dataset.StudyDate = f"2019{1 + number % 12:02}{1 + number % 28:02}"
    dataset.ReferringPhysicianName = "Weisskittel^Balduin"
    dataset.InstitutionName = "Klinikum Nirgendheim"
    dataset.PatientAddress = f"Holunderweg {number}, 99999 Nirgendheim"
    dataset.StudyDescription = f"Bitte um Befund, {family}"
    dataset.ImageComments = f"{given} war unruhig"
    if number % 5 == 1 and place == 0:
        dataset.RescaleType = f"EINHEIT {family}".upper()
    if number % 5 == 2:
        dataset.add_new("KVP", "LO", family)
    if number % 5 == 3 and place == 1:
        dataset.ConvolutionKernel = f"zweiter {family}"
    if number % 5 == 4 and place == 2:
        dataset.ImageOrientationPatient = [0, 1, 0, 1, 0, 0]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for every person, called by the name and the day of birth."""
    root = tmp_path_factory.mktemp("hospital") / "export"
    for number, person in enumerate(PEOPLE):
        write_person(root / person.replace(" ", "_"), number)
    damaged = next(root.glob(f"{PEOPLE[-1].split()[0]}*/*_03.dcm"))
    damaged.write_bytes(damaged.read_bytes()[:-3000])
    return root


@pytest.fixture(scope="module")
def umask() -> Iterator[None]:
    """The most open umask: rights that are not asked for are given to everybody."""
    before = os.umask(0)
    yield
    os.umask(before)


def go(export: Path, *more: str) -> None:
    """Take every step, into the working folder."""
    store = ("--store", "store")
    labels = [
        f"{patient_id(n)},{n % 2},{'north' if n % 3 else 'south'}" for n in range(len(PEOPLE))
    ]
    Path("labels.csv").write_text("\n".join(["PatientID,sick,site", *labels]))
    assert run("scans", export, "-o", "series.csv", *store, *more) == 0
    built = ("cohort", "build", "folder", export, "--labels", "labels.csv", "-o", "mine.csv")
    assert run(*built, *store, *more) == 0
    Path("labels.csv").unlink()  # it is the user's own, with ids in clear
    tiny = ("--model", CARDS / "tiny.toml", "--workers", 0, "--precision", "float32")
    # the damaged scan fails, and the others go on
    assert run("embed", "mine.csv", *tiny, *store) == 1
    assert run("embed", export, *tiny, *store, *more) == 1
    assert run("embed", export / PEOPLE[0].replace(" ", "_"), *tiny, *store, *more) == 0
    assert run("cohort", "add", "mine.csv", *store) == 0
    new = ("tasks", "new", "sick", "--cohort", "mine", "--labels", "sick", *store)
    assert run(*new) == 0
    card = Path("tasks/sick.toml")
    few = re.sub(r"folds( *)= 5", "folds = 3", card.read_text())
    card.write_text(re.sub(r"repeats( *)= 5", "repeats = 1", few))
    assert run("tasks", "freeze", "sick", *store) == 0
    head = ("--head", "mean-logreg", "--save-heads", "heads")
    assert run("evaluate", "--task", "sick", *head, *store) == 0
    assert run("leaderboard", "--task", "sick", *store) == 0
    for suffix in ("csv", "json", "parquet"):
        assert run("query", "SELECT * FROM scans", "-o", f"scans.{suffix}", *store) == 0
    assert run("query", "SELECT * FROM predictions", "-o", "predictions.parquet", *store) == 0
    assert run("pack", "sick", "-o", "sick.zip", *store) == 0
    [bundle] = Path("heads/sick").glob("tiny-*")
    # 1: a scan could not be read
    assert run("apply", bundle, "mine", "-o", "scores.csv", *store) == 1
    net = ("pretrain", "--net", "gated-cnn", "--like", CARDS / "lecl-tiny.toml", "--name", "own")
    size = ("--epochs", 1, "--batch-size", 16, "--warmup-epochs", 0, "--hidden", 32)
    more_size = ("--projection", 16, "--lesion-weight", 0, "--device", "cpu")
    assert run(*net, *size, *more_size, "--data", "mine.csv", "--registry", "cards", *store) == 1
    assert run("store", "reindex", *store) == 0
    assert run("store", "verify", *store) == 0
    assert run("store", "rights", *store) == 0


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, export: Path, umask: None) -> Path:
    """All that the journey writes."""
    del umask
    return journey(tmp_path_factory.mktemp("plain"), export)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, export: Path, umask: None) -> Path:
    """All that the journey writes with --keep-ids."""
    del umask
    return journey(tmp_path_factory.mktemp("kept"), export, "--keep-ids")


def journey(work: Path, export: Path, *more: str) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        go(export, *more)
    return work


def searched(work: Path, export: Path) -> Audit:
    done = audit([work], sources=[export])
    assert done.files > 80
    assert done.unsearched == ()
    return done


def places(done: Audit, work: Path) -> dict[str, set[str]]:
    """Return the kinds of identifiers by the file that they are in."""
    found: dict[str, set[str]] = {}
    for finding in done.findings:
        name = Path(finding.path).relative_to(work).as_posix()
        found.setdefault(name, set()).add(finding.kind)
    return found


PATHS = {"series.csv", "mine.csv", "store/cohorts/export.parquet",
         "store/cohorts/mine.parquet"}  # fmt: skip

# what folders are called by; "free text": a family's name that stands in KVP too
IN_NAMES = {"name", "birth date", "name of a folder or file", "free text"}


def with_one_patient(work: Path) -> set[str]:
    """Return the files that may have paths; the cohort of one patient has a pseudonym."""
    found = {f"store/cohorts/{path.name}" for path in (work / "store/cohorts").iterdir()}
    assert len(found) == 3
    return PATHS | found


def test_identifiers_are_planted_indeed(export: Path) -> None:
    kinds = [one.kind for one in gather_identifiers([export]).identifiers]
    assert kinds.count("name") > 2 * len(PEOPLE)
    assert kinds.count("UID") > 6 * len(PEOPLE)
    assert kinds.count("patient id") == kinds.count("accession number") == len(PEOPLE)
    assert kinds.count("address") == len(PEOPLE)


def test_nothing_has_an_identifier_but_the_key_table_and_tables_of_paths(
    plain: Path, export: Path
) -> None:
    found = places(searched(plain, export), plain)
    assert set(found) == with_one_patient(plain) | {"store/keys.csv"}
    # what is in a path: the folder's name, and nothing that only a header has
    in_paths = set().union(*(kinds for name, kinds in found.items() if name != "store/keys.csv"))
    assert in_paths <= IN_NAMES


def test_with_ids_in_clear_only_these_are(kept: Path, export: Path) -> None:
    found = places(searched(kept, export), kept)
    paths = with_one_patient(kept)
    for name, kinds in found.items():
        more = {"accession number"} if name == "series.csv" else set()
        assert kinds <= {"patient id", "UID"} | more | (IN_NAMES if name in paths else set()), name


@pytest.mark.parametrize("which", ["plain", "kept"])
def test_the_store_and_what_has_paths_is_its_owners_alone(
    which: str, request: pytest.FixtureRequest
) -> None:
    work: Path = request.getfixturevalue(which)
    own = [work / "store", *(work / "store").rglob("*"), work / "series.csv", work / "mine.csv"]
    own += [*(work / "pretraining" / "own" / "slices").iterdir()]
    assert len(own) > 100
    for path in own:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_floors_and_picks_still_see_that_kernels_differ(plain: Path) -> None:
    table = read_table(plain / "mine.csv")
    kernels = table.column("kernel").to_pylist()
    assert {"B30f", "B70f"} < set(kernels)
    others = {kernel for kernel in kernels if kernel.startswith("other-")}
    assert len(others) == 12, "each person's text is another"
    assert set(kernels) - others == {"B30f", "B70f"}
    assert table.column("model").to_pylist().count("Sensation 64") == 12
    assert list((plain / "store" / "results" / "sick").glob("floor-tags*.json"))


def test_features_and_the_cohort_table_have_the_same_tokens(plain: Path) -> None:
    built = read_table(plain / "mine.csv").to_pylist()
    stored = {
        row["scan_id"]: row
        for row in read_table(plain / "scans.csv").to_pylist()
        if row["cohort"] == "mine" and row["n_slices"]
    }
    assert len(stored) == len(PEOPLE) - 1
    for name in ("kernel", "manufacturer", "model"):
        given = {row["scan_id"]: row[name] for row in built if row["scan_id"] in stored}
        assert {scan: row[name] for scan, row in stored.items()} == given
