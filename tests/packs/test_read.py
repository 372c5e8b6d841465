"""Packs that were cut, changed or never were any."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clearbench.errors import BadRequest
from clearbench.packs.read import opened_pack

Packed = Any  # see conftest

Files = dict[str, bytes]


def test_a_pack_is_unpacked_and_removed(private: Packed) -> None:
    with opened_pack(private.file) as pack:
        root = pack.root
        assert pack.task.name == "planted-task"
        assert pack.task.split_file is not None
        assert (pack.store.root / "store.json").is_file()
    assert not root.exists()


def rewritten(packed: Packed, target: Path, change: Callable[[Files], None]) -> Path:
    with zipfile.ZipFile(packed.file) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target


def outside(files: Files) -> None:
    facts = json.loads(files["pack.json"])
    files["../outside.txt"] = b"x"
    facts["files"]["../outside.txt"] = hashlib.sha256(b"x").hexdigest()
    files["pack.json"] = json.dumps(facts).encode()


CARD = "tasks/planted-task.toml"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda files: files.update({CARD: files[CARD] + b"\n"}), "is damaged: its sha256"),
        (lambda files: files.pop(CARD), "don't match the list in pack.json"),
        (lambda files: files.update({"more.txt": b""}), "don't match the list in pack.json"),
        (lambda files: files.pop("pack.json"), "pack.json"),
        (lambda files: files.update({"pack.json": b"{}"}), "pack.json: .* is missing"),
        (outside, "outside of the folder"),
    ],
)
def test_a_changed_pack_is_refused(
    private: Packed, tmp_path: Path, change: Callable[[Files], None], words: str
) -> None:
    path = rewritten(private, tmp_path / "p.zip", change)
    with pytest.raises(BadRequest, match=words), opened_pack(path):
        pass
    assert not (tmp_path / "outside.txt").exists()


def test_what_is_no_pack_is_refused(private: Packed, tmp_path: Path) -> None:
    (tmp_path / "cut.zip").write_bytes(private.file.read_bytes()[:-2000])
    for name, words in (("cut.zip", "not a zip file"), ("none.zip", "No such file")):
        with pytest.raises(BadRequest, match=words), opened_pack(tmp_path / name):
            pass


def test_damage_within_a_compressed_file_is_refused(private: Packed, tmp_path: Path) -> None:
    """Wherever bytes of the archive change, the pack is refused in a sentence."""
    whole, refused = private.file.read_bytes(), 0
    for place in range(40, len(whole), max(1, len(whole) // 40)):
        torn = tmp_path / "torn.zip"
        torn.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            with opened_pack(torn):
                pass
        except BadRequest:
            refused += 1
    assert refused > 20
