"""Random weights are the same on every processor."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from clearbench import load_encoder
from clearbench.encoders.weights.drawn import draw_alike
from clearbench.encoders.weights.load import module_sha256


def network(seed: int, last_bits: float = 0.0) -> nn.Module:
    """Make a network as torch draws it; on another processor, last bits differ."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        made = nn.Sequential(
            nn.Conv2d(3, 64, 3), nn.Linear(64, 128), nn.LayerNorm(128), nn.PReLU(init=0.25)
        )
        nn.init.trunc_normal_(made[1].weight, std=0.02)
        nn.init.uniform_(made[1].bias, -6, -4)
        torch.manual_seed(99)
        for values in (*made[0].parameters(), *made[1].parameters()):
            values *= 1 + last_bits * torch.randn(values.shape)
    return made


def drawn(seed: int, last_bits: float = 0.0) -> nn.Module:
    made = network(seed, last_bits)
    draw_alike(made, network(seed + 1, last_bits), seed)
    return made


@pytest.mark.parametrize("seed", range(8))
def test_last_bits_of_torch_do_not_matter(seed: int) -> None:
    assert module_sha256(network(seed)) != module_sha256(network(seed, 1e-7))
    assert module_sha256(drawn(seed)) == module_sha256(drawn(seed, 1e-7))
    assert module_sha256(drawn(seed)) != module_sha256(drawn(seed + 1))


def test_the_scale_of_the_initialisation_stays() -> None:
    before = dict(network(0).named_parameters())
    for name, after in drawn(0).named_parameters():
        if name.startswith(("2", "3")):  # what no seed decides
            assert torch.equal(before[name], after), name
        else:
            assert not torch.equal(before[name], after), name
            assert after.std().item() == pytest.approx(before[name].std().item(), rel=0.15), name
    assert after.dtype == torch.float32
    assert -6.2 < dict(drawn(0).named_parameters())["1.bias"].min() < -5.8


PRINTED = """
from clearbench import load_encoder
print(load_encoder("random-vit-tiny", device="cpu", precision="float32").weights_sha256)
"""


def test_a_random_parameter_of_one_number_stays() -> None:
    made, other = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.constant_(made.weight, 0.123456)
    draw_alike(made, other, 0)
    assert made.weight.item() == pytest.approx(0.123, rel=1e-6)


def test_a_card_has_the_weights_of_its_seed_without_vector_units() -> None:
    """A published fingerprint is that of every machine; another digest needs new boards."""
    plain = os.environ | {"ATEN_CPU_CAPABILITY": "default"}
    command = [sys.executable, "-P", "-c", PRINTED]
    said = subprocess.run(command, env=plain, capture_output=True, text=True, check=True)
    digest = "b7cf0ca192702188824793721cf4d5a0f291681371714d20f6865113baa5902a"
    assert said.stdout.strip() == digest
    encoder = load_encoder("random-vit-tiny", device="cpu", precision="float32")
    assert encoder.weights_sha256 == digest
