"""Effect of bfloat16: cosine with float32 features, and AUROC on CT-ICH.

    python benchmarks/precision.py [--ct-ich FOLDER] [-o REPORT.md]

ViT-B/16 with random weights on a few synthetic slices, then EfficientNet-Lite0 on the whole of
CT-ICH, in both precisions. The heads are those of `evaluate`. Slow on processors without bfloat16.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from embedding import CARD

from clearbench import pipeline
from clearbench.cohort.files import write_table
from clearbench.datasets.public.published import build_published
from clearbench.datasets.synthetic.cohort import plan_scans
from clearbench.datasets.synthetic.scan import draw_scan
from clearbench.encoders.encoder import load_encoder
from clearbench.store.feature_store import FeatureStore

CT_ICH = Path(__file__).parents[1].parent / "shared" / "data" / "ct-ich"
MODEL = "efficientnet-lite0"
PRECISIONS = ("float32", "bfloat16")


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the cosine of each pair of rows [n, dim]."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / lengths)


def vit_cosines(slices: int) -> np.ndarray:
    """Embed synthetic slices with ViT-B/16 in both precisions."""
    plan = plan_scans(4, 1)[0]
    hu = draw_scan(plan.patient, plan.technique, plan.seeds).hu[:slices]
    with tempfile.TemporaryDirectory() as folder:
        card = Path(folder) / "vit-base-random.toml"
        card.write_text(CARD)
        found = [
            load_encoder(str(card), precision=p, device="cpu").embed(hu)[:, 0] for p in PRECISIONS
        ]
    return cosines(*found)


def ct_ich(root: Path, store: Path) -> list[str]:
    """Embed CT-ICH in both precisions, and evaluate; returns the report's lines."""
    table = store / "ct-ich.csv"
    write_table(build_published("ct-ich", root, table).table, table)
    for precision in PRECISIONS:
        report = pipeline.embed(
            table, [MODEL], views=["brain", "bone"], precision=precision, store=store / precision
        )
        if report.failed:
            raise SystemExit(f"failed: {report.failed}")
    stores = [FeatureStore(store / precision) for precision in PRECISIONS]
    scans = stores[0].sql("SELECT DISTINCT scan_id FROM slices ORDER BY ALL").fetchall()
    pairs = [[s.features(MODEL, scan).reshape(-1, 1280) for s in stores] for (scan,) in scans]
    found = np.concatenate([cosines(*pair) for pair in pairs])
    found = found[np.isfinite(found)]
    lines = [
        f"| {MODEL}, CT-ICH, {len(found):,} embeddings | {found.min():.5f} | {found.mean():.5f} |"
    ]
    results = {
        precision: pipeline.evaluate(["ct-ich-hemorrhage"], store=store / precision)
        for precision in PRECISIONS
    }
    lines += ["", "| head | AUROC float32 | AUROC bfloat16 | difference |", "|---|--:|--:|--:|"]
    for exact, short in zip(*results.values(), strict=True):
        a, b = (float(result.score()["value"] or 0) for result in (exact, short))
        lines.append(f"| {exact.head} | {a:.4f} | {b:.4f} | {b - a:+.4f} |")
    return lines


def measure(root: Path) -> str:
    """Measure and write the report."""
    found = vit_cosines(8)
    lines = [
        f"| ViT-B/16, random weights, {len(found)} synthetic slices | {found.min():.5f} | "
        f"{found.mean():.5f} |"
    ]
    if root.is_dir():
        with tempfile.TemporaryDirectory() as folder:
            lines += ct_ich(root, Path(folder))
    else:
        lines += ["", f"CT-ICH is not in {root.name}; give its folder with --ct-ich."]
    capability = torch.backends.cpu.get_cpu_capability()
    head = f"{os.cpu_count()} cores, torch {torch.__version__} ({capability})"
    return "\n".join(
        [
            "# bfloat16 and float32",
            "",
            "`python benchmarks/precision.py`",
            "",
            head,
            "",
            "| features | lowest cosine | mean cosine |",
            "|---|--:|--:|",
            *lines,
            "",
        ]
    )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ct-ich", type=Path, default=CT_ICH)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    report = measure(options.ct_ich)
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
