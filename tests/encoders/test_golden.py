import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from clearbench.cli import main
from clearbench.encoders.golden import TOLERANCE, check_golden
from clearbench.encoders.nets.build import build_net
from clearbench.encoders.nets.sizes import check_sizes
from clearbench.errors import BadCard, BadRequest, UnknownName, WeightsUnavailable

Run = Callable[..., int]

PUBLISHED = {"vit_conv": "vit", "vit_patch": "vit", "vssm": "vssm", "mambaout": "gated-cnn"}
VIT = {"embed_dim": 24, "depth": 1, "num_heads": 3}
OTHER_SIZES: list[tuple[str, dict[str, Any], tuple[int, int]]] = [
    ("vit", VIT | {"conv_stem": True}, (32, 64)),
    ("vit", VIT | {"conv_stem": False}, (48, 16)),
    ("vssm", {"depths": (1, 2), "dims": (24, 48), "ssm_d_state": 5}, (40, 72)),
    ("gated-cnn", {"depths": [1, 2], "dims": [24, 48]}, (40, 72)),
]
each_published = pytest.mark.parametrize(("name", "net"), PUBLISHED.items())
each_other_size = pytest.mark.parametrize(("net", "facts", "side"), OTHER_SIZES)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    def typed(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["clearbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
        return int(done.value.code or 0)

    return typed


def tensors_of(net: str, facts: dict[str, Any], side: tuple[int, int]) -> dict[str, Tensor]:
    """Return the tensors of a golden file, of a network with random weights."""
    network = build_net(check_sizes(net, facts, "test"), side, seed=5).eval()
    images = torch.randn(2, 3, *side, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        features = network(images)
    weights = {f"weights.{key}": value for key, value in network.state_dict().items()}
    tensors = weights | {"input": images, "features": features}
    return {key: value.contiguous() for key, value in tensors.items()}


def written(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any] | None) -> Path:
    metadata = None if facts is None else {key: repr(value) for key, value in facts.items()}
    save_file(tensors, path, metadata=metadata)
    return path


@pytest.fixture
def vssm(tmp_path: Path) -> tuple[Path, dict[str, Tensor], dict[str, Any]]:
    """Return where to write a file, and the tensors and sizes to be put into it."""
    net, facts, side = OTHER_SIZES[2]
    return tmp_path / "golden.safetensors", tensors_of(net, facts, side), facts


@each_published
def test_our_networks_agree_with_the_published_ones(golden: Path, name: str, net: str) -> None:
    path = golden / f"{name}.safetensors"
    found = check_golden(net, path)
    tensors = load_file(path)
    assert found.agrees
    assert found.largest_difference <= 1e-5, "1e-4 is allowed, rounding needs a tenth"
    assert found.largest_feature == tensors["features"].abs().max().item()
    assert found.tensors == sum(key.startswith("weights.") for key in tensors)
    assert (found.net, found.images) == (net, (2, 3, 64, 64))


@each_published
@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_tells_that_they_agree(
    golden: Path,
    name: str,
    net: str,
    as_json: bool,
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = golden / f"{name}.safetensors"
    options = ["--json"] if as_json else []
    assert run("models", "check", f"lecl-{net}-mini", "--golden", path, *options) == 0
    said = capsys.readouterr().out
    if as_json:
        facts = json.loads(said)
        assert facts["agrees"] is True
        assert facts["largest_difference"] <= 1e-4
        with safe_open(path, "pt") as file:
            assert set(file.metadata()) - {"img_size"} == set(facts["sizes"])
    else:
        assert "agrees" in said
        assert "DIFFERS" not in said


@each_other_size
def test_a_file_of_another_size_agrees(
    tmp_path: Path, net: str, facts: dict[str, Any], side: tuple[int, int]
) -> None:
    """The sizes are the file's, not the card's, and the image need not be square."""
    path = written(tmp_path / "other.safetensors", tensors_of(net, facts, side), facts)
    found = check_golden(net, path)
    assert found.agrees
    assert found.largest_feature > 0.1
    assert found.sizes == check_sizes(net, facts, "test")
    assert found.images == (2, 3, *side)


@each_other_size
def test_the_command_takes_a_file_of_another_size(
    tmp_path: Path, net: str, facts: dict[str, Any], side: tuple[int, int], run: Run
) -> None:
    path = written(tmp_path / "other.safetensors", tensors_of(net, facts, side), facts)
    assert run("models", "check", f"lecl-{net}-mini", "--golden", path) == 0


@pytest.mark.parametrize("size", [(32, 64), None], ids=str)
def test_a_vits_image_size_is_the_metadatas_or_the_inputs(tmp_path: Path, size: object) -> None:
    net, facts, side = OTHER_SIZES[0]
    more = {} if size is None else {"img_size": size}
    path = written(tmp_path / "vit.safetensors", tensors_of(net, facts, side), facts | more)
    assert check_golden(net, path).agrees


@each_other_size
def test_changed_weights_differ(
    tmp_path: Path,
    net: str,
    facts: dict[str, Any],
    side: tuple[int, int],
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tensors = tensors_of(net, facts, side)
    tensors["weights.norm.bias"] += 2 * TOLERANCE
    path = written(tmp_path / "changed.safetensors", tensors, facts)
    found = check_golden(net, path)
    assert not found.agrees
    assert found.largest_difference == pytest.approx(2 * TOLERANCE, rel=0.02)
    assert run("models", "check", f"lecl-{net}-mini", "--golden", path) == 1
    assert "DIFFERS" in capsys.readouterr().out
    assert run("models", "check", f"lecl-{net}-mini", "--golden", path, "--json") == 1
    assert json.loads(capsys.readouterr().out)["agrees"] is False


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("vit_conv", "patch_embed.proj.10.running_mean"),
        ("vit_patch", "blocks.1.attn.qkv.weight"),
        ("vssm", "layers.0.blocks.0.op.in_proj.weight"),
        ("mambaout", "stages.2.1.fc1.weight"),
    ],
)
def test_a_published_file_with_one_tensor_turned_round_differs(
    golden: Path, tmp_path: Path, name: str, key: str, run: Run
) -> None:
    net = PUBLISHED[name]
    with safe_open(golden / f"{name}.safetensors", "pt") as file:
        metadata = file.metadata()
    tensors = load_file(golden / f"{name}.safetensors")
    turned = tensors[f"weights.{key}"].flip(0).contiguous()
    path = tmp_path / "turned.safetensors"
    save_file(tensors | {f"weights.{key}": turned}, path, metadata)
    assert not check_golden(net, path).agrees
    assert run("models", "check", f"lecl-{net}-mini", "--golden", path) == 1


def test_features_that_are_no_numbers_differ(
    vssm: tuple[Path, dict[str, Tensor], dict[str, Any]], run: Run
) -> None:
    path, tensors, facts = vssm
    tensors["features"][0, 0] = float("nan")
    assert not check_golden("vssm", written(path, tensors, facts)).agrees
    assert run("models", "check", "lecl-vssm-mini", "--golden", path) == 1


def test_checking_leaves_torchs_chance_and_the_file_as_they_were(
    vssm: tuple[Path, dict[str, Tensor], dict[str, Any]],
) -> None:
    path = written(*vssm)
    state, content = torch.random.get_rng_state(), path.read_bytes()
    check_golden("vssm", path)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"input": None}, r"a golden file needs weights\.\*, input \[b, 3, h, w\] and features"),
        ({"features": None}, "a golden file needs"),
        ({"input": torch.zeros(2, 1, 40, 72)}, "a golden file needs"),
        ({"input": torch.zeros(3, 40, 72)}, "a golden file needs"),
        ({"features": torch.zeros(2, 47)}, r"features are \(2, 47\), but the network .* \(2, 48\)"),
        ({"features": torch.zeros(1, 48)}, r"features are \(1, 48\)"),
    ],
)
def test_a_file_of_something_else_is_refused(
    vssm: tuple[Path, dict[str, Tensor], dict[str, Any]], change: dict[str, Any], fault: str
) -> None:
    path, tensors, facts = vssm
    kept = {key: value for key, value in (tensors | change).items() if value is not None}
    with pytest.raises(BadRequest, match=rf"golden\.safetensors: {fault}"):
        check_golden("vssm", written(path, kept, facts))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"weights.more": torch.zeros(1)}, r"1 left over \(e\.g\. more\)"),
        ({"weights.norm.bias": None}, r"1 missing \(e\.g\. norm\.bias\)"),
        ({"weights.norm.bias": torch.zeros(47)}, r"1 of another shape \(e\.g\. norm\.bias\)"),
    ],
)
def test_weights_are_loaded_strictly(
    vssm: tuple[Path, dict[str, Tensor], dict[str, Any]],
    change: dict[str, Any],
    fault: str,
    run: Run,
) -> None:
    path, tensors, facts = vssm
    kept = {key: value for key, value in (tensors | change).items() if value is not None}
    with pytest.raises(WeightsUnavailable, match=rf"weights of another network: keys {fault}"):
        check_golden("vssm", written(path, kept, facts))
    assert run("models", "check", "lecl-vssm-mini", "--golden", path) == 2


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (None, "depths is missing; dims is missing"),
        ({"dims": (24,)}, "depths and dims need one number per stage"),
        ({"num_heads": 3}, "unknown key num_heads"),
    ],
)
def test_metadata_without_the_sizes_is_refused(
    vssm: tuple[Path, dict[str, Tensor], dict[str, Any]], change: dict[str, Any] | None, fault: str
) -> None:
    path, tensors, facts = vssm
    written(path, tensors, None if change is None else facts | change)
    with pytest.raises(BadCard, match=rf"golden\.safetensors \(metadata\): {fault}"):
        check_golden("vssm", path)


@pytest.mark.parametrize("text", ["one, two", "__import__('os').getcwd()", "[1, 2", ""])
def test_metadata_is_read_as_literals_and_never_run(
    vssm: tuple[Path, dict[str, Tensor], dict[str, Any]], text: str
) -> None:
    path, tensors, facts = vssm
    save_file(tensors, path, {key: str(value) for key, value in facts.items()} | {"depths": text})
    with pytest.raises(BadRequest, match="a size in the metadata is not a Python literal"):
        check_golden("vssm", path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"hello world", "not a file of weights"),
        (b"\x00" * 64, "not a file of weights"),
        (None, "no such file"),
    ],
)
def test_a_file_that_is_not_safetensors_is_named(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "golden.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsUnavailable, match=rf"golden\.safetensors: {words}"):
        check_golden("vssm", path)


@pytest.mark.parametrize(
    ("net", "error"),
    [("vit", BadCard), ("gated-cnn", BadCard), ("vim", UnknownName)],
)
def test_another_net_than_the_files_is_refused(
    vssm: tuple[Path, dict[str, Tensor], dict[str, Any]], net: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        check_golden(net, written(*vssm))


@pytest.mark.parametrize(
    ("name", "file", "words"),
    [
        ("lecl-vit-mini", "vssm", "embed_dim is missing"),
        ("lecl-vssm-mini", "mambaout", "weights of another network"),
        ("lecl-gated-cnn-mini", "vssm", "unknown key ssm_d_state"),
        ("lecl-vssm-mini", "lecl_loss", "a golden file needs"),
        ("lecl-vssm-mini", "none", "none.safetensors: no such file"),
        (
            "random-vit-tiny",
            "vit_conv",
            "only LeCL's networks have golden tensors; random-vit-tiny is of family timm",
        ),
        ("lecl-vit-mimi", "vit_conv", "did you mean lecl-vit-mini"),
    ],
)
def test_the_command_says_what_is_wrong(
    golden: Path,
    name: str,
    file: str,
    words: str,
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("models", "check", name, "--golden", golden / f"{file}.safetensors") == 2
    message = capsys.readouterr().err
    assert message.startswith("clearbench: ")
    assert words in message


@pytest.mark.parametrize("size", ["[32, 64]", "(32, 64)", "'abc'", "64", "-3", "{}"])
def test_the_inputs_own_size_counts(tmp_path: Path, size: str) -> None:
    """Whatever else the metadata holds, `format` of safetensors among it."""
    facts = VIT | {"conv_stem": True}
    metadata = {key: repr(value) for key, value in facts.items()}
    path = tmp_path / "vit.safetensors"
    save_file(
        tensors_of("vit", facts, (32, 64)), path, metadata | {"img_size": size, "format": "pt"}
    )
    assert check_golden("vit", path).agrees


def test_an_input_that_the_network_can_not_see_is_refused(tmp_path: Path) -> None:
    facts = VIT | {"conv_stem": True}
    tensors = tensors_of("vit", facts, (32, 64)) | {"input": torch.zeros(2, 3, 30, 64)}
    with pytest.raises(BadRequest, match="multiple of 16"):
        check_golden("vit", written(tmp_path / "vit.safetensors", tensors, facts))
