"""Lists of the documentation, made from the cards, registries and commands themselves."""

import typer

from clearbench.encoders.registry import encoder_names, find_encoder
from clearbench.evaluation.head_registry import HEADS
from clearbench.evaluation.task.card import find_task, task_names
from clearbench.metrics.registry import METRICS, metrics_of, ranking_metrics


def encoders() -> str:
    """Return the encoder cards as a Markdown table."""
    rows = [
        "| encoder | what it is | dim | input | weights | licence |",
        "|---|---|--:|--:|---|---|",
    ]
    for name in encoder_names():
        card = find_encoder(name).card
        weights = {
            "hf-hub": "model hub",
            "hf-dataset": "model hub",
            "pypi": "installed with clearbench",
            "random": "none, seeded",
            "none": "yours to train",
        }
        source = weights.get(card.source.partition(":")[0], "file")
        facts = (card.title, card.dim, card.size_text, source, card.weights.licence)
        rows.append(f"| `{name}` | {' | '.join(map(str, facts))} |")
    return "\n".join(rows) + "\n"


def tasks() -> str:
    """Return the task cards as a Markdown table."""
    rows = ["| task | question | cohort | target | metric |", "|---|---|---|---|---|"]
    for name in task_names():
        card = find_task(name).card
        rows.append(f"| `{name}` | {card.title} | {card.cohort} | {card.target} | {card.primary} |")
    return "\n".join(rows) + "\n"


def heads() -> str:
    """Return the heads as a Markdown table."""
    rows = ["| `--head` | what it is |", "|---|---|"]
    rows += [f"| `{name}` | {entry.title} |" for name, entry in HEADS.items()]
    return "\n".join(rows) + "\n"


def metrics() -> str:
    """Return the metrics of each target as a Markdown table."""
    rows = ["| target | ranks encoders | also scored |", "|---|---|---|"]
    for target in dict.fromkeys(target for metric in METRICS for target in metric.targets):
        ranks = ranking_metrics(target)
        names = [metric.shown_as(target) for metric in metrics_of(target)]
        also = [name for name in names if name not in ranks]
        cells = (", ".join(f"`{name}`" for name in some) for some in (ranks, also))
        rows.append(f"| {target} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def commands() -> str:
    """Return every command with its first sentence, as a Markdown table."""
    from clearbench.cli import app

    rows = ["| command | what it does |", "|---|---|"]
    group = typer.main.get_group(app)
    for name, command in sorted(group.commands.items()):
        inner = getattr(command, "commands", None)
        parts = {f"{name} {k}": v for k, v in sorted(inner.items())} if inner else {name: command}
        for path, item in parts.items():
            sentence = (item.help or "").partition("\n")[0]
            rows.append(f"| `clearbench {path}` | {sentence} |")
    return "\n".join(rows) + "\n"
