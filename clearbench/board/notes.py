"""What stands below a board: alarms, what intervals include, what was compared, what is older."""

from collections.abc import Sequence

from clearbench.board.standings import Standings
from clearbench.metrics.registry import plain_name
from clearbench.results.record import Result
from clearbench.statistics.perfect import AUROC, METHOD

FEW_FOLDS = 10
SMALLEST_P = 0.001
MUCH_WIDER = 2  # times
CHANGES = {
    "the card": "content_sha256",
    "the labels": "labels_check",
    "the scans of patients": "scans_check",
    "the version": "task_version",
    "the training of heads": "heads_version",
}


def why_older(group: Sequence[Result], newest: Result) -> str:
    """Return what changed between some results and the newest of their task; "" if nothing did."""
    first = group[0]
    changed = [
        what for what, name in CHANGES.items() if getattr(first, name) != getattr(newest, name)
    ]
    if changed and not first.labels_check:  # an older version of clearbench didn't say
        changed = ["clearbench"]
    again = f"clearbench evaluate --task {first.task} --stale"
    if not changed and first.units_check == newest.units_check and _other_pixels(first, newest):
        changed = ["the pixels of scans"]
        again = f"clearbench embed {first.cohort} --model {first.encoder} --replace, and evaluate"
    if not changed:
        return ""
    last = max(each.created for each in group)[:10]
    return (
        f"not compared with the board above: {' and '.join(changed)} changed after these results "
        f"({last}); run: {again}"
    )


def _other_pixels(one: Result, other: Result) -> bool:
    """Tell whether two results were made with features of other pixels."""
    return one.pixels_check != other.pixels_check


def protocol(result: Result) -> str:
    """Return how patients were split, in words."""
    if not result.crossed:
        return "fixed test set"
    left_out = {row["left_out"] for row in result.fold_scores if "left_out" in row}
    if left_out:
        return f"each {left_out.pop()} of {result.folds} left out once"
    return f"{result.repeats} × {result.folds} folds"


def alarms(group: Sequence[Result]) -> tuple[str, ...]:
    """Return the guards' alarms, each once; those about one encoder with its name."""
    found: dict[str, None] = {}
    for result in group:
        for finding in result.guards:
            if finding["alarm"]:
                of_encoder = finding["guard"] == "contamination"
                name = f"{result.encoder}, " if of_encoder else ""
                found[f"ALARM: {name}{finding['guard']}: {finding['says']}"] = None
    return tuple(found)


def intervals(group: Sequence[Result], metric: str) -> tuple[str, ...]:
    """Return notes on what the intervals include."""
    none = all(result.score(metric)["low"] is None for result in group)
    return (*(() if none else _usual_intervals(group)), *_perfect(group, metric))


def _perfect(group: Sequence[Result], metric: str) -> tuple[str, ...]:
    """Return a note where a score is 1 or 0: an AUROC has another interval, other metrics none."""
    ends = [s for s in (result.score(metric) for result in group) if s["value"] in (0.0, 1.0)]
    if plain_name(metric) != AUROC:
        none = any(score["low"] is None for score in ends)
        text = f"a {metric} of 1 or 0 has no interval: resampling shows no spread there"
        return (text,) if none else ()
    if all(score["low"] == score["high"] for score in ends):
        return ()
    return (f"the interval of an AUROC of 1 or 0 is {METHOD}: resampling shows no spread there",)


def _usual_intervals(group: Sequence[Result]) -> tuple[str, ...]:
    """Return a note on what the intervals include."""
    first = group[0]
    if first.crossed:
        folds = first.folds * first.repeats
        few = f"; from {folds} folds only" if folds < FEW_FOLDS else ""
        return (f"intervals, 95 %: corrected resampled t over folds{few}",)
    plain = "intervals, 95 %: bootstrap over test patients"
    if not any(result.draws for result in group):
        return (f"{plain}, without the variance over training sets (add it with --draws 10)",)
    return (f"{plain}; for {first.declared_head} and floors with the variance over training sets",)


def no_claims(shown: str, own: str) -> str:
    """Return the note that a board by another metric has no tiers."""
    return f"no tiers or ranks by {shown}: they are by {own} only, the task's own metric"


def narrow_floors(group: Sequence[Result]) -> tuple[str, ...]:
    """Return a note where an encoder is much wider than every random network on the board.

    More features alone may score higher, so a narrow random network is a low bar.
    """
    floors = [r.dim for r in group if r.gates and r.encoder.startswith("random")]
    wide = sorted(
        {
            r.encoder
            for r in group
            if not r.floor and r.dim > MUCH_WIDER * max(floors, default=r.dim)
        }
    )
    if not wide:
        return ()
    return (
        f"{', '.join(wide)}: much wider than every random network here ({max(floors)} features); "
        "embed and evaluate a random-… encoder of like width too (clearbench models list)",
    )


def only_floors(group: Sequence[Result]) -> tuple[str, ...]:
    """Return a sentence where a board has no encoder."""
    if not all(result.floor for result in group):
        return ()
    task = group[0].task
    return (f"only floors were evaluated: clearbench evaluate --task {task} --model NAME",)


def claims(standings: Standings | None) -> tuple[str, ...]:
    """Return what the comparison shows, in sentences."""
    if standings is None:
        return ()
    lines = [f"compared by: {standings.method}"] if standings.pairs else []
    if not standings.encoders:
        lines.append("none is ranked: the task's declared head has no result to compare")
    elif standings.signal is None:
        lines.append("no floor was evaluated, so none is ranked: evaluate without --no-floors")
    else:
        lines.append(_signal(standings))
    if standings.detectable is not None:
        lines.append(
            f"smallest difference that these patients would show: {standings.detectable:.3f}"
        )
    return (*lines, *standings.notes)


def _signal(standings: Standings) -> str:
    """Return whether an encoder beats every floor, with the comparison that decides it."""
    best = min(standings.against_floors, key=lambda pair: (pair.adjusted_p, -pair.difference.value))
    found = best.difference
    numbers = (
        f"{best.one} against {best.other}, the floor that it beats least surely: "
        f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f}), p = {_p(best.adjusted_p)}"
    )
    if standings.signal:
        return f"signal: {numbers}"
    return f"no signal: no encoder beats every floor, so none is ranked; {numbers}"


def _p(p: float) -> str:
    """Return a p value as people write it."""
    return f"{p:.3f}" if p >= SMALLEST_P else f"< {SMALLEST_P:g}"
