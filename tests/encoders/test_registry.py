import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import clearbench.encoders.registry as registry
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.registry import (
    encoder_files,
    encoder_names,
    find_encoder,
    list_encoders,
    register_encoder,
)
from clearbench.errors import BadCard, BadRequest, UnknownName
from clearbench.scans.write import write_nifti

PAGE = Path(__file__).resolve().parents[2] / "docs" / "encoders" / "notebook.md"

CARD = """
title   = "Small"
family  = "timm"
source  = "random:0"
net     = "vit_tiny_patch16_224"
dim     = 192
pooling = "cls"

[weights]
licence = "MIT"

[input]
size_px       = 32
views         = "free"
default_views = ["lung"]
mean          = [0.5]
std           = [0.5]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(CARD)
    return tmp_path


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget encoders registered meanwhile."""
    monkeypatch.setattr(registry, "_registered", {})
    return


def test_a_card_is_found_by_name_and_by_path(folder: Path) -> None:
    by_name = find_encoder("small", [folder])
    by_path = find_encoder(str(folder / "small.toml"))
    assert by_name == by_path
    assert (by_name.name, by_name.card.dim, by_name.build) == ("small", 192, None)
    assert "small" in encoder_names([folder])
    assert encoder_files([folder])["small"].path == (folder / "small.toml").resolve()


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(
        UnknownName, match=r'"biomedclp"; did you mean biomedclip or pubmedclip\? \(`clear'
    ):
        find_encoder("biomedclp")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("pooling =", "poolin =", r"unknown key poolin; did you mean pooling\?"),
        ("size_px  ", "size_pix ", r"unknown key input\.size_pix; did you mean size_px\?"),
        ("licence =", "license =", r"unknown key weights\.license; did you mean licence"),
        ("licence =", "license =", r"weights\.licence is missing"),
        ("dim     = 192\n", "", "dim is missing"),
        ("dim     = 192", "dim = 0", "dim: "),
        ('pooling = "cls"', 'pooling = "max"', "pooling: "),
        ('views         = "free"', 'views = "any"', r"input\.views"),
        ('default_views = ["lung"]\n', "", "free views need default_views"),
        ('views         = "free"', "views = { lung = [-1350, 150] }", "belong to cards with free"),
        (
            'views         = "free"\ndefault_views = ["lung"]',
            "views = { lung = [150, -1350] }",
            "lower HU bound first",
        ),
        ("std           = [0.5]", "std = [0.5, 0.5]", "one value per channel"),
        ("std           = [0.5]", "std = [0.0]", "std above 0"),
        ('licence = "MIT"', 'licence = "MIT"\nsha256 = "abc"', r"weights\.sha256: "),
        ("[weights]", "[weights", "not a TOML file"),
    ],
)
def test_a_faulty_card_is_refused_by_name_and_key(
    tmp_path: Path, old: str, new: str, fault: str
) -> None:
    assert old in CARD
    path = tmp_path / "card.toml"
    path.write_text(CARD.replace(old, new))
    with pytest.raises(BadCard, match=rf"card\.toml: .*{fault}"):
        find_encoder(str(path))


@pytest.mark.usefixtures("clean")
def test_an_encoder_is_registered_at_run_time() -> None:
    def build(*_: Any) -> Any:
        raise NotImplementedError

    assert register_encoder(tomllib.loads(CARD), build) == "small"
    assert register_encoder(tomllib.loads(CARD), build, name="other") == "other"
    assert find_encoder("other").build is build
    assert {"small", "other"} <= set(encoder_names())
    with pytest.raises(UnknownName, match="did you mean other"):
        find_encoder("othr")


@pytest.mark.usefixtures("clean")
def test_a_faulty_card_is_not_registered() -> None:
    with pytest.raises(BadCard, match="title is missing"):
        register_encoder({}, lambda *_: None)  # type: ignore[arg-type,return-value]
    assert registry._registered == {}


@pytest.mark.usefixtures("clean")
def test_what_builds_nothing_is_not_registered(make_card: Callable[..., EncoderCard]) -> None:
    with pytest.raises(BadRequest, match="build='Linear': must be a function"):
        register_encoder(make_card(), torch.nn.Linear(2, 2))
    with pytest.raises(BadCard, match="register_encoder: not a table of keys and values"):
        register_encoder("x.toml", lambda *_: None)  # type: ignore[arg-type]
    assert register_encoder(make_card(title="Kanten Größe é"), print) == "kanten-grosse-e"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    for place in (tmp_path / "nowhere", Path(__file__)):
        with pytest.raises(BadRequest, match=r"registry=.*: no such folder"):
            find_encoder("random-vit-tiny", [place])
        with pytest.raises(BadRequest, match=r"registry=.*: no such folder"):
            list_encoders([place])


def test_a_file_whose_stem_is_no_name_is_left_out(folder: Path) -> None:
    (folder / "my card.toml").write_bytes((folder / "small.toml").read_bytes())
    [fault] = list_encoders([folder]).broken
    assert "my card.toml: a card's file name may have letters" in fault
    with pytest.raises(BadCard, match="rename the file"):
        find_encoder("my card", [folder])


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(
    make_card: Callable[..., EncoderCard], number: float
) -> None:
    with pytest.raises(BadCard, match=r"input\.mean\.0: input should be a finite number"):
        make_card(input={"mean": [number, 0.5, 0.5]})


def test_a_card_is_frozen(make_card: Callable[..., EncoderCard]) -> None:
    with pytest.raises(ValueError, match="frozen"):
        make_card().dim = 7  # type: ignore[misc]


@pytest.mark.usefixtures("clean")
def test_a_name_that_a_card_has_is_not_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch, make_card: Callable[..., EncoderCard]
) -> None:
    def build(*_: Any) -> Any:
        raise NotImplementedError

    with pytest.raises(BadRequest, match=r"biomedclip\.toml has this name; give another"):
        register_encoder(make_card(), build, name="biomedclip")
    for name in ("../evil", "a b", "-", "é"):
        with pytest.raises(BadRequest, match="letters, digits, dots, dashes"):
            register_encoder(make_card(), build, name=name)
    register_encoder(make_card(), build, name="small")
    with pytest.raises(BadCard, match=r'"small" is registered in this process, and .*small\.toml'):
        find_encoder("small", [folder])
    assert find_encoder("small").build is build
    (folder / "registry").mkdir()
    (folder / "small.toml").rename(folder / "registry" / "small.toml")
    monkeypatch.chdir(folder)
    with pytest.raises(BadCard, match="register it under another name"):
        find_encoder("small")


@pytest.mark.usefixtures("clean")
def test_a_cell_that_is_run_twice_registers_the_later(
    make_card: Callable[..., EncoderCard],
) -> None:
    first, second = (lambda *_: None), (lambda *_: None)
    register_encoder(make_card(), first, name="mine")
    register_encoder(make_card(dim=5), second, name="mine")
    assert find_encoder("mine").build is second
    assert find_encoder("mine").card.dim == 5


@pytest.mark.usefixtures("clean")
def test_encoders_are_listed_with_those_of_this_process_and_broken_cards_are_told(
    folder: Path,
) -> None:
    (folder / "bad.toml").write_text(CARD.replace("dim     = 192", "dim = 0"))
    register_encoder(tomllib.loads(CARD), lambda *_: None, name="zoo")  # type: ignore[arg-type,return-value]
    listed = list_encoders([folder])
    names = [item.name for item in listed.found]
    assert names == sorted(names)
    assert {"small", "zoo", "biomedclip"} <= set(names)
    assert len(listed.broken) == 1
    assert "bad.toml: dim" in listed.broken[0]


TASK = """
title = "Which sign the first voxel has"
version = 1
cohort = "mine"
target = "binary"
labels = ["ill"]
[split]
folds = 3
repeats = 1
"""


def cohort_of_noise(folder: Path, patients: int = 36) -> None:
    """Write a cohort mine.csv of scans with a texture by label, and a task for it."""
    rows = ["scan_id,patient_id,path,ill"]
    for number in range(patients):
        noise = np.random.default_rng(number).normal(0, 40 + 200 * (number % 2), (1, 24, 24))
        write_nifti(folder / f"{number}.nii.gz", noise.astype(np.int16), (5.0, 1.0, 1.0))
        rows.append(f"s{number},p{number},{number}.nii.gz,{number % 2}")
    (folder / "mine.csv").write_text("\n".join(rows) + "\n")
    (folder / "noise.toml").write_text(TASK)


@pytest.mark.usefixtures("clean")
def test_the_notebook_page_works_and_its_features_outlive_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's own code; then the encoder is forgotten, as when a process has ended."""
    import clearbench as cb

    cohort_of_noise(tmp_path)
    monkeypatch.chdir(tmp_path)
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    seen: dict[str, Any] = {"slices_hu": np.arange(2 * 9 * 9).reshape(2, 9, 9)}
    exec(code, seen)
    assert seen["features"].shape == (2, 2, 16)
    assert not seen["report"].failed
    registry._registered.clear()
    with pytest.raises(UnknownName, match='no encoder is called "edges"'):
        cb.embed("mine.csv", models=["edges"], store="features")
    assert cb.FeatureStore("features").features("edges", "s3").shape == (1, 2, 16)
    [result] = cb.evaluate(
        ["noise.toml"], ["edges"], heads=["mean-logreg"], store="features", floors=False
    )
    assert result.score()["value"] > 0.9
