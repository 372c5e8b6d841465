"""Of a checkpoint the network that fits is taken, whole, and what is taken and left out is said."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from clearbench.cli import main
from clearbench.encoders.adding.add import Added, add_encoder, make_request
from clearbench.encoders.encoder import load_encoder
from clearbench.encoders.registry import find_encoder
from clearbench.errors import BadArgument, BadRequest, WeightsUnavailable

# isort: split
import timm

NET = "test_resnet"
RAW, EMA = 0.1, 0.2
FIRST = "conv1.0.weight"
State = dict[str, Any]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)


def network(value: float, **options: Any) -> State:
    """Return a network whose weights are all one value: 0.1 raw, 0.2 averaged."""
    state = timm.create_model(NET, **{"num_classes": 3} | options).state_dict()
    return {k: torch.full_like(v, value) if v.is_floating_point() else v for k, v in state.items()}


def under(prefix: str, state: State) -> State:
    return {prefix + key: value.clone() for key, value in state.items()}


def added(checkpoint: State, *, net: str = NET, **options: Any) -> Added:
    torch.save(checkpoint, "run.pth")
    request = make_request(timm=net, checkpoint=Path("run.pth"), **options)
    return add_encoder("mine", request, Path("registry"), replace=True)


def value_of(encoder: Added) -> float:
    """Return the value of the weights that were written."""
    assert encoder.weights is not None
    return round(float(load_file(encoder.weights)["bn1.weight"][0]), 3)


RAW_STATE, EMA_STATE = network(RAW), network(EMA)
PAIRS: dict[str, tuple[State, str, str]] = {
    "timm": (
        {"epoch": 9, "state_dict": RAW_STATE, "state_dict_ema": EMA_STATE},
        "state_dict",
        "state_dict_ema",
    ),
    "torchvision": (
        {
            "model": RAW_STATE,
            "model_ema": under("module.", EMA_STATE) | {"n_averaged": torch.tensor(3)},
        },
        "model",
        "model_ema",
    ),
    "ema and model": ({"ema": EMA_STATE, "model": RAW_STATE}, "model", "ema"),
    "ema within": (
        {"ema": {"module": EMA_STATE, "updates": 7}, "model": RAW_STATE},
        "model",
        "ema",
    ),
    "dino": (
        {
            "student": under("module.backbone.", RAW_STATE),
            "teacher": under("backbone.", EMA_STATE) | {"head.mlp.0.weight": torch.ones(4, 9)},
        },
        "student.backbone",
        "teacher.backbone",
    ),
    "i-jepa": (
        {
            "encoder": under("module.", RAW_STATE),
            "predictor": {"w": torch.ones(3)},
            "target_encoder": under("module.", EMA_STATE),
        },
        "encoder",
        "target_encoder",
    ),
    "student and teacher in one": (
        {"state_dict": under("student.", RAW_STATE) | under("teacher.", EMA_STATE)},
        "state_dict.student",
        "state_dict.teacher",
    ),
    "lightning's averaging": (
        {
            "state_dict": under("model.", EMA_STATE),
            "current_model_state": under("model.", RAW_STATE),
            "averaging_state": {"n_averaged": torch.tensor(3)},
        },
        "current_model_state.model",
        "state_dict.model",
    ),
    "a callback of lightning": (
        {
            "state_dict": under("model.", RAW_STATE),
            "callbacks": {"EMACallback": {"ema_state_dict": under("model.", EMA_STATE)}},
        },
        "state_dict.model",
        "callbacks.EMACallback.ema_state_dict.model",
    ),
    "an EMA's module next to its network": (
        {
            "state_dict": under("model.", RAW_STATE)
            | under("ema.online_model.", RAW_STATE)
            | under("ema.ema_model.", EMA_STATE)
            | {"ema.step": torch.tensor(3)}
        },
        "state_dict.model",
        "state_dict.ema.ema_model",
    ),
    "a counted average": (
        {"net": RAW_STATE, "other": under("module.", EMA_STATE) | {"n_averaged": torch.tensor(3)}},
        "net",
        "other",
    ),
    "a wrapper with both": (
        {"state_dict": under("online_model.", RAW_STATE) | under("ema_model.module.", EMA_STATE)},
        "state_dict.online_model",
        "state_dict.ema_model",
    ),
}  # fmt: skip
each_pair = pytest.mark.parametrize(("checkpoint", "raw", "ema"), PAIRS.values(), ids=PAIRS)


@each_pair
def test_of_raw_and_averaged_weights_either_can_be_taken_and_both_are_named(
    checkpoint: State, raw: str, ema: str
) -> None:
    for asked, value, place, other, option in (
        (None, EMA, ema, raw, "--no-ema"),
        (True, EMA, ema, raw, "--no-ema"),
        (False, RAW, raw, ema, "--ema"),
    ):
        encoder = added(checkpoint, ema=asked)
        assert value_of(encoder) == value
        assert f" tensors of {place} (" in encoder.filled[-1]
        assert f"{other} (" in encoder.filled[-1].partition("; not taken: ")[2]
        assert f"which {option} takes" in encoder.filled[-1]
        weights = find_encoder("mine").card.weights
        assert (weights.ema, weights.part) == (value == EMA, place)


def test_the_average_is_taken_where_timms_own_loader_takes_it() -> None:
    for name in ("timm", "torchvision"):
        checkpoint = PAIRS[name][0]
        encoder = added(checkpoint)
        own = timm.models.load_state_dict("run.pth")
        assert value_of(encoder) == round(float(own["bn1.weight"][0]), 3)


@pytest.mark.parametrize(
    ("raw", "averaged"),
    [
        ("module.encoder_q.", "module.encoder_k."),
        ("module.base_encoder.", "module.momentum_encoder."),
        ("backbone.", "backbone_momentum."),
        ("online_network.", "target_network."),
        ("online_encoder.", "target_encoder."),
    ],
)
def test_methods_that_evaluate_the_raw_network_keep_it(raw: str, averaged: str) -> None:
    checkpoint = under(raw, RAW_STATE) | under(averaged, EMA_STATE)
    checkpoint |= {"queue": torch.ones(9, 2), "queue_ptr": torch.zeros(1)}
    assert value_of(added({"state_dict": checkpoint})) == RAW
    assert value_of(added({"state_dict": checkpoint}, ema=True)) == EMA


def test_one_set_of_weights_has_no_average() -> None:
    encoder = added({"state_dict": RAW_STATE})
    assert "not taken" not in encoder.filled[-1]
    assert find_encoder("mine").card.weights.ema is None
    with pytest.raises(BadArgument, match=r"ema=True: run\.pth has only state_dict \(raw\)"):
        added({"state_dict": RAW_STATE}, ema=True)
    with pytest.raises(BadArgument, match=r"ema=False: run\.pth has only teacher \(EMA\)"):
        added({"teacher": EMA_STATE}, ema=False)
    assert value_of(added({"teacher": EMA_STATE})) == EMA


def test_an_average_that_doesnt_fit_isnt_replaced_in_silence() -> None:
    """Many trainings average parameters only; their batch statistics are those of the raw one."""
    without = {key: v for key, v in EMA_STATE.items() if "running" not in key}
    checkpoint = {"state_dict": RAW_STATE, "ema_state_dict": without}
    with pytest.raises(WeightsUnavailable, match=r"\(ema_state_dict\) don't fit: keys \d+ missing"):
        added(checkpoint)
    assert not Path("registry").exists()
    assert value_of(added(checkpoint, ema=False)) == RAW


@pytest.mark.parametrize(
    "prefix",
    [
        "_orig_mod.module.",
        "module._orig_mod.",
        "model._orig_mod.",
        "_orig_mod.model.module.",
        "model.net.backbone.",
        "module.encoder.",
    ],
)
def test_a_network_is_found_under_any_wrapper(prefix: str) -> None:
    checkpoint = {"state_dict": under(prefix, RAW_STATE), "pytorch-lightning_version": "2.4"}
    encoder = added(checkpoint)
    assert value_of(encoder) == RAW
    assert encoder.dropped == ("fc.bias", "fc.weight")


def test_what_is_left_out_is_said_with_its_reason() -> None:
    state = under("model.", RAW_STATE) | {
        "criterion.weight": torch.ones(3),
        "train_acc.total": torch.ones(1),
        "projector.weight": torch.ones(5, 5),
    }
    encoder = added({"state_dict": state | under("teacher.", EMA_STATE)}, ema=False)
    assert set(encoder.left_out) == {
        "2 of fc (classifier)",
        "1 of criterion (for training only)",
        "1 of train_acc (for training only)",
        f"1 of projector (no part of {encoder.card.net})",
        f"{len(EMA_STATE)} of teacher (the other network)",
    }


def test_a_loss_beside_the_layers_themselves_is_left_out_and_another_layer_is_refused() -> None:
    encoder = added(RAW_STATE | {"loss.weight": torch.ones(3)})
    assert "1 of loss (for training only)" in encoder.left_out
    more = RAW_STATE | {"decoder.weight": torch.ones(2), "decoder.bias": torch.ones(2)}
    with pytest.raises(WeightsUnavailable, match=r"2 left over .*\(--unused decoder\.\)"):
        added(more)
    encoder = added(more, unused=["decoder."])
    assert "2 of decoder (as you said)" in encoder.left_out


@pytest.mark.parametrize("classes", [0, 2, 100])
def test_a_head_of_any_number_of_classes_is_left_out(classes: int) -> None:
    encoder = added({"state_dict": network(RAW, num_classes=classes)})
    assert value_of(encoder) == RAW
    assert bool(encoder.dropped) == bool(classes)


def test_several_networks_that_fit_are_refused_with_what_to_type() -> None:
    both = {"state_dict": under("a.", RAW_STATE) | under("b.", EMA_STATE)}
    with pytest.raises(WeightsUnavailable, match=r"fit .*: state_dict\.a, .*\(--unused b\.\)"):
        added(both)
    assert not Path("registry").exists()
    assert value_of(added(both, unused=["b."])) == RAW
    assert value_of(added(both, unused=["a."])) == EMA
    assert value_of(added({"a": RAW_STATE, "b": EMA_STATE}, unused=["a."])) == EMA


def test_a_first_layer_of_one_channel_makes_a_card_of_one_channel() -> None:
    torch.manual_seed(0)
    model: Any = timm.create_model(NET, num_classes=3, in_chans=1).eval()
    encoder = added({"state_dict": under("model.", model.state_dict())})
    assert any(line.startswith("1 channel, as the first layer") for line in encoder.filled)
    card = find_encoder("mine").card
    assert (len(card.seen.mean), len(card.seen.std)) == (1, 1)
    ready = load_encoder("mine", device="cpu", precision="float32")
    images = torch.randn(2, 1, card.seen.size_px, card.seen.size_px)
    with torch.inference_mode():
        expected = model.forward_head(model.forward_features(images), pre_logits=True)
    torch.testing.assert_close(ready.forward(images).clone(), expected)


def test_other_first_layers_are_refused_with_what_to_write() -> None:
    five = {"state_dict": network(RAW, in_chans=5)}
    with pytest.raises(WeightsUnavailable, match=r"takes 5 channels, .* 5 values of mean and std"):
        added(five)
    torch.save(network_of_torchvision(), "run.pth")
    request = make_request(torchvision="resnet18", checkpoint=Path("run.pth"))
    with pytest.raises(WeightsUnavailable, match=r"takes 1 channel, .* --timm resnet18 instead"):
        add_encoder("mine", request, Path("registry"))
    assert not Path("registry").exists()
    request = make_request(timm="resnet18", checkpoint=Path("run.pth"))
    assert len(add_encoder("mine", request, Path("registry")).card.seen.mean) == 1


def network_of_torchvision() -> State:
    """Return a ResNet of torchvision that was trained on one channel."""
    from torchvision.models import resnet18

    model = resnet18(num_classes=2)
    model.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    return model.state_dict()


def test_the_blocks_of_dinov2s_training_are_known_without_their_chunks() -> None:
    state = timm.create_model("test_vit", num_classes=0).state_dict()

    def chunked(key: str) -> str:
        return re.sub(r"^blocks\.(\d+)\.", lambda at: f"blocks.{int(at[1]) // 2}.{at[1]}.", key)

    teacher = {f"backbone.{chunked(key)}": value for key, value in state.items()}
    teacher |= {
        "backbone.mask_token": torch.zeros(1, 64),
        "dino_head.mlp.0.weight": torch.ones(4, 9),
    }
    encoder = added({"teacher": teacher}, net="test_vit")
    assert "backbone" in encoder.card.weights.part
    assert "1 of mask_token (for training only)" in encoder.left_out
    assert not any("of blocks" in line for line in encoder.left_out)


def test_positions_that_are_resampled_are_noted() -> None:
    state = timm.create_model("test_vit", num_classes=0, img_size=96).state_dict()
    encoder = added(state, net="test_vit")
    assert any("6 × 6 patches were resampled to 10 × 10" in line for line in encoder.filled)
    torch.save(state, "run.pth")
    assert run("--timm", "test_vit", "--checkpoint", "run.pth", "--size-px", 96) == 0
    assert find_encoder("mine").card.seen.size_px == 96


def test_checkpoints_with_the_arguments_of_their_training_are_read() -> None:
    arguments = argparse.Namespace(lr=0.1, output=Path("out"))
    encoder = added({"state_dict": RAW_STATE, "state_dict_ema": EMA_STATE, "args": arguments})
    assert value_of(encoder) == EMA


def test_safetensors_with_two_networks_are_read_too() -> None:
    save_file(under("student.", RAW_STATE) | under("teacher.", EMA_STATE), "run.safetensors")
    request = make_request(timm=NET, checkpoint=Path("run.safetensors"))
    assert value_of(add_encoder("mine", request, Path("registry"))) == EMA


def run(*options: object) -> int:
    """Run `models add mine --replace` with options; returns the exit code."""
    typed: Sequence[str] = ["models", "add", "mine", "--replace", *map(str, options)]
    before, sys.argv = sys.argv, ["clearbench", *typed]
    try:
        with pytest.raises(SystemExit) as done:
            main()
        return int(done.value.code or 0)
    finally:
        sys.argv = before


def test_the_command_has_both_options(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(PAIRS["timm"][0], "run.pth")
    own = ("--timm", NET, "--checkpoint", "run.pth")
    for options, place in (
        ((), "state_dict_ema"),
        (("--no-ema",), "state_dict"),
        (("--ema",), "state_dict_ema"),
    ):
        assert run(*own, *options) == 0
        assert f" tensors of {place} (" in capsys.readouterr().out
    torch.save({"state_dict": RAW_STATE}, "run.pth")
    assert run(*own, "--ema") == 2
    assert "clearbench: --ema: run.pth has only state_dict (raw)" in capsys.readouterr().err
    torch.save({"teacher": EMA_STATE}, "run.pth")
    assert run(*own, "--no-ema") == 2
    assert "clearbench: --no-ema: run.pth has only teacher (EMA)" in capsys.readouterr().err
    torch.save(RAW_STATE | {"decoder.weight": torch.ones(2)}, "run.pth")
    assert run(*own, "--unused", "decoder.") == 0
    assert "1 of decoder (as you said)" in capsys.readouterr().err


def test_without_a_checkpoint_there_is_nothing_to_choose() -> None:
    for options in ({"ema": True}, {"ema": False}, {"unused": ["a."]}):
        with pytest.raises(BadRequest, match="ema and unused say what is taken of a checkpoint"):
            make_request(timm=NET, **options)  # type: ignore[arg-type]


Files = Callable[[State], Path]


@pytest.mark.parametrize("ema", [True, False])
def test_a_hand_written_card_of_a_file_with_both_says_which(ema: bool) -> None:
    added(PAIRS["timm"][0])
    card = Path("registry/mine.toml")
    text = card.read_text()
    text = re.sub(r'source = ".*"', f'source = "file:{Path("run.pth").resolve()}"', text)
    text = re.sub(r"sha256 = .*\n", "", text)
    card.write_text(text.replace("ema = true\n", ""))
    with pytest.raises(WeightsUnavailable, match=r"raw and averaged .*ema = true or ema = false"):
        load_encoder("mine", device="cpu")
    card.write_text(text.replace("ema = true", f"ema = {str(ema).lower()}"))
    ready = load_encoder("mine", device="cpu", precision="float32")
    weight = ready.network.state_dict()["trunk.bn1.weight"]
    assert round(float(weight[0]), 3) == (EMA if ema else RAW)
