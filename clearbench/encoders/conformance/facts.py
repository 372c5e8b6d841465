"""Checks of the card's facts (input, parameters, weights), and reports of speed and memory."""

import numpy as np
from numpy.typing import NDArray

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.conformance.checked_encoder import CheckedEncoder, example_slices
from clearbench.encoders.conformance.findings import CheckResult
from clearbench.encoders.inputs.views import View
from clearbench.scans.hu import AIR_HU

SAME_COUNT = 0.01
OTHER_COUNT = 0.05
SAME_INPUT = 1e-5


def check_padding(checked: CheckedEncoder) -> CheckResult:
    """A slice that is not square is padded with air."""
    tall = checked.slices[:1, :, : checked.slices.shape[2] * 2 // 3]
    missing = tall.shape[1] - tall.shape[2]
    bounds = [low for view in checked.encoder.views for low, _ in view.windows_hu]
    around = ((0, 0), (0, 0), (missing // 2, missing - missing // 2))
    square = np.pad(tall, around, constant_values=int(min([AIR_HU, *bounds])))
    seen, expected = (checked.encoder.prepare(one, ()) for one in (tall, square))
    distance = float((seen - expected).abs().max())
    if distance == 0:
        sentence = "a slice that is not square is padded with air, not stretched or cut"
        return CheckResult("padding", "pass", sentence, distance, "0")
    sentence = "a slice that is not square is not padded with air"
    return CheckResult("padding", "fail", sentence, distance, "0")


def check_size(checked: CheckedEncoder) -> CheckResult:
    """A slice of size_px is windowed and normalised as on the card, and not resampled."""
    card = checked.encoder.card
    [own] = example_slices(1, card.seen.size_px)
    expected = np.stack([_by_hand(own, view, card) for view in checked.encoder.views])
    seen = checked.encoder.prepare(own[None], ())[0].cpu().numpy()
    limit = SAME_INPUT * max(1.0, float(np.abs(expected).max()))
    distance = float(np.abs(seen - expected).max()) if seen.shape == expected.shape else np.inf
    if distance <= limit:
        sentence = f"a slice of {card.seen.size_px} px is windowed and scaled, and not resampled"
        return CheckResult("input size", "pass", sentence, distance, f"≤ {limit:g}")
    sentence = f"a slice of {card.seen.size_px} px is resampled or scaled in another way"
    return CheckResult("input size", "fail", sentence, distance, f"≤ {limit:g}")


def _by_hand(hu: NDArray[np.int16], view: View, card: EncoderCard) -> NDArray[np.float64]:
    """Return the expected input [c, y, x] of a slice [y, x], computed without the library."""
    mean, std = (np.array(facts)[:, None, None] for facts in (card.seen.mean, card.seen.std))
    channels = [hu.clip(*(card.seen.clip_hu or (-np.inf, np.inf))).astype(float)]
    if view.windows_hu:
        channels = [((hu - low) / (high - low)).clip(0, 1) for low, high in view.windows_hu]
    if card.seen.z_score:
        # n - 1, as torch.std_mean divides
        channels = [(one - one.mean()) / one.std(ddof=1) for one in channels]
    return np.asarray((np.stack(channels) - mean) / std, np.float64)


def check_parameters(checked: CheckedEncoder) -> CheckResult:
    """The network has as many parameters as the card."""
    count = sum(parameter.numel() for parameter in checked.encoder.network.parameters()) / 1e6
    expected = checked.encoder.card.facts.parameters_m
    if expected is None:
        sentence = f"the card has no facts.parameters_m; the network has {count:.3g} million"
        return CheckResult("parameters", "warn", sentence, count)
    off = abs(count - expected)
    limit = f"{expected:g} ± {OTHER_COUNT:.0%}"
    if off <= max(SAME_COUNT * expected, 0.05):
        return CheckResult(
            "parameters", "pass", "millions of parameters, as on the card", count, limit
        )
    sentence = f"the card has {expected:g} million parameters, but the network has {count:.4g}"
    return CheckResult(
        "parameters", "warn" if off <= OTHER_COUNT * expected else "fail", sentence, count, limit
    )


def check_weights(checked: CheckedEncoder) -> CheckResult:
    """The weights have the card's sha256."""
    card, found = checked.encoder.card, checked.encoder.weights_sha256
    if card.source.startswith("random:"):
        return CheckResult("weights", "skip", "seeded random weights have no file")
    if checked.found.build is not None and not checked.own_weights:
        return CheckResult("weights", "skip", "the builder finds its weights")
    if card.weights.sha256 is None:
        sentence = f'the card has no hash: add sha256 = "{found}" to its [weights]'
        return CheckResult("weights", "warn", sentence)
    if found == card.weights.sha256:
        return CheckResult("weights", "pass", f"sha256 {found[:12]}…, as on the card")
    sentence = f"sha256 {found[:12]}… of your file is not the card's {card.weights.sha256[:12]}…"
    return CheckResult("weights", "warn", sentence)


def check_speed(checked: CheckedEncoder) -> CheckResult:
    """Report how many slices are embedded per second, with all views."""
    if checked.second is None:
        return CheckResult("speed", "skip", checked.failure)
    rate = len(checked.slices) / checked.second.seconds
    sentence = f"slices/s, {len(checked.encoder.views)} views each, {len(checked.slices)} at a time"
    return CheckResult("speed", "pass", sentence, rate)


def check_memory(checked: CheckedEncoder) -> CheckResult:
    """Report the peak memory of embedding."""
    peak = checked.second.peak_mb if checked.second is not None else None
    if peak is None:
        return CheckResult("memory", "skip", "the peak of memory is unknown on this system")
    owner = "of the GPU" if checked.encoder.device.type == "cuda" else "of the whole process"
    return CheckResult("memory", "pass", f"MB {owner} at the peak", peak)
