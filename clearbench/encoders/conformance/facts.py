"""Checks of what the card says: its input, its parameters, its weights; and what a slice costs."""

import numpy as np
from numpy.typing import NDArray

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.conformance.findings import CheckResult
from clearbench.encoders.conformance.subject import Subject, example_slices
from clearbench.encoders.inputs.views import View
from clearbench.scans.volume import AIR_HU

SAME_COUNT = 0.01
OTHER_COUNT = 0.05
SAME_INPUT = 1e-5


def check_padding(subject: Subject) -> CheckResult:
    """A slice that is no square is seen as if air had been added around it."""
    tall = subject.slices[:1, :, : subject.slices.shape[2] * 2 // 3]
    missing = tall.shape[1] - tall.shape[2]
    bounds = [low for view in subject.encoder.views for low, _ in view.windows_hu]
    around = ((0, 0), (0, 0), (missing // 2, missing - missing // 2))
    square = np.pad(tall, around, constant_values=int(min([AIR_HU, *bounds])))
    seen, expected = (subject.encoder.prepare(one, ()) for one in (tall, square))
    distance = float((seen - expected).abs().max())
    if distance == 0:
        sentence = "a slice that is no square is padded with air, not stretched or cut"
        return CheckResult("padding", "pass", sentence, distance, "0")
    sentence = "a slice that is no square is seen otherwise than with air around it"
    return CheckResult("padding", "fail", sentence, distance, "0")


def check_size(subject: Subject) -> CheckResult:
    """A slice of size_px is windowed and normalised as the card says, and not resampled."""
    card = subject.encoder.card
    [own] = example_slices(1, card.seen.size_px)
    expected = np.stack([_as_the_card_says(own, view, card) for view in subject.encoder.views])
    seen = subject.encoder.prepare(own[None], ())[0].cpu().numpy()
    limit = SAME_INPUT * max(1.0, float(np.abs(expected).max()))
    distance = float(np.abs(seen - expected).max()) if seen.shape == expected.shape else np.inf
    if distance <= limit:
        sentence = f"a slice of {card.seen.size_px} px is windowed and scaled, and not resampled"
        return CheckResult("input size", "pass", sentence, distance, f"≤ {limit:g}")
    sentence = f"a slice of {card.seen.size_px} px is not seen pixel for pixel"
    return CheckResult("input size", "fail", sentence, distance, f"≤ {limit:g}")


def _as_the_card_says(hu: NDArray[np.int16], view: View, card: EncoderCard) -> NDArray[np.float64]:
    """Return a slice [y, x] as the network should see it [c, y, x], worked out the plain way."""
    mean, std = (np.array(facts)[:, None, None] for facts in (card.seen.mean, card.seen.std))
    channels = [hu.clip(*(card.seen.clip_hu or (None, None))).astype(float)]
    if view.windows_hu:
        channels = [((hu - low) / (high - low)).clip(0, 1) for low, high in view.windows_hu]
    if card.seen.z_score:
        channels = [(one - one.mean()) / one.std(ddof=1) for one in channels]
    return np.asarray((np.stack(channels) - mean) / std, np.float64)


def check_parameters(subject: Subject) -> CheckResult:
    """The network has as many parameters as the card says."""
    count = sum(parameter.numel() for parameter in subject.encoder.network.parameters()) / 1e6
    said = subject.encoder.card.facts.parameters_m
    if said is None:
        sentence = f"the card has no facts.parameters_m; the network has {count:.3g} million"
        return CheckResult("parameters", "warn", sentence, count)
    off = abs(count - said)
    limit = f"{said:g} ± {OTHER_COUNT:.0%}"
    if off <= max(SAME_COUNT * said, 0.05):
        return CheckResult(
            "parameters", "pass", "millions of parameters, as on the card", count, limit
        )
    sentence = f"the card says {said:g} million parameters, and the network has {count:.4g}"
    return CheckResult(
        "parameters", "warn" if off <= OTHER_COUNT * said else "fail", sentence, count, limit
    )


def check_weights(subject: Subject) -> CheckResult:
    """The weights are those of the card's sha256."""
    card, found = subject.encoder.card, subject.encoder.weights_sha256
    if card.source.startswith("random:"):
        return CheckResult("weights", "skip", "seeded random weights lie in no file")
    if subject.found.build is not None and not subject.own_weights:
        return CheckResult("weights", "skip", "the builder finds its own weights")
    if card.weights.sha256 is None:
        sentence = f'not pinned: add sha256 = "{found}" to [weights] of the card'
        return CheckResult("weights", "warn", sentence)
    if found == card.weights.sha256:
        return CheckResult("weights", "pass", f"sha256 {found[:12]}…, as on the card")
    sentence = f"sha256 {found[:12]}… of your file is not the card's {card.weights.sha256[:12]}…"
    return CheckResult("weights", "warn", sentence)


def check_speed(subject: Subject) -> CheckResult:
    """How many slices a second are embedded, all views of them; a report."""
    if subject.second is None:
        return CheckResult("speed", "skip", subject.trouble)
    rate = len(subject.slices) / subject.second.seconds
    sentence = f"slices/s, {len(subject.encoder.views)} views each, {len(subject.slices)} at a time"
    return CheckResult("speed", "pass", sentence, rate)


def check_memory(subject: Subject) -> CheckResult:
    """How much memory embedding takes at its peak; a report."""
    peak = subject.second.peak_mb if subject.second is not None else None
    if peak is None:
        return CheckResult("memory", "skip", "the peak of memory can't be told on this system")
    whose = "of the GPU" if subject.encoder.device.type == "cuda" else "of the whole process"
    return CheckResult("memory", "pass", f"MB {whose} at the peak", peak)
