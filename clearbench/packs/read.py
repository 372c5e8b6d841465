"""A pack → a store in a temporary folder, every file checked by its sha256."""

import hashlib
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from clearbench.bounded import MB, MOST_MB, open_bytes, size_text
from clearbench.cards import NAME, describe_faults
from clearbench.errors import BadRequest
from clearbench.evaluation.task.card import Task, find_task
from clearbench.files import scratch
from clearbench.packs.facts import FACTS_FILE, PackFacts
from clearbench.store.folder import StoreFolder, open_store

MOST_PACK_MB = 2**20  # 1 TB
MOST_TIMES = 30  # a pack's features don't shrink, its records do


@dataclass(frozen=True)
class Pack:
    """An unpacked pack: its pack.json, its task, its store, and its folder."""

    facts: PackFacts
    task: Task
    store: StoreFolder
    root: Path


@contextmanager
def opened_pack(path: Path) -> Iterator[Pack]:
    """Unpack a pack into a temporary folder, which is removed afterwards.

    Raises BadRequest for a file that isn't a pack, or whose files don't match its pack.json.
    """
    with scratch("pack") as root:
        facts = _unpack(path, root)
        task = find_task(str(root / "tasks" / f"{facts.task}.toml"))
        yield Pack(facts, task, open_store(root / "store"), root)


def _unpack(path: Path, root: Path) -> PackFacts:
    """Unpack and check every file."""
    try:
        with open_bytes(path, MOST_PACK_MB) as file, zipfile.ZipFile(file) as archive:
            facts = _facts(archive, path.stat().st_size)
            for name, sha256 in facts.files.items():
                _extract(archive, name, sha256, root)
    except OSError as error:
        raise _bad(path, error.strerror or str(error)) from error
    except ValidationError as error:
        raise _bad(path, f"{FACTS_FILE}: {describe_faults(error, PackFacts)}") from error
    # whatever zipfile and what it unpacks with raise for a damaged archive
    except Exception as error:
        why = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise _bad(path, why[:200]) from error
    return facts


def _facts(archive: zipfile.ZipFile, size: int) -> PackFacts:
    """Return pack.json, if the archive has the files that it lists, and they are no bomb."""
    members = archive.infolist()
    names = [member.filename for member in members]
    if archive.getinfo(FACTS_FILE).file_size > MOST_MB * MB:
        raise zipfile.BadZipFile(f"{FACTS_FILE} is larger than {MOST_MB} MB")
    # no file is unpacked beyond the size that it has here
    unpacked = sum(member.file_size for member in members)
    if unpacked > MOST_MB * MB + MOST_TIMES * size:
        raise zipfile.BadZipFile(f"it would unpack to {size_text(unpacked)}")
    facts = PackFacts.model_validate_json(archive.read(FACTS_FILE))
    if sorted(names) != sorted([*facts.files, FACTS_FILE]):
        raise zipfile.BadZipFile(f"its files don't match the list in {FACTS_FILE}")
    if not NAME.fullmatch(facts.task) or not set(facts.results) <= set(facts.files):
        raise zipfile.BadZipFile(f"{FACTS_FILE} names a task or results that it can't have")
    return facts


def _bad(path: Path, why: str) -> BadRequest:
    """Return the error for a pack that can't be read."""
    return BadRequest(
        f"{path}: not a readable pack ({why}); `clearbench pack TASK -o FILE.zip` makes one"
    )


def _extract(archive: zipfile.ZipFile, name: str, sha256: str, root: Path) -> None:
    """Write one file below the folder, if its sha256 matches."""
    parts = PurePosixPath(name).parts
    # On Windows a backslash separates folders too, and a colon ends a drive.
    if PurePosixPath(name).is_absolute() or ".." in parts or set(name) & set("\\:\0"):
        raise zipfile.BadZipFile(f"{name} would be written outside of the folder")
    place = root.joinpath(*parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as source, place.open("wb") as target:
        shutil.copyfileobj(source, target)
    with place.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise zipfile.BadZipFile(f"{name} is damaged: its sha256 doesn't match")
