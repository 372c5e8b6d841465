import os
import re
import sys
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from clearbench.cli import main
from clearbench.encoders.adding.checkpoint import ConvertedCheckpoint, convert_checkpoint
from clearbench.encoders.encoder import load_encoder
from clearbench.encoders.nets.build import build_net
from clearbench.encoders.nets.sizes import Sizes, check_sizes, features_dim
from clearbench.encoders.registry import find_encoder
from clearbench.encoders.weights.load import file_sha256
from clearbench.errors import BadCard, BadRequest, UnknownName, WeightsUnavailable
from clearbench.pretraining.loop import new_state
from clearbench.pretraining.settings import PretrainSettings

# isort: split
from timm.models.mambaout import MambaOut

StateDict = dict[str, Any]
Run = Callable[..., int]
Branch = Literal["base", "momentum"]

FACTS: dict[str, StateDict] = {
    "vit": {"embed_dim": 64, "depth": 2, "num_heads": 1, "conv_stem": True},
    "vssm": {"depths": (1, 2), "dims": (8, 12), "ssm_d_state": 3},
    "gated-cnn": {"depths": (1, 2), "dims": (8, 12)},
}
SIZE_PX = {"vit": 48, "vssm": 224, "gated-cnn": 224}
HEAD = {"vit": "head.", "vssm": "classifier.head.", "gated-cnn": "head."}
each_net = pytest.mark.parametrize("net", FACTS)
each_branch = pytest.mark.parametrize("branch", ["base", "momentum"])

# our name → the published one, the first rule that fits
PUBLISHED: dict[str, list[tuple[str, str]]] = {
    "vit": [],
    "vssm": [
        (r"patch_embed\.", "patch_embed.0."),
        (r"patch_norm\.", "patch_embed.2."),
        (r"stages\.(\d+)\.(\d+)\.", r"layers.\1.blocks.\2."),
        (r"downsample\.(\d+)\.0\.convolution\.", r"layers.\1.downsample.1."),
        (r"downsample\.(\d+)\.1\.", r"layers.\1.downsample.3."),
        (r"norm\.", "classifier.norm."),
    ],
    "gated-cnn": [
        (r"trunk\.stem\.", "downsample_layers.0."),
        (r"trunk\.stages\.(\d+)\.downsample\.", r"downsample_layers.\1."),
        (r"trunk\.stages\.(\d+)\.blocks\.", r"stages.\1."),
    ],
}


def network(net: str, seed: int = 0, **facts: Any) -> nn.Module:
    """Return a network in which no tensor is that of a fresh one."""
    made = build_net(sizes_of(net, **facts), SIZE_PX[net], seed=seed)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            if tensor.is_floating_point() and name != "pos_embed":
                tensor += 0.05 * torch.rand(tensor.shape, generator=rng)
    return made.eval()


def sizes_of(net: str, **facts: Any) -> Sizes:
    return check_sizes(net, FACTS[net] | facts, "test")


def published(made: nn.Module, net: str) -> StateDict:
    """Return a network's state under the published names."""
    return {published_key(key, net): value for key, value in made.state_dict().items()}


def published_key(key: str, net: str) -> str:
    for pattern, theirs in PUBLISHED[net]:
        if re.match(pattern, key):
            return re.sub(rf"^{pattern}", theirs, key)
    return key


def projector(prefix: str) -> StateDict:
    """Return a head of MoCo v3: linear layers and batch norms."""
    shapes = {"0.weight": (16, 12), "1.weight": (16,), "1.running_mean": (16,), "3.weight": (8, 16)}
    return {f"{prefix}{key}": torch.ones(shape) for key, shape in shapes.items()}


def moco(base: nn.Module, momentum: nn.Module, net: str) -> StateDict:
    """Return a checkpoint as CLEAR's released code writes it, after a step of its optimiser."""
    state: StateDict = projector("module.predictor.")
    for name, made in (("base_encoder", base), ("momentum_encoder", momentum)):
        inner = published(made, net) | projector(HEAD[net])
        state |= {f"module.{name}.{key}": value for key, value in inner.items()}
    layer = nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    return {
        "epoch": 100,
        "arch": f"{net}_lecl",
        "state_dict": state,
        "optimizer": optimiser.state_dict(),
        "scaler": {"scale": 65536.0, "_growth_tracker": 3},
    }


def pretrained(base: nn.Module, momentum: nn.Module, net: str) -> StateDict:
    """Return a checkpoint of `clearbench pretrain`."""
    settings = PretrainSettings(hidden=16, projection=8)
    sizes = sizes_of(net)
    fresh = build_net(sizes, SIZE_PX[net])
    state = new_state(fresh, features_dim(sizes), settings, torch.device("cpu"))
    for ours, made in ((state.moco.base, base), (state.moco.momentum, momentum)):
        encoder: Any = ours
        encoder[0].load_state_dict(made.state_dict())
    facts = {"net": net, "sizes": sizes.model_dump(), "size_px": SIZE_PX[net]}
    return state.as_dict(settings, facts)


def saved(state: StateDict, folder: Path, name: str = "checkpoint.pth.tar") -> Path:
    torch.save(state, folder / name)
    return folder / name


def images(net: str) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, SIZE_PX[net], SIZE_PX[net], generator=rng)


def agrees(converted: ConvertedCheckpoint | Path, made: nn.Module, net: str) -> bool:
    """Tell whether the encoder of a card gives the features of the network it came from."""
    card = converted.card if isinstance(converted, ConvertedCheckpoint) else converted
    encoder = load_encoder(str(card), device="cpu", precision="float32")
    with torch.inference_mode():
        expected = made(images(net))
    return torch.allclose(encoder.forward(images(net)), expected, rtol=1e-5, atol=1e-5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    def typed(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["clearbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
        return int(done.value.code or 0)

    return typed


@each_branch
@each_net
def test_a_moco_checkpoint_of_clears_code_becomes_an_encoder(
    tmp_path: Path, folder: Path, net: str, branch: Branch
) -> None:
    both = {"base": network(net, 1), "momentum": network(net, 2)}
    path = saved(moco(both["base"], both["momentum"], net), tmp_path)
    converted = convert_checkpoint("mine", path, net, folder, branch=branch)
    assert agrees(converted, both.pop(branch), net)
    assert not agrees(converted, both.popitem()[1], net)
    left = {key for key in converted.dropped if key.startswith(f"{branch}_encoder.")}
    assert left == {f"{branch}_encoder.{key}" for key in projector(HEAD[net])}
    other = "base" if branch == "momentum" else "momentum"
    assert {key.partition(".")[0] for key in set(converted.dropped) - left} >= {f"{other}_encoder"}
    assert converted.sizes == sizes_of(net)


@each_branch
@each_net
def test_a_checkpoint_of_our_own_pretraining_becomes_an_encoder(
    tmp_path: Path, folder: Path, net: str, branch: Branch
) -> None:
    both = {"base": network(net, 1), "momentum": network(net, 2)}
    path = saved(pretrained(both["base"], both["momentum"], net), tmp_path, "checkpoint.pt")
    converted = convert_checkpoint("mine", path, net, folder, branch=branch)
    assert agrees(converted, both.pop(branch), net)
    assert not agrees(converted, both.popitem()[1], net)


def test_our_own_checkpoint_tells_its_sizes(tmp_path: Path, folder: Path) -> None:
    """A ViT's heads and a convolution's image size can't be read off tensors."""
    settings, facts = PretrainSettings(hidden=16, projection=8), find_encoder("lecl-vit-mini").card
    sizes = check_sizes("vit", facts.sizes, "card")
    state = new_state(build_net(sizes, 96), 96, settings, torch.device("cpu"))
    net = {"net": "vit", "sizes": facts.sizes, "size_px": 96}
    path = saved(state.as_dict(settings, net), tmp_path, "checkpoint.pt")
    converted = convert_checkpoint("mine", path, "vit", folder)
    card = find_encoder(str(converted.card)).card
    assert (card.sizes["num_heads"], card.input.size_px) == (3, 96)
    with pytest.raises(BadRequest, match="has the network vit"):
        convert_checkpoint("other", path, "vssm", folder)


def test_a_stray_number_asks_for_no_giant_network(tmp_path: Path, folder: Path) -> None:
    state = network("vssm").state_dict() | {"stages.0.9999999.x": torch.ones(3)}
    with pytest.raises(WeightsUnavailable, match="9999999"):
        convert_checkpoint("mine", saved(state, tmp_path), "vssm", folder)


def test_the_base_encoder_is_the_usual_choice(tmp_path: Path, folder: Path) -> None:
    base, momentum = network("vssm", 1), network("vssm", 2)
    path = saved(moco(base, momentum, "vssm"), tmp_path)
    assert agrees(convert_checkpoint("mine", path, "vssm", folder), base, "vssm")


def test_a_file_of_vmamba_becomes_an_encoder(tmp_path: Path, folder: Path) -> None:
    made = network("vssm")
    heads = {"classifier.head.weight": torch.ones(1000, 12), "classifier.head.bias": torch.ones(9)}
    path = saved({"model": published(made, "vssm") | heads}, tmp_path, "vssm1_tiny.pth")
    converted = convert_checkpoint("mine", path, "vssm", folder)
    assert agrees(converted, made, "vssm")
    assert converted.dropped == ("classifier.head.bias", "classifier.head.weight")


@pytest.mark.parametrize("nested", ["state_dict", "model", None])
def test_a_published_file_of_mambaout_becomes_an_encoder(
    tmp_path: Path, folder: Path, nested: str | None
) -> None:
    made = network("gated-cnn")
    heads = {
        f"head.{layer}.{kind}": torch.full((12,), 0.5)
        for layer in ("fc1", "norm", "fc2")
        for kind in ("weight", "bias")
    }
    state = published(made, "gated-cnn") | heads
    path = saved({nested: state} if nested else state, tmp_path, "mambaout_tiny.pth")
    converted = convert_checkpoint("mine", path, "gated-cnn", folder)
    assert agrees(converted, made, "gated-cnn")
    assert converted.dropped == tuple(sorted(heads))


def test_a_file_of_timms_mambaout_becomes_an_encoder(tmp_path: Path, folder: Path) -> None:
    """There the last norm is called head.norm, which elsewhere is a part of the classifier."""
    facts = FACTS["gated-cnn"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        timms: Any = MambaOut(num_classes=9, depths=facts["depths"], dims=facts["dims"]).eval()
        with torch.no_grad():
            for parameter in timms.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
    path = saved(timms.state_dict(), tmp_path, "timm.pth")
    converted = convert_checkpoint("mine", path, "gated-cnn", folder)
    assert {key.rpartition(".")[0] for key in converted.dropped} == {
        "head.pre_logits.fc",
        "head.pre_logits.norm",
        "head.fc",
    }
    encoder = load_encoder(str(converted.card), device="cpu", precision="float32")
    batch = images("gated-cnn")
    with torch.inference_mode():
        expected = timms.head.norm(timms.forward_features(batch).mean(dim=(1, 2)))
    torch.testing.assert_close(encoder.forward(batch).clone(), expected)


@each_net
def test_what_was_adopted_can_be_adopted_again(tmp_path: Path, folder: Path, net: str) -> None:
    made = network(net)
    first = convert_checkpoint("first", saved(published(made, net), tmp_path), net, folder)
    second = convert_checkpoint("second", first.weights, net, folder)
    assert agrees(second, made, net)
    assert second.dropped == ()
    assert file_sha256(second.weights) == file_sha256(first.weights)


@each_net
def test_the_card_tells_what_the_tensors_tell(tmp_path: Path, folder: Path, net: str) -> None:
    path = saved(moco(network(net, 1), network(net, 2), net), tmp_path)
    converted = convert_checkpoint("mine", path, net, folder, licence="CC-BY-4.0")
    assert converted.card == folder / "mine.toml"
    assert sorted(file.name for file in folder.iterdir()) == ["mine.safetensors", "mine.toml"]
    card = find_encoder("mine", [folder]).card
    assert (card.family, card.net, card.dim) == ("lecl", net, 64 if net == "vit" else 12)
    assert check_sizes(net, card.sizes, "card") == sizes_of(net)
    assert card.input.size_px == SIZE_PX[net]
    assert card.input.default_views
    assert card.source == "file:mine.safetensors"
    assert card.weights.licence == "CC-BY-4.0"
    assert card.weights.sha256 == file_sha256(converted.weights)
    assert card.facts.parameters_m is None, "those of the usual card are not this one's"


@pytest.mark.parametrize(
    ("net", "facts"),
    [
        ("vit", {"conv_stem": False, "depth": 3}),
        ("vit", {"embed_dim": 128, "num_heads": 2}),
        ("vssm", {"depths": (2, 1, 1), "dims": (4, 8, 12), "ssm_d_state": 1}),
        ("gated-cnn", {"depths": (1,), "dims": (6,)}),
    ],
)
def test_sizes_are_read_off_the_tensors(
    tmp_path: Path, folder: Path, net: str, facts: dict[str, Any]
) -> None:
    made = network(net, **facts)
    converted = convert_checkpoint("mine", saved(published(made, net), tmp_path), net, folder)
    assert converted.sizes == sizes_of(net, **facts)
    assert agrees(converted, made, net)


def test_blocks_beyond_the_ninth_are_counted(tmp_path: Path, folder: Path) -> None:
    made = network("gated-cnn", depths=(1, 11), dims=(4, 6))
    path = saved(published(made, "gated-cnn"), tmp_path)
    assert convert_checkpoint("mine", path, "gated-cnn", folder).sizes == sizes_of(
        "gated-cnn", depths=(1, 11), dims=(4, 6)
    )


def test_the_heads_of_a_vit_are_the_users_to_tell(tmp_path: Path, folder: Path) -> None:
    made = network("vit", num_heads=4)
    path = saved(published(made, "vit"), tmp_path)
    assert agrees(convert_checkpoint("stated", path, "vit", folder, num_heads=4), made, "vit")
    assert not agrees(convert_checkpoint("guessed", path, "vit", folder), made, "vit")
    with pytest.raises(BadCard, match="embed_dim 64 is not a multiple of num_heads"):
        convert_checkpoint("wrong", path, "vit", folder, num_heads=5)
    with pytest.raises(BadCard, match=r"num_heads: .*greater than 0"):
        convert_checkpoint("wrong", path, "vit", folder, num_heads=0)
    assert len(list(folder.iterdir())) == 4


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_weights_are_kept_in_float32(tmp_path: Path, folder: Path, dtype: torch.dtype) -> None:
    made = network("vssm").to(dtype).float()
    state = {key: value.to(dtype) for key, value in published(made, "vssm").items()}
    assert agrees(convert_checkpoint("mine", saved(state, tmp_path), "vssm", folder), made, "vssm")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"decoder.weight": torch.ones(1)}, r"1 left over \(e\.g\. decoder\.weight\)"),
        ({"layers.0.blocks.0.op.more": torch.ones(1)}, r"1 left over \(e\.g\. stages\.0\.0\.op\.m"),
        ({"classifier.norm.bias": None}, r"1 missing \(e\.g\. norm\.bias\)"),
        ({"layers.1.blocks.1.op.Ds": None}, r"1 missing"),
        ({"patch_embed.0.bias": torch.ones(9)}, r"1 of another shape \(e\.g\. patch_embed\.bias\)"),
    ],
)
def test_keys_too_many_or_too_few_are_refused_and_nothing_is_written(
    tmp_path: Path, folder: Path, change: StateDict, fault: str, run: Run
) -> None:
    state = moco(network("vssm"), network("vssm"), "vssm")
    for key, value in change.items():
        state["state_dict"][f"module.base_encoder.{key}"] = value
    state["state_dict"] = {k: v for k, v in state["state_dict"].items() if v is not None}
    path = saved(state, tmp_path)
    with pytest.raises(WeightsUnavailable, match=rf"checkpoint\.pth\.tar: .*{fault}"):
        convert_checkpoint("mine", path, "vssm", folder)
    add = ("models", "add", "mine", "--checkpoint", path, "--net", "vssm", "--registry", folder)
    assert run(*add) == 2
    assert not folder.exists()
    assert convert_checkpoint("mine", path, "vssm", folder, branch="momentum").card.is_file()


@pytest.mark.parametrize(("net", "other"), [*permutations(FACTS, 2)])
def test_a_checkpoint_of_another_net_is_refused(
    tmp_path: Path, folder: Path, net: str, other: str
) -> None:
    path = saved(moco(network(other), network(other), other), tmp_path)
    with pytest.raises(WeightsUnavailable, match=rf"not weights of the network {net};"):
        convert_checkpoint("mine", path, net, folder)
    assert not folder.exists()


@pytest.mark.parametrize("taken", ["mine.toml", "mine.safetensors"])
def test_a_name_that_exists_is_refused(
    tmp_path: Path, folder: Path, taken: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(published(network("vssm"), "vssm"), tmp_path)
    folder.mkdir()
    (folder / taken).write_text("what was there")
    with pytest.raises(BadRequest, match="exists; choose another name, or use replace"):
        convert_checkpoint("mine", path, "vssm", folder)
    add = ("models", "add", "mine", "--checkpoint", path, "--net", "vssm", "--registry", folder)
    assert run(*add) == 2
    assert "exists; choose another name" in capsys.readouterr().err
    assert [file.name for file in folder.iterdir()] == [taken]
    assert (folder / taken).read_text() == "what was there"


def test_a_name_that_exists_is_replaced_if_typed(tmp_path: Path, folder: Path, run: Run) -> None:
    path = saved(published(network("vssm"), "vssm"), tmp_path)
    folder.mkdir()
    (folder / "mine.toml").write_text("what was there")
    add = ("models", "add", "mine", "--checkpoint", path, "--net", "vssm", "--registry", folder)
    assert run(*add, "--views", "brain,bone", "--replace") == 0
    card = find_encoder("mine", [folder]).card
    assert (card.net, card.seen.default_views) == ("vssm", ("brain", "bone"))


def test_a_name_is_a_plain_word(tmp_path: Path, folder: Path) -> None:
    path = saved(published(network("vssm"), "vssm"), tmp_path)
    with pytest.raises(BadRequest, match="letters, digits, dots, dashes and underscores"):
        convert_checkpoint("../mine", path, "vssm", folder)
    with pytest.raises(UnknownName, match=r'no window is called "lungg"; did you mean lung\?'):
        convert_checkpoint("mine", path, "vssm", folder, views=("lungg",))
    assert not folder.exists()


class Code:
    """A pickle that writes a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, folder: Path) -> None:
    state = moco(network("vssm"), network("vssm"), "vssm") | {"args": Code(tmp_path / "ran")}
    with pytest.raises(WeightsUnavailable, match="so it is not opened"):
        convert_checkpoint("mine", saved(state, tmp_path), "vssm", folder)
    assert not (tmp_path / "ran").exists()
    assert not folder.exists()


@pytest.mark.parametrize("content", [b"", b"<html>Not found</html>", None])
def test_a_damaged_or_missing_checkpoint_is_named(
    tmp_path: Path, folder: Path, content: bytes | None
) -> None:
    path = tmp_path / "checkpoint.pth.tar"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsUnavailable, match=r"checkpoint\.pth\.tar: "):
        convert_checkpoint("mine", path, "vssm", folder)
    assert not folder.exists()


def test_a_checkpoint_of_something_else_is_named(tmp_path: Path, folder: Path) -> None:
    for state in ({}, {"epoch": 3}, {"state_dict": {}}, {"model": [1, 2]}):
        with pytest.raises(WeightsUnavailable, match="not weights of the network vit"):
            convert_checkpoint("mine", saved(state, tmp_path), "vit", folder)
    assert not folder.exists()


def test_a_branch_that_is_not_there_is_refused(tmp_path: Path, folder: Path) -> None:
    state = moco(network("vssm"), network("vssm"), "vssm")
    kept = {k: v for k, v in state["state_dict"].items() if "momentum" not in k}
    path = saved(state | {"state_dict": kept}, tmp_path)
    with pytest.raises(WeightsUnavailable, match="this MoCo checkpoint has no momentum encoder"):
        convert_checkpoint("mine", path, "vssm", folder, branch="momentum")
    other: Any = "teacher"
    with pytest.raises(BadRequest, match="branch='teacher': must be base or momentum"):
        convert_checkpoint("mine", path, "vssm", folder, branch=other)


def test_an_unknown_net_offers_the_nearest(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UnknownName, match=r'"gated_cnn"; did you mean gated-cnn\? \(vit, vssm, g'):
        convert_checkpoint("mine", tmp_path / "none", "gated_cnn", folder)


@each_branch
@each_net
def test_the_command_adds_an_encoder_that_embeds(
    tmp_path: Path,
    folder: Path,
    net: str,
    branch: Branch,
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    both = {"base": network(net, 1), "momentum": network(net, 2)}
    path = saved(moco(both["base"], both["momentum"], net), tmp_path)
    add = ["models", "add", "mine", "--checkpoint", path, "--net", net, "--registry", folder]
    assert run(*add, "--branch", branch, "--licence", "MIT") == 0
    said = capsys.readouterr()
    assert f"next: clearbench models check mine --registry {folder}\n" in said.out
    assert f"of {branch}_encoder" in said.err
    assert agrees(folder / "mine.toml", both[branch], net)
    assert run("models", "show", "mine", "--registry", folder) == 0
    assert "MIT" in capsys.readouterr().out


def test_the_command_takes_the_heads_of_a_vit(tmp_path: Path, folder: Path, run: Run) -> None:
    made = network("vit", num_heads=4)
    path = saved(moco(made, network("vit"), "vit"), tmp_path)
    add = ["models", "add", "mine", "--checkpoint", path, "--net", "vit", "--registry", folder]
    assert run(*add, "--num-heads", 5) == 2
    assert not folder.exists()
    assert run(*add, "--num-heads", 4) == 0
    assert agrees(folder / "mine.toml", made, "vit")


def test_the_command_writes_into_the_folder_registry(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = network("vssm")
    path = saved(published(made, "vssm"), tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run("models", "add", "mine", "--checkpoint", path, "--net", "vssm") == 0
    assert agrees(tmp_path / "registry" / "mine.toml", made, "vssm")
    assert find_encoder("mine").card.net == "vssm"


def test_a_lecl_network_may_be_inside_another_training(tmp_path: Path, folder: Path) -> None:
    """A Lightning file of a student and its teacher, with a loss next to them."""
    raw, teacher = network("vssm", 1), network("vssm", 2)
    state = {f"student.{key}": value for key, value in published(raw, "vssm").items()}
    state |= {f"teacher.{key}": value for key, value in published(teacher, "vssm").items()}
    path = saved({"state_dict": state | {"loss.center": torch.ones(4)}}, tmp_path)
    converted = convert_checkpoint("mine", path, "vssm", folder)
    assert agrees(converted, teacher, "vssm")
    assert "state_dict.teacher (EMA); not taken: state_dict.student (raw)" in converted.taken
    assert {key.partition(".")[0] for key in converted.dropped} == {"student", "loss"}
    weights = find_encoder(str(converted.card)).card.weights
    assert (weights.ema, weights.part) == (True, "state_dict.teacher")
    other = convert_checkpoint("other", path, "vssm", folder, ema=False)
    assert agrees(other, raw, "vssm")


def test_a_file_of_vmamba_with_both_takes_the_average(tmp_path: Path, folder: Path) -> None:
    raw, average = network("vssm", 1), network("vssm", 2)
    both = {"model": published(raw, "vssm"), "model_ema": published(average, "vssm")}
    path = saved(both, tmp_path)
    assert agrees(convert_checkpoint("a", path, "vssm", folder), average, "vssm")
    assert agrees(convert_checkpoint("b", path, "vssm", folder, ema=False), raw, "vssm")


def test_moco_is_chosen_by_its_branch(tmp_path: Path, folder: Path) -> None:
    path = saved(moco(network("vssm", 1), network("vssm", 2), "vssm"), tmp_path)
    with pytest.raises(BadRequest, match="a MoCo checkpoint; choose base or momentum by branch"):
        convert_checkpoint("mine", path, "vssm", folder, ema=True)
    query = {
        f"module.encoder_{q}.{key}": value
        for q, seed in (("q", 1), ("k", 2))
        for key, value in published(network("vssm", seed), "vssm").items()
    }
    path = saved({"state_dict": query}, tmp_path, "moco2.pth.tar")
    for branch, seed in (("base", 1), ("momentum", 2)):
        found = convert_checkpoint(branch, path, "vssm", folder, branch=branch)  # type: ignore[arg-type]
        assert agrees(found, network("vssm", seed), "vssm")


def test_names_can_be_left_out(tmp_path: Path, folder: Path) -> None:
    made = network("vssm")
    path = saved(published(made, "vssm") | {"decoder.weight": torch.ones(2)}, tmp_path)
    with pytest.raises(WeightsUnavailable, match="left over"):
        convert_checkpoint("mine", path, "vssm", folder)
    assert agrees(
        convert_checkpoint("mine", path, "vssm", folder, unused=["decoder."]), made, "vssm"
    )
