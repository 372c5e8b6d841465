"""A pack → a store in a temporary folder, every file checked by its sha256."""

import hashlib
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from clearbench.bounded import MB, MOST_MB
from clearbench.cards import describe_faults
from clearbench.errors import BadRequest
from clearbench.evaluation.task.card import Task, find_task
from clearbench.packs.facts import FACTS_FILE, PackFacts
from clearbench.store.folder import StoreFolder, open_store


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
    with tempfile.TemporaryDirectory(prefix="clearbench-pack-") as folder:
        root = Path(folder)
        facts = _unpack(path, root)
        task = find_task(str(root / "tasks" / f"{facts.task}.toml"))
        yield Pack(facts, task, open_store(root / "store"), root)


def _unpack(path: Path, root: Path) -> PackFacts:
    """Unpack and check every file."""
    if path.exists() and not path.is_file():
        raise _bad(path, "a folder, pipe, socket or device, not a file")
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(FACTS_FILE).file_size > MOST_MB * MB:
                raise _bad(path, f"{FACTS_FILE} is larger than {MOST_MB} MB")
            facts = PackFacts.model_validate_json(archive.read(FACTS_FILE))
            names = set(archive.namelist()) - {FACTS_FILE}
            if names != set(facts.files):
                raise _bad(path, f"its files don't match the list in {FACTS_FILE}")
            for name, sha256 in facts.files.items():
                _extract(archive, name, sha256, root)
    except OSError as error:
        raise _bad(path, error.strerror or str(error)) from error
    except ValidationError as error:
        raise _bad(path, f"{FACTS_FILE}: {describe_faults(error, PackFacts)}") from error
    # KeyError: the archive lacks a file. RuntimeError: zipfile's error for an encrypted one.
    # zlib.error: damage inside a compressed file, before zipfile compares its checksum.
    except (zipfile.BadZipFile, KeyError, RuntimeError, zlib.error) as error:
        raise _bad(path, str(error).replace("\n", " ")[:200]) from error
    return facts


def _bad(path: Path, why: str) -> BadRequest:
    """Return the error for a pack that can't be read."""
    return BadRequest(
        f"{path}: not a readable pack ({why}); `clearbench pack TASK -o FILE.zip` makes one"
    )


def _extract(archive: zipfile.ZipFile, name: str, sha256: str, root: Path) -> None:
    """Write one file below the folder, if its sha256 matches."""
    parts = PurePosixPath(name).parts
    # On Windows a backslash separates folders too.
    if PurePosixPath(name).is_absolute() or ".." in parts or "\\" in name:
        raise zipfile.BadZipFile(f"{name} would be written outside of the folder")
    place = root.joinpath(*parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as source, place.open("wb") as target:
        shutil.copyfileobj(source, target)
    with place.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise zipfile.BadZipFile(f"{name} is damaged: its sha256 doesn't match")
