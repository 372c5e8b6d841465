"""The doctor looks at everything, fetches nothing, and goes on whatever is broken."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from huggingface_hub import constants

import clearbench.doctor as module
from clearbench.cards import write_card
from clearbench.doctor import EXTRAS, CardState, Checkup, check_up
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.registry import find_encoder

ROOT = Path(__file__).parent.parent
Card = Callable[..., Path]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty hub cache and no token."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def card(tmp_path: Path) -> Card:
    """Write a card, like the seeded one but for some facts; returns the folder."""

    def write(name: str, **facts: object) -> Path:
        plain: EncoderCard = find_encoder("random-vit-tiny").card
        write_card(plain.model_copy(update=facts), tmp_path / "cards" / f"{name}.toml")
        return tmp_path / "cards"

    return write


def state(found: Checkup, name: str) -> CardState:
    [one] = [one for one in found.cards if one.encoder == name]
    return one


def test_a_sound_machine_is_described(tmp_path: Path) -> None:
    found = check_up(tmp_path / "store")
    assert found.sound, found.troubles
    assert {"torch", "duckdb", "h5py", "timm"} <= {
        one.name for one in found.packages if one.version
    }
    assert found.devices[0].device == "cpu"
    assert found.devices[0].memory_bytes > 2**28
    assert found.devices[0].cores == os.cpu_count()
    assert {one.name for one in found.codecs if one.decoders} >= {"RLE", "JPEG lossless"}
    assert not found.hub_token
    assert found.hub_cache is not None
    assert found.hub_cache.path == str(tmp_path / "hub")
    assert found.store is not None
    assert (found.store.exists, found.store.refusal) == (False, "")
    json.dumps(asdict(found))
    assert not list(tmp_path.iterdir())


def test_cards_say_what_they_wait_for(card: Card) -> None:
    folder = card("by-file", source="file:none.safetensors")
    found = check_up(registry=[folder])
    assert state(found, "random-vit-tiny").state == "ready"
    assert not state(found, "random-vit-tiny").has_weights
    assert state(found, "efficientnet-lite0").has_weights
    assert state(found, "biomedclip").state == "download"
    assert state(found, "lecl-vit-mini").todo.startswith("clearbench pretrain --net vit")
    assert state(found, "by-file").state == "missing"
    assert found.sound, "what is not here yet is not broken"


def test_a_broken_card_is_named(card: Card) -> None:
    folder = card("odd")
    (folder / "odd.toml").write_text((folder / "odd.toml").read_text().replace("dim =", "dimm ="))
    found = check_up(registry=[folder])
    assert not found.sound
    [broken] = found.broken_cards
    assert "odd.toml" in broken
    assert "did you mean dim" in broken


def test_a_broken_task_is_named(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "odd.toml").write_text("titel = 1")
    found = check_up()
    assert not found.sound
    assert "tasks/odd.toml" in found.broken_cards[0]


def test_a_failing_plug_in_takes_its_cards_along(
    card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "site" / "aa_failing-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aa-failing\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[clearbench.encoders]\naa = aa_failing.net:build\n")
    (tmp_path / "site" / "aa_failing").mkdir()
    (tmp_path / "site" / "aa_failing" / "net.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path / "site")
    found = check_up(registry=[card("theirs", family="aa")])
    assert not found.sound
    [plugin] = [one for one in found.plugins if one.distribution == "aa-failing"]
    assert "importing aa_failing.net fails (ZeroDivisionError" in plugin.fault
    assert state(found, "theirs").state == "family"
    assert state(found, "theirs").todo == plugin.fault
    assert state(found, "random-vit-tiny").state == "ready"


def test_a_package_that_is_missing_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PACKAGES", ("torch", "no-such-package"))
    monkeypatch.setattr(module, "EXTRAS", {"none": "no_such_module"})
    found = check_up()
    assert "no-such-package is not installed: pip install no-such-package" in found.troubles
    assert not found.sound
    [extra] = found.extras
    assert (extra.installed, extra.command) == (False, "pip install 'clearbench[none]'")


def test_the_extras_are_those_of_the_package() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS) == set(declared["optional-dependencies"]) - {"dev"}


DAMAGED = {
    "torch": ("torch", "ImportError: libcudart.so: cannot open"),
    "pydicom": ("DICOM", "ImportError: libcudart.so: cannot open"),
    "huggingface_hub": ("weights", "ImportError: libcudart.so: cannot open"),
}


@pytest.mark.parametrize("library", DAMAGED)
def test_a_damaged_library_is_said_and_the_rest_is_looked_at(library: str, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / f"{library}.py").write_text(
        "raise ImportError('libcudart.so: cannot open')"
    )
    done = subprocess.run(
        [sys.executable, "-m", "clearbench", "doctor"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{ROOT}"},
    )
    part, said = DAMAGED[library]
    assert done.returncode == 1, done.stderr
    assert f"{part}: {said}" in done.stderr
    assert "Traceback" not in done.stderr
    assert "store: " in done.stdout
