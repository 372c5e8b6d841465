"""Slices per second of embedding, compared with a published pipeline and the bare network.

    python benchmarks/embedding.py [--scans 24] [--slices 16] [--device cuda] [-o REPORT.md]

ViT-B/16 with random weights, one view, over DICOM series of 512 × 512 (synthetic pixels):
(a) a published pipeline: one slice per forward pass, float32, PIL transforms, in one process;
(b) `clearbench embed`, end to end: reading, preparing, network, writing;
(c) the bare network on prepared tensors, with batch size and precision of (b).
Speed depends on the machine; ratios depend on it less.
"""

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path
from statistics import mean

import numpy as np
import pydicom
import torch
from PIL import Image

from clearbench import pipeline
from clearbench.datasets.synthetic.cohort import plan_scans
from clearbench.datasets.synthetic.scan import draw_scan
from clearbench.encoders.encoder import Encoder, load_encoder
from clearbench.scans.write import DicomHeader, seeded_uid, write_dicom_series

CARD = """
title = "ViT-B/16, seeded random weights"
family = "timm"
source = "random:0"
net = "vit_base_patch16_224"
dim = 768
pooling = "cls"
[weights]
licence = "Apache-2.0"
[input]
size_px = 224
views = { abdomen = [-160.0, 240.0] }
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
"""
SIZE_PX = 512
TURNS = 2


def write_scans(root: Path, scans: int, slices: int) -> None:
    """Write synthetic CT as DICOM series of 512 x 512."""
    for number, plan in enumerate(plan_scans(max(scans, 4), 1)[:scans]):
        drawn = draw_scan(plan.patient, plan.technique, plan.seeds)
        rows = np.arange(SIZE_PX) * drawn.hu.shape[1] // SIZE_PX
        levels = np.arange(slices) % drawn.hu.shape[0]
        hu = np.ascontiguousarray(drawn.hu[levels][:, rows][:, :, rows])
        header = DicomHeader(
            patient_id=f"bench-{number}",
            study_uid=seeded_uid("study", str(number)),
            series_uid=seeded_uid("series", str(number)),
            accession_number="",
            thickness_mm=5.0,
            kernel="B30f",
            contrast=False,
            manufacturer="none",
            model="none",
            kvp=120.0,
            series_description="benchmark",
        )
        write_dicom_series(root / f"scan-{number}", hu, (5.0, 0.7, 0.7), header=header)


def published_pipeline(root: Path, encoder: Encoder) -> float:
    """Embed file by file, with PIL and one slice per forward pass; returns slices per second."""
    low, high = encoder.views[0].windows_hu[0]
    mean, std = (
        np.array(values, np.float32)[:, None, None]
        for values in (encoder.card.seen.mean, encoder.card.seen.std)
    )
    files = sorted(root.rglob("*.dcm"))
    start = time.perf_counter()
    for path in files:
        dataset = pydicom.dcmread(path)
        hu = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        grey = (np.clip((hu - low) / (high - low), 0, 1) * 255).astype(np.uint8)
        image = Image.fromarray(grey).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
        array = (np.asarray(image, np.float32).transpose(2, 0, 1) / 255 - mean) / std
        with torch.inference_mode():
            image = torch.from_numpy(array)[None].to(encoder.device)
            encoder.network.float()(image).cpu().numpy()
    return len(files) / (time.perf_counter() - start)


def bare_network(encoder: Encoder, count: int, batch_size: int) -> float:
    """Run only the network on prepared tensors; returns slices per second."""
    images = torch.randn(batch_size, 3, 224, 224, device=encoder.device)
    encoder.forward(images)
    settle()
    start = time.perf_counter()
    for _ in range(-(-count // batch_size)):
        encoder.forward(images)
    settle()
    return batch_size * -(-count // batch_size) / (time.perf_counter() - start)


def settle() -> None:
    """Wait until the GPU, if there is one, has finished."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def end_to_end(root: Path, card: Path, batch_size: int, store: Path, device: str) -> float:
    """Run `embed`; returns slices per second, with reading and writing."""
    report = pipeline.embed(
        root, [str(card)], store=store, batch_size=batch_size, name="bench", device=device
    )
    run = report.runs[0]
    if report.failed:
        raise SystemExit(f"failed: {report.failed}")
    return run.slices / run.seconds


def spread(rates: list[float]) -> str:
    """Write every measured rate, in order."""
    return ", ".join(f"{rate:.2f}" for rate in rates)


def measure(options: argparse.Namespace) -> str:
    """Measure all three and write the report."""
    scans, slices, batch_size = options.scans, options.slices, options.batch_size
    with tempfile.TemporaryDirectory() as folder:
        root, card = Path(folder) / "dicom", Path(folder) / "vit-base-random.toml"
        card.write_text(CARD)
        write_scans(root, scans, slices)
        exact = load_encoder(str(card), precision="float32", device=options.device)
        encoder = load_encoder(str(card), device=options.device)
        bare, embed = [bare_network(encoder, scans * slices, batch_size)], []
        for turn in range(TURNS):
            store = Path(folder) / f"store-{turn}"
            embed.append(end_to_end(root, card, batch_size, store, options.device))
            bare.append(bare_network(encoder, scans * slices, batch_size))
        published = published_pipeline(root, exact)
    b, c = mean(embed), mean(bare)
    rows = [
        f"| (a) published pipeline: one slice per forward, float32, PIL | {published:.2f} | 1.00 |",
        f"| (b) `clearbench embed`, end to end, {encoder.precision}, batch {batch_size} | "
        f"{b:.2f} | {b / published:.2f} |",
        f"| (c) bare network, {encoder.precision}, batch {batch_size} (around each b) | "
        f"{c:.2f} | {c / published:.2f} |",
    ]
    head = (
        f"{scans} DICOM series of {slices} slices, 512 × 512; ViT-B/16, random weights, one view; "
        f"{machine(options.device)}"
    )
    return "\n".join(
        [
            "# Embedding: slices per second",
            "",
            f"`python benchmarks/embedding.py{shown(options)}`",
            "",
            head,
            "",
            "| method | slices/s | × (a) |",
            "|---|--:|--:|",
            *rows,
            "",
            f"b / a = {b / published:.2f} · b / c = {b / c:.2f}",
            "",
            f"Every measured rate, in order: b {spread(embed)}; c {spread(bare)}",
            "",
        ]
    )


def machine(device: str) -> str:
    """Return the machine's hardware and torch version."""
    cores = f"{os.cpu_count()} cores, {platform.machine()}"
    if device == "cuda":
        return f"{torch.cuda.get_device_name()}, {cores}, torch {torch.__version__}."
    return f"{cores}, torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()})."


def shown(options: argparse.Namespace) -> str:
    """Return the options of this report, without the output file."""
    if options.device == "cpu":
        return ""
    return (
        f" --device {options.device} --scans {options.scans} --slices {options.slices} "
        f"--batch-size {options.batch_size}"
    )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, default=24)
    parser.add_argument("--slices", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    report = measure(options)
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
