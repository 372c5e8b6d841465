"""Who may read what is written: files of a store, and files that hold paths or keys.

They are their owner's alone (0600), from the first byte on. The file of a store may say that the
members of its group may read them too (0640); the secret and the key table are the owner's always.
On a system without such rights, nothing is changed.
"""

import json
import os
import stat
from contextlib import suppress
from pathlib import Path

STORE_FILE = "store.json"
BEGINNING = b'{"schema"'
GROUP = "group_readable"  # the key in the store's file
OWNER_ONLY, GROUP_READS = 0o600, 0o640
OTHERS = 0o077  # of the group and of everybody
MOST_BYTES = 4096  # of a store's file; a larger one is none of ours


def is_group_readable(store: Path) -> bool:
    """Tell whether the group may read a store, by the store's file; False if it can't be read."""
    try:
        with (store / STORE_FILE).open("rb") as file:
            facts = json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(facts, dict) and facts.get(GROUP) is True


def is_store(folder: Path) -> bool:
    """Tell whether a folder is a feature store: its file begins with the schema version."""
    listed = folder / STORE_FILE
    try:
        if not listed.is_file():
            return False
        with listed.open("rb") as file:
            return file.read(len(BEGINNING)) == BEGINNING
    except OSError:
        return False


def rights_at(path: Path) -> int | None:
    """Return the rights of a file to be written: those of the store that it is in, else None."""
    for folder in path.absolute().parents:
        if is_store(folder):
            return GROUP_READS if is_group_readable(folder) else OWNER_ONLY
    return None


def create(path: Path, rights: int) -> None:
    """Create an empty file that has its rights before any byte is in it; raises FileExistsError."""
    # changing them later is too late, and the umask can only take rights away here
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, rights)
    try:
        if stat.S_IMODE(os.fstat(handle).st_mode) != rights:
            with suppress(OSError):  # a file system without rights
                os.fchmod(handle, rights)
    finally:
        os.close(handle)


def make_folders(folder: Path, rights: int | None) -> None:
    """Make a folder and those above it that are missing, for files of these rights.

    Who may read the files may list the folders. Without rights, the umask decides.
    """
    if rights is None:
        folder.mkdir(parents=True, exist_ok=True)
        return
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(exist_ok=True)
        set_rights(place, rights)
    folder.mkdir(exist_ok=True)  # refuses a file of that name


def set_rights(path: Path, rights: int) -> None:
    """Give a file its rights; a folder, that those who may read its files can list it."""
    before = path.stat().st_mode
    wanted = rights | (rights & 0o444) >> 2 if stat.S_ISDIR(before) else rights
    # the bits above the rights hand a folder's group down to what is made in it
    if stat.S_IMODE(before) & 0o777 != wanted:
        with suppress(OSError):
            path.chmod((stat.S_IMODE(before) & ~0o777) | wanted)


def readable_by_others(path: Path, rights: int) -> bool:
    """Tell whether the group or everybody may do more with a file or folder than they should."""
    mode = stat.S_IMODE(path.stat().st_mode)
    wanted = rights | (rights & 0o444) >> 2 if path.is_dir() else rights
    return bool(mode & OTHERS & ~wanted)
