"""Quality of attention: compared with a reader's marks, and whether scores depend on it.

    python benchmarks/attention.py [--ct-ich FOLDER] [--model NAME …] [--head NAME …]
                                   [--work FOLDER] [-o REPORT.md]

Heads are trained on haemorrhage by patients' labels of CT-ICH; the radiologists' labels of slices
are used for scoring only. A second run continues from the results in `--work`.
"""

import argparse
import os
import tempfile
from pathlib import Path

import torch

from clearbench import pipeline
from clearbench.cohort.files import write_table
from clearbench.datasets.public.published import build_published
from clearbench.evaluation.head_registry import HEADS
from clearbench.results.record import Result, read_results

CT_ICH = Path(__file__).parents[1].parent / "shared" / "data" / "ct-ich"
TASK = "ct-ich-hemorrhage"
MODELS = ("efficientnet-lite0",)
VIEWS = ("brain", "bone")
NETS = [name for name, head in HEADS.items() if head.network]
LOCATED = ("localisation_ap", "localisation_ap_uniform", "localisation_ap_central")
FAITHFUL = ("faithfulness_deletion", "faithfulness_insertion")
MEANING = """
Average precision: of the marked slices of a positive patient, when slices are ranked by attention
(sum over views), at random (expected value), or by nearness to the middle of the scan. Deletion and
insertion: how much faster the score falls, or rises, when the most important tenths of the bag are
removed, or added, first than in random order; areas between 0 and 1, 0 is chance level. 95 %
intervals over patients. Attention that is no better than the middle of the scan does not locate
haemorrhage, however good the AUROC."""


def score(options: argparse.Namespace, work: Path) -> list[Result]:
    """Embed, train heads without a result, and return all results."""
    table, store = work / "ct-ich.csv", work / "store"
    write_table(build_published("ct-ich", options.ct_ich, table).table, table)
    report = pipeline.embed(
        table, options.model, views=VIEWS, store=store, device="cpu", precision="float32"
    )
    if report.failed:
        raise SystemExit(f"failed: {report.failed}")
    for model in options.model:
        for head in options.head:
            if not list((store / "results" / TASK).glob(f"{model}-*--{head}--*.json")):
                pipeline.evaluate([TASK], [model], heads=[head], store=store, floors=False)
                print(f"{model}, {head}: evaluated")
    found = {(r.encoder, r.head): r for r in read_results([store / "results"])}
    return [found[model, head] for model in options.model for head in options.head]


def number(result: Result, metric: str, sign: str = "") -> str:
    """Write one score with its interval."""
    found = result.score(metric)
    if found["value"] is None:
        return "–"
    return f"{found['value']:{sign}.3f} ({found['low']:{sign}.3f} to {found['high']:{sign}.3f})"


def report(results: list[Result]) -> str:
    """Write the two tables."""
    first = results[0]
    heads = " ".join(dict.fromkeys(r.head for r in results))
    models = " ".join(dict.fromkeys(r.encoder for r in results))
    lines = [
        "# Quality of attention",
        "",
        f"`python benchmarks/attention.py --model {models} --head {heads}`",
        "",
        f"CT-ICH, {first.patients} head CTs, {first.folds} × {first.repeats} folds, preset "
        f"`{first.preset}`, heads in {first.head_precision}. {os.cpu_count()} cores, torch "
        f"{torch.__version__}.",
        MEANING,
        "",
        "| encoder | head | AUROC | average precision of attention | of a random order | "
        "of the middle first |",
        "|---|---|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {r.encoder} | {r.head} | {number(r, 'auroc')} | "
        + " | ".join(number(r, name) for name in LOCATED)
        + " |"
        for r in results
    ]
    lines += ["", "| encoder | head | deletion | insertion |", "|---|---|--:|--:|"]
    lines += [
        f"| {r.encoder} | {r.head} | " + " | ".join(number(r, n, "+") for n in FAITHFUL) + " |"
        for r in results
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ct-ich", type=Path, default=CT_ICH)
    parser.add_argument("--model", nargs="+", default=list(MODELS))
    parser.add_argument("--head", nargs="+", default=NETS, choices=NETS)
    parser.add_argument("--work", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = report(score(options, options.work or Path(folder)))
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
