"""Published networks in every family: dim, slices per second, peak memory.

    python benchmarks/families.py [-o REPORT.md]

Each network has seeded random weights in its published architecture, and runs in its own process;
peak memory is of that process, with Python, torch and the library. Slice encoders embed 8 synthetic
slices at once with their card's views; volume encoders embed one scan of 32 slices.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from clearbench.cards import write_card
from clearbench.encoders.card import EncoderCard, Slicing, VolumeFacts, WeightFacts
from clearbench.encoders.conformance.suite import check_encoder
from clearbench.encoders.families import timm
from clearbench.encoders.registry import find_encoder
from clearbench.errors import MissingExtra

TIMM = (
    "resnet50.a1_in1k", "convnext_tiny.fb_in1k", "efficientnet_b0.ra_in1k", "densenet121.ra_in1k",
    "vit_base_patch16_224.augreg2_in21k_ft_in1k", "swin_tiny_patch4_window7_224.ms_in1k",
    "deit_small_patch16_224.fb_in1k", "maxvit_nano_rw_256.sw_in1k", "regnety_032.ra_in1k",
    "mobilenetv3_large_100.ra_in1k", "mambaout_tiny.in1k", "vit_small_patch14_reg4_dinov2.lvd142m",
)  # fmt: skip
OPEN_CLIP = {"ViT-B-32": 512, "RN50": 1024}  # open_clip's name → dim
CARDS = (
    "efficientnet-lite0", "biomedclip", "rad-dino", "medsiglip-448", "pubmedclip",
    "radimagenet-resnet50", "radimagenet-densenet121", "medimageinsight", "dinov3-base",
    "sam2-hiera-large", "lecl-vit-base", "lecl-vssm-tiny", "lecl-gated-cnn-tiny", "ct-fm", "merlin",
)  # fmt: skip
SLICES, DEPTH = 8, 32
LARGE_PX = 400  # of larger inputs, two slices are embedded at once


def all_cards() -> dict[str, EncoderCard]:
    """Return every card by its name in the report."""
    found = {net: timm.describe(net) for net in TIMM}
    clip = find_encoder("biomedclip").card
    found |= {
        f"open_clip {net}": clip.model_copy(update={"net": net, "sizes": {}, "dim": dim})
        for net, dim in OPEN_CLIP.items()
    }
    found |= {name: find_encoder(name).card for name in CARDS}
    return found | {"MONAI resnet50, 3D": monai_resnet()}


def monai_resnet() -> EncoderCard:
    """Return a card of MONAI's own 3D ResNet-50."""
    return EncoderCard(
        title="MONAI ResNet-50, 3D",
        family="monai",
        source="random:0",
        net="resnet50",
        scope="volume",
        dim=2048,
        pooling="native",
        sizes={"spatial_dims": 3, "n_input_channels": 1, "feed_forward": False},
        weights=WeightFacts(licence="Apache-2.0"),
        volume=VolumeFacts(clip_hu=(-1000.0, 1000.0)),
        slicing=Slicing(),
    )


def measure_one(path: str, count: int) -> None:
    """Check one card, and print its findings; runs in its own process."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    found = check_encoder(
        path, device="cpu", count=count, only=("features", "finite", "speed", "memory")
    )
    print(
        json.dumps({one.check: [one.status, one.sentence, one.measured] for one in found.findings})
    )


def row(name: str, card: EncoderCard, folder: Path) -> str:
    """Measure one network, and return its row."""
    path = folder / "card.toml"
    write_card(card if card.source.startswith("pypi:") else card.with_random_weights(), path)
    large = card.input is not None and card.input.size_px > LARGE_PX
    count = DEPTH if card.input is None else 2 if large else SLICES
    command = [sys.executable, __file__, "--one", str(path), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    views = 1 if card.input is None else max(1, len(card.input.default_views))
    head = f"| {name} | {card.family} | {card.dim} | {card.size_text} | {views} |"
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1].partition(": ")[2]
        return f"{head} – | – | {reason} |"
    facts = json.loads(done.stdout.splitlines()[-1])
    faults = [sentence for status, sentence, _ in facts.values() if status == "fail"]
    speed, memory = (facts[check][2] for check in ("speed", "memory"))
    return f"{head} {speed:.2f} | {memory:,.0f} | {faults[0] if faults else 'finite'} |"


def report() -> str:
    """Measure everything."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, card in all_cards().items():
            try:
                rows.append(row(name, card, Path(folder)))
            except MissingExtra as error:
                rows.append(f"| {name} | {card.family} | {card.dim} | – | – | – | – | {error} |")
            print(rows[-1], file=sys.stderr, flush=True)
    return "\n".join(
        [
            "# Families",
            "",
            "`python benchmarks/families.py`",
            "",
            f"Published architectures with seeded random weights (EfficientNet-Lite0: its own), "
            f"float32, {SLICES} synthetic slices at once (2 if the input is above {LARGE_PX} "
            f"px), volumes of {DEPTH} slices of 96 px. {os.cpu_count()} cores, "
            f"{platform.machine()}, torch {torch.__version__} "
            f"({torch.backends.cpu.get_cpu_capability()}). A slice counts once, with all its "
            "views; MB are the peak of the whole process.",
            "",
            "| network | family | dim | input | views | slices/s | MB | features |",
            "|---|---|--:|--:|--:|--:|--:|---|",
            *rows,
            "",
        ]
    )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    if options.one:
        measure_one(options.one[0], int(options.one[1]))
        return
    found = report()
    print(found)
    if options.output:
        options.output.write_text(found, encoding="utf-8")


if __name__ == "__main__":
    main()
