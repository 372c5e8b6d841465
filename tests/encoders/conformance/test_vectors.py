from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import clearbench.encoders.conformance.vectors as module
from clearbench.cards import write_card
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.conformance.findings import CheckResult
from clearbench.encoders.conformance.suite import check_encoder
from clearbench.encoders.conformance.vectors import freeze_vectors, read_vectors
from clearbench.encoders.encoder import load_encoder
from clearbench.encoders.nets.build import build_net
from clearbench.encoders.nets.sizes import check_sizes
from clearbench.errors import BadCard, BadRequest

MakeCard = Callable[..., EncoderCard]
Write = Callable[..., Path]
SIZES = {"depths": [1, 2], "dims": [8, 12]}


@pytest.fixture
def write(tmp_path: Path, make_card: MakeCard) -> Write:
    """Write card `mine` into ./registry and weights of a seed; returns the folder."""

    def write(seed: int = 5, **facts: Any) -> Path:
        folder = tmp_path / "registry"
        plain = {"family": "lecl", "net": "gated-cnn", "sizes": SIZES, "dim": 12}
        more = {"pooling": "mean", "source": "file:mine.safetensors"}
        write_card(make_card(**plain | more | facts), folder / "mine.toml")
        network = build_net(check_sizes("gated-cnn", SIZES, "test"), 32, seed=seed)
        state = {key: value.contiguous() for key, value in network.state_dict().items()}
        save_file(state, folder / "mine.safetensors")
        return folder

    return write


def freeze(folder: Path, target: Path | None = None, **options: Any) -> Path:
    return freeze_vectors("mine", target, registry=[folder], device="cpu", **options).path


def compared(folder: Path, **options: Any) -> CheckResult:
    found = check_encoder("mine", registry=[folder], device="cpu", only=("reference",), **options)
    return found.findings[0]


def spoilt(path: Path, change: Callable[[np.ndarray[Any, Any]], Any], **versions: str) -> None:
    """Change the features in a file of reference vectors, and the versions of libraries."""
    old = read_vectors(path)
    facts = {**vars(old), "features": change(old.features).astype(np.float32)}
    facts["versions"] = {**old.versions, **versions}
    module._write(module.ReferenceVectors(**facts), path)


def test_golden_vectors_are_small_and_say_what_made_them(write: Write) -> None:
    folder = write()
    path = freeze(folder)
    assert path == folder / "golden" / "mine.safetensors"
    assert path.stat().st_size < 100_000
    encoder = load_encoder("mine", registry=[folder], device="cpu", precision="float32")
    written = read_vectors(path)
    assert written.slices.shape == (3, 96, 96)
    assert written.features.shape == (3, 2, 12)
    assert written.views == ("lung", "mediastinum")
    assert written.fingerprint == encoder.fingerprint
    assert written.weights_sha256 == encoder.weights_sha256
    assert written.versions["torch"] == version("torch")
    np.testing.assert_array_equal(encoder.embed(written.slices), written.features)


def test_a_project_keeps_them_among_its_tests(write: Write, tmp_path: Path) -> None:
    folder = write()
    (tmp_path / "tests" / "golden").mkdir(parents=True)
    assert freeze(folder) == tmp_path / "tests" / "golden" / "mine.safetensors"
    assert compared(folder).status == "pass"


def test_unchanged_features_pass_and_without_a_file_nothing_is_said(write: Write) -> None:
    folder = write()
    assert compared(folder).status == "skip"
    freeze(folder)
    assert compared(folder).status == "pass"
    assert compared(folder, precision="bfloat16").status == "pass"
    assert compared(folder, random_weights=True).status == "skip"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda x: x * 1.0005, "pass"),
        (lambda x: x * 1.002, "fail"),
        (lambda x: x + 0.05 * np.abs(x).max() * np.eye(1, x.shape[-1]), "fail"),
        (lambda x: x[:, ::-1], "fail"),
        (lambda x: x[..., ::-1], "fail"),
        (lambda x: x * np.nan, "fail"),
        (lambda x: x[:, :1], "fail"),
    ],
    ids=["rounding", "scale", "direction", "views swapped", "turned", "NaN", "one view"],
)
def test_a_drift_is_found(write: Write, change: Any, status: str) -> None:
    folder = write()
    spoilt(freeze(folder), change)
    assert compared(folder).status == status


def test_a_drift_names_the_libraries_that_changed(write: Write) -> None:
    folder = write()
    path = freeze(folder)
    spoilt(path, lambda x: x * 1.1)
    assert "all libraries have the same versions" in compared(folder).sentence
    spoilt(path, lambda x: x, torch="2.0.1", gone="1.0")
    finding = compared(folder)
    assert f"torch 2.0.1 then, {version('torch')} now" in finding.sentence
    assert "gone 1.0 then, none now" in finding.sentence
    assert "timm" not in finding.sentence
    assert finding.measured == pytest.approx(0.0909, abs=1e-3)


@pytest.mark.parametrize(
    "facts",
    [
        {"input": {"mean": [0.4, 0.5, 0.5]}},
        {"input": {"default_views": ["bone", "mediastinum"]}},
        {"input": {"resample": "bilinear"}},
    ],
    ids=["mean", "views", "resample"],
)
def test_a_card_that_changed_is_told_from_a_drift(write: Write, facts: dict[str, Any]) -> None:
    freeze(write())
    finding = compared(write(**facts))
    assert finding.status == "fail"
    assert "the card changed since" in finding.sentence


def test_a_card_that_changed_in_words_only_is_the_same(write: Write) -> None:
    freeze(write())
    assert compared(write(title="A better title")).status == "pass"


def test_other_weights_are_told_from_a_drift(write: Write, tmp_path: Path) -> None:
    freeze(write(seed=5))
    folder = write(seed=6)
    finding = compared(folder)
    assert (finding.status, "of other weights" in finding.sentence) == ("fail", True)
    own = tmp_path / "own.safetensors"
    (folder / "mine.safetensors").rename(own)
    assert compared(folder, weights=own).status == "skip"


def test_what_is_written_stays_unless_it_is_replaced(write: Write) -> None:
    path = freeze(write(seed=5))
    before = path.read_bytes()
    folder = write(seed=6)
    with pytest.raises(
        BadRequest, match="exists; to write it again, run: clearbench models freeze mine --replace"
    ):
        freeze(folder)
    assert path.read_bytes() == before
    freeze(folder, replace=True)
    assert compared(folder).status == "pass"
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("damage", ["text", "cut", "no facts", "floats"])
def test_a_file_without_golden_vectors_is_a_failed_finding(write: Write, damage: str) -> None:
    folder = write()
    path = freeze(folder)
    if damage == "text":
        path.write_text("not tensors")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        tensors = {"slices_hu": torch.zeros(1, 8, 8), "features": torch.zeros(1, 2, 12)}
        facts = dict.fromkeys(module.FACTS, '""') if damage == "floats" else None
        save_file(tensors, path, metadata=facts)
    finding = compared(folder)
    assert finding.status == "fail"
    assert f"{path}: not a file of reference vectors" in finding.sentence


def test_features_that_are_no_numbers_are_not_written(write: Write) -> None:
    folder = write()
    network = build_net(check_sizes("gated-cnn", SIZES, "test"), 32, seed=5)
    state = {key: torch.full_like(value, torch.inf) for key, value in network.state_dict().items()}
    save_file(state, folder / "mine.safetensors")
    with pytest.raises(BadCard, match="NaN or infinite"):
        freeze(folder)
    assert not (folder / "golden").exists()
