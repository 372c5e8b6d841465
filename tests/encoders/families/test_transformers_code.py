import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

pytest.importorskip("transformers")

# isort: split
import transformers.dynamic_module_utils as dynamic

from clearbench.cli import main
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.encoder import load_encoder
from clearbench.encoders.families.transformers_code import build
from clearbench.errors import BadCard, BadRequest, WeightsUnavailable

MakeCard = Callable[..., EncoderCard]

SETTINGS = """
from transformers import PretrainedConfig

class OwnConfig(PretrainedConfig):
    model_type = "of_their_own"

    def __init__(self, dim=6, **more):
        super().__init__(**more)
        self.dim = dim
"""
NETWORK = """
import pathlib
import torch
from transformers import PreTrainedModel
from .settings import OwnConfig

pathlib.Path(__file__).with_name("ran").touch()

class Own(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.patches = torch.nn.Conv2d(3, config.dim, 4, stride=4)
        self.post_init()

    def forward(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return {answer}
"""
ANSWERS = {
    "tensor": "tokens.amax(1)",
    "tokens": "tokens",
    "output": "__import__('transformers').modeling_outputs.BaseModelOutput(tokens)",
}
CARD = """
title = "Own"
family = "transformers"
source = "file:{folder}"
dim = 6
pooling = "native"

[weights]
licence = "MIT"
remote_code = true

[input]
size_px = 16
views = "free"
default_views = ["lung"]
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
"""


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the library copy code into a folder of the test's own."""
    monkeypatch.setattr(dynamic, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.startswith("transformers_modules")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def make_repository(tmp_path: Path) -> Callable[..., Path]:
    """Write a repository with code of its own, and weights."""

    def make(answer: str = "tensor", entry: str = "network.Own") -> Path:
        folder = tmp_path / "repository"
        folder.mkdir()
        (folder / "settings.py").write_text(SETTINGS)
        (folder / "network.py").write_text(NETWORK.replace("{answer}", ANSWERS[answer]))
        auto_map = {"AutoConfig": "settings.OwnConfig", "AutoModel": entry}
        facts = {"dim": 6, "patch_size": 4, "image_size": 16, "auto_map": auto_map}
        (folder / "config.json").write_text(json.dumps(facts))
        save_file(weights(), folder / "model.safetensors")
        return folder

    return make


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {"patches.weight": torch.randn(6, 3, 4, 4), "patches.bias": torch.randn(6)}


def card_of(make_card: MakeCard, pooling: str = "native", **facts: Any) -> EncoderCard:
    said = {"source": "file:repository", "weights": {"remote_code": True}} | facts
    size = {"size_px": 16}
    return make_card(family="transformers", net="", dim=6, pooling=pooling, input=size, **said)


def ran(folder: Path) -> bool:
    """Tell whether the code ran, here or where the library copied it."""
    return any(folder.parent.rglob("ran"))


@pytest.mark.parametrize(
    ("answer", "pooling"), [("tensor", "native"), ("tokens", "mean"), ("output", "mean")]
)
def test_a_repositorys_code_gives_its_own_features(
    make_repository: Callable[..., Path], make_card: MakeCard, answer: str, pooling: str
) -> None:
    folder = make_repository(answer)
    network: Any = build(card_of(make_card, pooling), folder / "model.safetensors")
    batch = torch.randn(2, 3, 16, 16)
    own = torch.nn.functional.conv2d(batch, *weights().values(), stride=4).flatten(2)
    with torch.inference_mode():
        found = network(batch)
    torch.testing.assert_close(found, own.amax(2) if answer == "tensor" else own.mean(2))
    assert ran(folder)


def test_a_volume_network_of_a_repository_serves_too(
    make_repository: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_repository()
    code = NETWORK.replace("{answer}", ANSWERS["tensor"]).replace("Conv2d(3", "Conv3d(1")
    (folder / "network.py").write_text(code)
    state = {"patches.weight": torch.randn(6, 1, 4, 4, 4), "patches.bias": torch.randn(6)}
    save_file(state, folder / "model.safetensors")
    seen = "[volume]\nsize_zyx = [8, 16, 16]\nclip_hu = [-1000.0, 1000.0]\n"
    card = CARD.format(folder=folder).partition("[input]")[0] + seen
    (tmp_path / "own.toml").write_text(card.replace("dim = 6", 'dim = 6\nscope = "volume"'))
    pytest.importorskip("monai")
    encoder = load_encoder(str(tmp_path / "own.toml"), trust_remote_code=True)
    assert encoder.embed(torch.zeros(6, 20, 20).numpy(), (2.0, 1.0, 1.0)).shape == (1, 1, 6)


def test_code_runs_only_for_a_card_that_is_trusted(
    make_repository: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_repository()
    (tmp_path / "own.toml").write_text(CARD.format(folder=folder))
    name = str(tmp_path / "own.toml")
    with pytest.raises(BadRequest, match="if you trust it, allow it with trust_remote_code"):
        load_encoder(name)
    assert not ran(folder)
    encoder = load_encoder(name, trust_remote_code=True)
    assert encoder.embed(torch.zeros(2, 32, 32).numpy()).shape == (2, 1, 6)


def test_other_code_has_another_fingerprint(
    make_repository: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_repository()
    (tmp_path / "own.toml").write_text(CARD.format(folder=folder))
    name = str(tmp_path / "own.toml")
    first, again = (load_encoder(name, trust_remote_code=True).fingerprint for _ in range(2))
    (folder / "network.py").write_text(NETWORK.replace("{answer}", "tokens.amin(1)"))
    assert first == again != load_encoder(name, trust_remote_code=True).fingerprint


def test_weights_of_another_network_are_refused(
    make_repository: Callable[..., Path], make_card: MakeCard
) -> None:
    folder = make_repository()
    save_file(weights() | {"more": torch.ones(1)}, folder / "model.safetensors")
    with pytest.raises(WeightsUnavailable, match=r"1 left over \(e\.g\. more\)"):
        build(card_of(make_card), folder / "model.safetensors")


def test_code_that_fails_is_named(
    make_repository: Callable[..., Path], make_card: MakeCard
) -> None:
    folder = make_repository()
    (folder / "network.py").write_text("raise RuntimeError('no such luck')")
    with pytest.raises(BadCard, match=r"repository fails \(RuntimeError: no such luck\)"):
        build(card_of(make_card), folder / "model.safetensors")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"model_type": "dinov2"}, "has no code of its network"),
        (
            {"auto_map": {"AutoModel": "another/one--network.Own"}},
            "card fixes no revision of another",
        ),
        ({"auto_map": {"AutoModel": 3}}, "is not code of this repository"),
        ({"auto_map": "network.Own"}, "not a readable configuration"),
    ],
)
def test_a_repository_without_code_of_its_own_is_refused(
    make_repository: Callable[..., Path], make_card: MakeCard, facts: dict[str, Any], words: str
) -> None:
    folder = make_repository()
    (folder / "config.json").write_text(json.dumps(facts))
    with pytest.raises(BadCard, match=words):
        build(card_of(make_card), folder / "model.safetensors")
    assert not ran(folder)


def test_a_repository_may_name_itself(
    make_repository: Callable[..., Path], make_card: MakeCard
) -> None:
    """Then the code is read here all the same, not fetched again."""
    folder = make_repository(entry="some-one/thing--network.Own")
    card = card_of(make_card, source="hf-hub:some-one/thing", revision="a" * 40)
    network = build(card, folder / "model.safetensors")
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 16, 16)).shape == (1, 6)


def test_random_weights_have_no_code(make_card: MakeCard) -> None:
    with pytest.raises(BadCard, match="so they can't be random"):
        build(card_of(make_card), None)


def test_trust_is_typed_for_one_encoder(
    make_repository: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = make_repository()
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "own.toml").write_text(CARD.format(folder=folder))
    typed = ["clearbench", "models", "check", "own", "--registry", str(tmp_path / "cards")]

    def run(*more: str) -> int:
        monkeypatch.setattr(sys, "argv", [*typed, *more, "--device", "cpu"])
        with pytest.raises(SystemExit) as done:
            main()
        return int(done.value.code or 0)

    assert run() == 2
    assert "allow it with trust_remote_code" in capsys.readouterr().err
    assert run("--trust-remote-code", "owm") == 2
    assert "did you mean own?" in capsys.readouterr().err
    assert not ran(folder)
    assert run("--trust-remote-code", "own") == 0
