"""Pseudonyms are the same under one secret, different under another; the secret is private."""

import pickle
import shutil
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearbench.cohort.columns import SECRET_MARK
from clearbench.cohort.faults import ID_PATTERN
from clearbench.cohort.pseudonyms import (
    KEY_TABLE,
    SECRET_FILE,
    Pseudonyms,
    open_pseudonyms,
    patient_hash,
    read_keys,
    refuse_other_secret,
    remember_keys,
    remove_keys,
    with_secret_mark,
)
from clearbench.errors import BadCohort, BadStore


def mode(path: Path) -> int:
    """The permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_the_secret_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    first = open_pseudonyms(tmp_path / "store")
    secret = tmp_path / "store" / SECRET_FILE
    assert mode(secret) == 0o600
    assert len(secret.read_bytes()) == 32
    assert open_pseudonyms(tmp_path / "store") == first
    assert open_pseudonyms(tmp_path / "other") != first
    assert [file.name for file in (tmp_path / "store").iterdir()] == [SECRET_FILE]


def test_processes_that_begin_at_once_share_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(open_pseudonyms, [tmp_path] * 40))
    assert len({names.secret for names in found}) == 1
    assert [file.name for file in tmp_path.iterdir()] == [SECRET_FILE]


def test_a_file_system_without_hard_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert open_pseudonyms(tmp_path) == open_pseudonyms(tmp_path)
    assert mode(tmp_path / SECRET_FILE) == 0o600


def test_a_secret_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / SECRET_FILE).write_bytes(b"")
    with pytest.raises(BadStore, match="the secret is damaged"):
        open_pseudonyms(tmp_path)


@given(st.text(), st.text())
def test_names_are_stable_ids_and_differ(one: str, other: str) -> None:
    names = Pseudonyms(b"x" * 32)
    assert names.name("scan", one) == names.name("scan", one)
    assert ID_PATTERN.fullmatch(names.name("scan", one))
    assert names.name("scan", one) != names.name("patient", one)
    assert names.name("scan", one) != Pseudonyms(b"y" * 32).name("scan", one)
    assert (names.series(one) == names.series(other)) == (one == other)


def test_a_secret_goes_to_another_process_and_not_into_a_log() -> None:
    names = Pseudonyms(b"secret" * 6)
    assert pickle.loads(pickle.dumps(names)) == names
    assert "secretsecret" not in repr(names)


def test_the_key_table_grows_and_stays_private(tmp_path: Path) -> None:
    assert read_keys(tmp_path) == {}
    remember_keys(tmp_path, {"scan-1": "1.2.3", "patient-1": 'Doe, "J"'})
    remember_keys(tmp_path, {"scan-2": "4.5.6"})
    assert read_keys(tmp_path) == {
        "scan-1": "1.2.3",
        "patient-1": 'Doe, "J"',
        "scan-2": "4.5.6",
    }
    assert mode(tmp_path / KEY_TABLE) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == [KEY_TABLE]


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_a_hash_of_a_patient_is_the_same_only_for_the_same_patient(one: str, other: str) -> None:
    assert (patient_hash(one) == patient_hash(other)) == (one == other)
    assert len(patient_hash(one)) == 16


ROWS = pa.table({"scan_id": ["s1", "s2"], "patient_id": ["p1", "p2"], "path": ["a", "b"]})
FILE = Path("c.csv")


def test_a_store_takes_its_own_pseudonyms_and_ids_that_are_no_pseudonyms(tmp_path: Path) -> None:
    refuse_other_secret(ROWS, FILE, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    names = open_pseudonyms(tmp_path)
    refuse_other_secret(with_secret_mark(ROWS, names), FILE, tmp_path)
    refuse_other_secret(ROWS, FILE, tmp_path)
    blank = ROWS.append_column(SECRET_MARK, pa.nulls(2, pa.string()))
    refuse_other_secret(blank, FILE, tmp_path)


def test_pseudonyms_of_another_store_are_refused_with_the_way_out(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    table = with_secret_mark(ROWS, open_pseudonyms(theirs))
    copy = "copy the secret.key of that store"
    with pytest.raises(BadCohort, match=f"2 of 2 rows have pseudonyms of another store.*{copy}"):
        refuse_other_secret(table, FILE, mine)
    open_pseudonyms(mine)
    with pytest.raises(BadCohort, match="build the cohort again with this one") as refused:
        refuse_other_secret(table, FILE, mine)
    assert copy not in str(refused.value)  # the store's own ids would be lost
    half = pa.concat_tables([with_secret_mark(ROWS, open_pseudonyms(mine)), table])
    with pytest.raises(BadCohort, match="2 of 4 rows"):
        refuse_other_secret(half, FILE, mine)
    shutil.copy(theirs / SECRET_FILE, mine / SECRET_FILE)
    refuse_other_secret(table, FILE, mine)


def test_a_mark_names_its_secret_and_replaces_an_older_one() -> None:
    one, other = Pseudonyms(b"x" * 32), Pseudonyms(b"y" * 32)
    assert one.mark == Pseudonyms(b"x" * 32).mark != other.mark
    twice = with_secret_mark(with_secret_mark(ROWS, one), other)
    assert twice[SECRET_MARK].to_pylist() == [other.mark] * 2


def test_keys_that_are_removed_leave_the_others(tmp_path: Path) -> None:
    remember_keys(tmp_path, {"patient-1": "a", "patient-2": "b"})
    path = remove_keys(tmp_path, ["patient-1", "patient-9"])
    assert read_keys(tmp_path) == {"patient-2": "b"}
    assert path.stat().st_mode & 0o077 == 0


def test_a_key_table_that_is_its_owners_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember_keys(tmp_path, {"scan-1": "1.2.3"})

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("clearbench.cohort.pseudonyms.read_bytes", refuse)
    with pytest.raises(BadStore, match=r"can't be read \(Permission denied\)"):
        read_keys(tmp_path)


def test_known_keys_are_not_written_again(tmp_path: Path) -> None:
    path = remember_keys(tmp_path, {"scan-1": "1.2.3", "scan-2": "4"})
    before = path.stat().st_ino
    remember_keys(tmp_path, {"scan-2": "4"})
    assert path.stat().st_ino == before


def test_a_key_table_whose_last_identifier_is_cut_off_is_damaged(tmp_path: Path) -> None:
    path = remember_keys(tmp_path, {"scan-1": "1.2.3"})
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(BadStore, match="damaged"):
        read_keys(tmp_path)


def test_processes_that_remember_keys_at_once_lose_none(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from clearbench.cohort.pseudonyms import remember_keys
        for number in range(40):
            remember_keys(Path(sys.argv[1]), {f"{sys.argv[2]}-{number}": "x"})
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    running = [subprocess.Popen([*command, name]) for name in "ab"]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    assert len(read_keys(tmp_path)) == 80
