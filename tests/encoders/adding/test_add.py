import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from clearbench.cli import main
from clearbench.encoders.adding.add import AddRequest, Changes, add_encoder, make_request
from clearbench.encoders.encoder import load_encoder
from clearbench.encoders.registry import find_encoder
from clearbench.encoders.weights.load import file_sha256
from clearbench.errors import BadRequest, MissingExtra, UnknownName, WeightsUnavailable

# isort: split
import timm
import torchvision
from open_clip.model import _build_vision_tower

Run = Callable[..., int]
NET = "test_resnet.r160_in1k"
TOWER = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16, "head_width": 32}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No hub, and the test's own folder as current folder."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    def typed(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["clearbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
        return int(done.value.code or 0)

    return typed


def own_model(seed: int = 3, **options: Any) -> Any:
    """Return a network of timm with other weights, as after training."""
    torch.manual_seed(seed)
    return timm.create_model(NET, pretrained=False, **options).eval()


def clip_folder(folder: Path) -> Any:
    """Write a folder as open_clip saves it; returns the tower."""
    folder.mkdir()
    torch.manual_seed(0)
    tower = _build_vision_tower(16, dict(TOWER)).eval()
    state = {f"visual.{key}": value.clone() for key, value in tower.state_dict().items()}
    save_file(state | {"logit_scale": torch.ones(1)}, folder / "open_clip_model.safetensors")
    config = {"model_cfg": {"embed_dim": 16, "vision_cfg": TOWER, "text_cfg": {"width": 64}}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return tower


@pytest.mark.parametrize(
    ("typed", "request_"),
    [
        ({"timm": "resnet18"}, AddRequest("timm", "resnet18")),
        ({"open_clip": "hf-hub:a/b"}, AddRequest("open_clip", "hf-hub:a/b")),
        ({"transformers": "folder"}, AddRequest("transformers", "folder")),
        ({"checkpoint": Path("f"), "net": "vit"}, AddRequest("lecl", "vit", Path("f"))),
        ({"checkpoint": Path("f"), "timm": "resnet18"}, AddRequest("timm", "resnet18", Path("f"))),
        (
            {"checkpoint": Path("f"), "torchvision": "resnet18"},
            AddRequest("torchvision", "resnet18", Path("f")),
        ),
    ],
)
def test_an_encoder_has_one_source(typed: dict[str, Any], request_: AddRequest) -> None:
    assert make_request(**typed) == request_


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({}, "none"),
        ({"net": "vit"}, "net"),
        ({"checkpoint": Path("f")}, "checkpoint"),
        ({"timm": "resnet18", "open_clip": "a"}, "open_clip, timm"),
        ({"timm": "resnet18", "net": "vit"}, "net, timm"),
        ({"checkpoint": Path("f"), "net": "vit", "timm": "a"}, "checkpoint, net, timm"),
        ({"checkpoint": Path("f"), "open_clip": "a"}, "checkpoint, open_clip"),
        ({"torchvision": "resnet18"}, "torchvision"),
    ],
)
def test_no_source_or_two_are_refused(typed: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match=rf"name one source: timm, .*; given: {words}$"):
        make_request(**typed)


def test_a_timm_model_is_added_without_a_network(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("models", "add", "mine", "--timm", NET) == 0
    said = capsys.readouterr()
    assert "written: registry/mine.toml" in said.out
    assert "160 px, mean and std, bilinear, pooling mean, dim 96, licence Apache-2.0" in said.out
    assert f": from timm, {NET}\n" in said.out
    assert "the hub can't be reached: no revision, no sha256" in said.out
    assert "next: clearbench models check mine\n" in said.out
    assert "still unknown: revision" in said.err
    assert "pretraining data (facts.pretraining)" in said.err
    assert [file.name for file in (tmp_path / "registry").iterdir()] == ["mine.toml"]
    assert run("models", "list") == 0
    assert f"timm {NET}" in capsys.readouterr().out
    card = find_encoder("mine").card
    assert (card.net, card.source) == (NET, f"hf-hub:timm/{NET}")
    assert card.weights.licence_url == f"https://huggingface.co/timm/{NET}"


def test_a_card_in_another_folder_is_found_there(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cards"
    assert run("models", "add", "mine", "--timm", NET, "--registry", folder) == 0
    assert f"next: clearbench models check mine --registry {folder}" in capsys.readouterr().out
    assert run("models", "show", "mine", "--registry", folder) == 0
    assert run("models", "show", "mine") == 2


def test_what_is_typed_wins_over_what_the_library_says(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--views", "brain,soft=-100:200", "--size-px", 96, "--licence", "mine alone")
    add = ("models", "add", "mine", "--timm", "test_vit", "--pooling", "cls+mean", *options)
    assert run(*add) == 0
    said = capsys.readouterr().out
    typed = "96 px, views brain, soft=-100:200, pooling cls+mean, licence mine alone: given by you"
    assert typed in said
    assert "  mean and std, bicubic, dim 128: from timm, test_vit\n" in said
    card = find_encoder("mine").card
    assert card.seen.default_views == ("brain", "soft=-100:200")
    assert (card.seen.size_px, card.weights.licence) == (96, "mine alone")
    assert (card.pooling, card.dim) == ("cls+mean", 128)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--timm", "test_vitt"), "did you mean test_vit"),
        (("--timm", "test_vit.r160_in1"), "did you mean test_vit.r160_in1k"),
        (("--timm", NET, "--views", "lungg"), "did you mean lung?"),
        (("--timm", NET, "--pooling", "max"), 'no pooling is called "max"'),
        (("--timm", NET, "--pooling", "cls"), "needs a network with a class token"),
        (
            ("--timm", "ghostnet_050"),
            "no weights of ghostnet_050 on a hub; give a checkpoint too",
        ),
        (("--timm", NET, "--branch", "momentum"), "need --checkpoint FILE --net"),
        (("--checkpoint", "f", "--net", "vit", "--size-px", 32), "has its own size and pooling"),
        (("--open-clip", "hf-hub:a/b"), "a/b: its open_clip_config.json is not in the cache"),
        (("--open-clip", "clip", "--pooling", "cls"), "open_clip fixes size and pooling"),
    ],
)
def test_what_cannot_be_added_leaves_nothing_behind(
    tmp_path: Path,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    options: tuple[object, ...],
    words: str,
) -> None:
    clip_folder(tmp_path / "clip")
    assert run("models", "add", "mine", *options) == 2
    message = capsys.readouterr().err
    assert message.startswith("clearbench: ")
    assert words in message
    assert not (tmp_path / "registry").exists()


def test_a_name_that_exists_is_refused_unless_typed(run: Run, tmp_path: Path) -> None:
    assert run("models", "add", "mine", "--timm", NET) == 0
    assert run("models", "add", "mine", "--timm", "test_vit") == 2
    assert run("models", "add", "biomedclip", "--timm", "test_vit") == 2
    assert find_encoder("mine").card.net == NET
    assert run("models", "add", "mine", "--timm", "test_vit", "--replace") == 0
    assert find_encoder("mine").card.net == "test_vit.r160_in1k"
    assert [file.name for file in (tmp_path / "registry").iterdir()] == ["mine.toml"]


def test_a_folder_of_open_clip_is_added_with_its_hash(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    tower = clip_folder(tmp_path / "clip")
    assert run("models", "add", "mine", "--open-clip", tmp_path / "clip") == 0
    assert "sha256 of the weights, loaded strictly: from" in capsys.readouterr().out
    encoder = load_encoder("mine", device="cpu", precision="float32")
    weights = tmp_path / "clip" / "open_clip_model.safetensors"
    assert encoder.card.weights.sha256 == encoder.weights_sha256 == file_sha256(weights)
    batch = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(encoder.forward(batch).clone(), tower(batch))


def test_a_folder_whose_weights_do_not_fit_is_not_added(tmp_path: Path, run: Run) -> None:
    clip_folder(tmp_path / "clip")
    weights = tmp_path / "clip" / "open_clip_model.safetensors"
    save_file({"visual.proj": torch.ones(2)}, weights)
    assert run("models", "add", "mine", "--open-clip", tmp_path / "clip") == 2
    assert not (tmp_path / "registry").exists()


@pytest.mark.parametrize("nested", [None, "state_dict", "model"])
@pytest.mark.parametrize("classes", [0, 7])
def test_weights_of_ones_own_become_an_encoder(
    tmp_path: Path, nested: str | None, classes: int
) -> None:
    model = own_model(num_classes=classes)
    state = {f"module.{key}": value for key, value in model.state_dict().items()}
    torch.save({nested: state, "epoch": 3} if nested else state, tmp_path / "mine.pth")
    added = add_encoder(
        "mine", AddRequest("timm", NET, tmp_path / "mine.pth"), tmp_path / "registry"
    )
    assert added.dropped == (("fc.bias", "fc.weight") if classes else ())
    assert sorted(file.name for file in (tmp_path / "registry").iterdir()) == [
        "mine.safetensors",
        "mine.toml",
    ]
    (tmp_path / "registry").rename(tmp_path / "moved")
    encoder = load_encoder("mine", device="cpu", precision="float32", registry=[tmp_path / "moved"])
    assert encoder.card.weights.sha256 == encoder.weights_sha256
    assert encoder.card.weights.licence == "unknown", "timm's is that of other weights"
    assert encoder.card.facts.paper == ""
    batch = torch.randn(2, 3, 160, 160)
    with torch.inference_mode():
        expected = model.forward_head(model.forward_features(batch), pre_logits=True)
    torch.testing.assert_close(encoder.forward(batch).clone(), expected)


def test_weights_of_ones_own_by_the_command(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(own_model().state_dict(), tmp_path / "mine.pth")
    add = ("models", "add", "mine", "--checkpoint", tmp_path / "mine.pth", "--timm", NET)
    assert run(*add, "--licence", "CC-BY-4.0") == 0
    said = capsys.readouterr()
    assert "written: registry/mine.toml and mine.safetensors" in said.out
    assert "tensors, loaded strictly: from" in said.out
    assert "correct them if your training was different" in said.out
    assert "left out: 2 of fc" in said.err
    assert find_encoder("mine").card.weights.licence == "CC-BY-4.0"


def test_weights_of_another_architecture_are_refused_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    torch.save(own_model().state_dict(), tmp_path / "mine.pth")
    with pytest.raises(WeightsUnavailable, match=r"mine\.pth: weights of another network"):
        add_encoder(
            "mine", AddRequest("timm", "resnet18", tmp_path / "mine.pth"), tmp_path / "registry"
        )
    state = own_model().state_dict() | {"decoder.weight": torch.ones(2)}
    torch.save(state, tmp_path / "more.pth")
    with pytest.raises(WeightsUnavailable, match=r"1 left over \(e\.g\. decoder\.weight\)"):
        add_encoder("mine", AddRequest("timm", NET, tmp_path / "more.pth"), tmp_path / "registry")
    assert not (tmp_path / "registry").exists()


@pytest.mark.parametrize("wrapper", ["module", "net"])
def test_torchvisions_architectures_take_weights_of_ones_own(
    tmp_path: Path, run: Run, wrapper: str
) -> None:
    """As many groups keep them: a ResNet with a classifier of two, inside a wrapper."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torchvision.models.resnet18(num_classes=2).eval()
    state = {f"{wrapper}.{key}": value for key, value in model.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "mine.pth")
    add = ("models", "add", "mine", "--checkpoint", tmp_path / "mine.pth")
    assert run(*add, "--torchvision", "resnet34") == 2
    assert not (tmp_path / "registry" / "mine.toml").exists()
    assert run(*add, "--torchvision", "resnet18", "--size-px", 64, "--pooling", "mean") == 0
    encoder = load_encoder("mine", device="cpu", precision="float32")
    assert encoder.card.seen.size_px == 64
    model.fc = torch.nn.Identity()
    batch = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(encoder.forward(batch).clone(), model(batch))


def test_a_library_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.startswith("clearbench.encoders.families.transf")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"family transformers needs .*: pip install"):
        add_encoder("mine", AddRequest("transformers", "hf-hub:a/b"), tmp_path)


def test_an_unknown_pooling_offers_the_known(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"did you mean mean\? \(cls, mean, cls\+mean, proj"):
        add_encoder("mine", AddRequest("timm", NET), tmp_path, Changes(pooling="meen"))
