"""Applied heads, packs and repeated results, as a person sees them."""

from pathlib import Path

from clearbench.display.console import say, show_list, show_rows, warn
from clearbench.errors import counted
from clearbench.evaluation.bundles.apply import Applied
from clearbench.packs.facts import PackFacts
from clearbench.packs.reproduce import TOLERANCE, Reproduction


def show_applied(applied: Applied) -> None:
    """Print the heads that were applied, the threshold rule, and what to note."""
    facts, count = applied.facts, len(applied.facts.heads)
    heads = f"mean of {count} heads" if count > 1 else "one head"
    warn(
        f"{facts.task} · {facts.encoder.name} · {facts.head}: {heads} "
        f"trained on cohort {facts.task_card.cohort}, {len(applied.units.ids)} units"
    )
    if any(cut is not None for cut in facts.thresholds):
        warn(f"thresholds: {facts.threshold_rule}")
    show_list(applied.units.excluded, "note")
    if facts.task_card.cohort in applied.units.cohorts:
        warn(
            "note: the heads were trained on a cohort of this name; scores of patients in their "
            "training set don't show how well they do on new patients"
        )
    for name in facts.not_scored:
        warn(f"note: not scored when trained: {name}")


def show_pack(facts: PackFacts, target: Path) -> None:
    """Print what is in a pack, what is left out, and the notice about patient data."""
    cohorts = ", ".join(f"{one.name} ({counted(one.patients, 'patient')})" for one in facts.cohorts)
    features = ", ".join(f"{one.encoder}@{one.fingerprint[:8]}" for one in facts.features)
    say(
        f"{target}: {facts.task} · {cohorts} · {features} · {counted(len(facts.results), 'result')}"
    )
    show_list(facts.left_out, "left out")
    warn(facts.notice)
    if facts.results:
        name = Path(facts.results[0]).name
        warn(f"repeat one: clearbench evaluate --pack {target} --reproduce {name}")


def show_reproduction(found: Reproduction) -> None:
    """Print each metric then and now, the largest difference, and what differs."""
    show_rows(
        [
            {
                "metric": name,
                "then": found.before.score(name)["value"],
                "now": found.after.score(name)["value"],
                "difference": gap,
            }
            for name, gap in found.metric_gaps.items()
        ]
    )
    if found.unit_gap is None:
        warn("note: there are no predictions next to the result, so only metrics are compared")
    else:
        say(f"units' scores: {found.unit_gap:.3g} at most (largest absolute difference)")
    show_list(found.notes, "different")
    word = "repeated" if found.repeated else "not repeated"
    say(f"{word}: {found.gap:.3g} {'≤' if found.repeated else '>'} {TOLERANCE:g}")
