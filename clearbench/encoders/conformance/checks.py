"""Checks of features that every encoder must pass, whatever its network."""

import numpy as np
import torch
from numpy.typing import NDArray

from clearbench.encoders.conformance.checked_encoder import CheckedEncoder, Features, embed_scan
from clearbench.encoders.conformance.findings import CheckResult, Status
from clearbench.encoders.finite import WAYS_OUT, as_stored, why_not_stored

LEAST_COSINE = 0.999  # between bfloat16 and float32
APART = 1e-3  # relative distance below which embeddings are hardly different
DEAD = 1e-6  # relative distance below which they are the same
SHIFT_HU = 20
NO_LENGTH = 1e-12  # an embedding of zeros has no direction: never divide by 0


def farthest(found: Features, expected: Features) -> float:
    """Return the largest distance between embeddings, relative to the expected length."""
    return float(relative_distances(found, expected).max())


def relative_distances(found: Features, expected: Features) -> NDArray[np.float64]:
    """Return the distance of each embedding [n, views], relative to the expected length."""
    lengths = np.linalg.norm(expected.astype(np.float64), axis=-1)
    with np.errstate(invalid="ignore"):  # NaN stays NaN, and passes no limit
        distances = np.linalg.norm(found.astype(np.float64) - expected, axis=-1)
    return np.asarray(distances / np.maximum(lengths, NO_LENGTH), np.float64)


def least_cosine(found: Features, expected: Features) -> float:
    """Return the smallest cosine between embeddings of the same slice and view."""
    one, other = found.astype(np.float64), expected.astype(np.float64)
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    with np.errstate(invalid="ignore"):
        cosines = (one * other).sum(-1) / np.maximum(lengths, NO_LENGTH)
    return float(cosines.min())


def near(check: str, checked: CheckedEncoder, found: Features, good: str, bad: str) -> CheckResult:
    """Check that features are those of the first run, within rounding."""
    distance, limit = farthest(found, checked.features), checked.rounding
    kept = distance <= limit
    return CheckResult(
        check, "pass" if kept else "fail", good if kept else bad, distance, f"≤ {limit:g}"
    )


def check_shape(checked: CheckedEncoder) -> CheckResult:
    """Features are [n, views, dim], as on the card."""
    if checked.failure:
        return CheckResult("features", "fail", checked.failure)
    shape = " × ".join(str(size) for size in checked.features.shape)
    sentence = f"{shape} (slices, views, dim), as on the card"
    return CheckResult("features", "pass", sentence, checked.features.shape[-1])


def check_finite(checked: CheckedEncoder) -> CheckResult:
    """No feature is NaN or infinite; one that float16 can't hold is noted."""
    features, precision = checked.features, checked.encoder.precision
    bad = int((~np.isfinite(features)).sum())
    if bad:
        sentence = f"{bad} of {features.size} features are NaN or infinite"
        if precision != "float32":
            sentence += f"; computed in {precision}, {WAYS_OUT[precision]}"
        return CheckResult("finite", "fail", sentence, bad, "0")
    lost = why_not_stored(
        features, as_stored(features, "float16"), np.ones(features.shape[:2], np.bool_)
    )
    sentence = "no NaN, nothing infinite" + (f"; note: {lost}" if lost else "")
    return CheckResult("finite", "pass", sentence, bad, "0")


def check_frozen(checked: CheckedEncoder) -> CheckResult:
    """The network is in eval mode, has no gradients, and embedding changes no buffer."""
    network = checked.encoder.network
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    checked.embed(checked.slices)
    faults = [
        f"{name or type(module).__name__} is in training mode"
        for name, module in network.named_modules()
        if module.training
    ]
    faults += [
        f"{name} requires gradients" for name, p in network.named_parameters() if p.requires_grad
    ]
    faults += [
        f"{name} changes with every batch"
        for name, buffer in network.named_buffers()
        if not torch.equal(buffer, before.get(name, buffer.new_empty(0)))
    ]
    if not faults:
        return CheckResult("frozen", "pass", "eval mode, no gradients, constant buffers", 0, "0")
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return CheckResult("frozen", "fail", f"{faults[0]}{more}", len(faults), "0")


def check_repeat(checked: CheckedEncoder) -> CheckResult:
    """The same slices twice give the same bytes."""
    again = checked.second.features if checked.second is not None else checked.features
    if again.tobytes() == checked.features.tobytes():
        return CheckResult("repeat", "pass", "the same bytes twice", 0.0, "0")
    distance = farthest(again, checked.features)
    rounds = checked.encoder.device.type != "cpu" and distance <= checked.rounding
    sentence = "the same slices give other features in the second run"
    return CheckResult("repeat", "warn" if rounds else "fail", sentence, distance, "0")


def check_fresh(checked: CheckedEncoder) -> CheckResult:
    """The encoder, loaded again, gives the same bytes and the same fingerprint."""
    fresh = checked.load(checked.encoder.precision)
    found = embed_scan(fresh, checked.slices)
    distance = farthest(found, checked.features)
    if fresh.fingerprint != checked.encoder.fingerprint:
        sentence = "loaded again, it has another fingerprint: its weights are made without a seed"
        return CheckResult("fresh load", "fail", sentence, distance, "0")
    if found.tobytes() == checked.features.tobytes():
        return CheckResult("fresh load", "pass", "loaded again, it gives the same bytes", 0.0, "0")
    rounds = checked.encoder.device.type != "cpu" and distance <= checked.rounding
    sentence = "loaded again, it gives other features"
    return CheckResult("fresh load", "warn" if rounds else "fail", sentence, distance, "0")


def check_alone(checked: CheckedEncoder) -> CheckResult:
    """A slice alone has the same features as in a batch."""
    alone = np.concatenate([checked.embed(one[None]) for one in checked.slices])
    return near(
        "alone",
        checked,
        alone,
        "a slice alone has the same features as in a batch",
        "a slice's features depend on the others in its batch; batch norm in training mode?",
    )


def check_order(checked: CheckedEncoder) -> CheckResult:
    """The order of a batch doesn't change features."""
    turned = checked.embed(checked.slices[::-1])[::-1]
    return near(
        "order",
        checked,
        turned,
        "the order of a batch does not change features",
        "a slice's features depend on its place in the batch",
    )


def check_apart(checked: CheckedEncoder) -> CheckResult:
    """Different slices and views have different features."""
    flat = checked.features.reshape(-1, checked.features.shape[-1]).astype(np.float64)
    distances = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    scale = max(float(np.linalg.norm(flat, axis=-1).mean()), DEAD)
    least = float(distances[~np.eye(len(flat), dtype=bool)].min(initial=np.inf)) / scale
    if len(flat) < 2:
        return CheckResult("apart", "skip", "one slice with one view has nothing to compare with")
    if least <= DEAD:
        sentence = "different slices or views have the same features: a dead network"
        return CheckResult("apart", "fail", sentence, least, f"> {DEAD:g}")
    if least <= APART:
        return CheckResult(
            "apart", "warn", "some slices or views hardly differ", least, f"> {APART:g}"
        )
    return CheckResult("apart", "pass", "slices and views differ", least, f"> {APART:g}")


def check_shift(checked: CheckedEncoder) -> CheckResult:
    """Features change a little when the windows are shifted; the change is reported."""
    moved = [
        relative_distances(checked.embed(checked.slices + np.int16(shift)), checked.features)
        for shift in (-SHIFT_HU, SHIFT_HU)
    ]
    mean = float(np.mean(moved))
    if mean <= DEAD:
        sentence = f"windows shifted by ±{SHIFT_HU} HU change no feature: a dead network"
        status: Status = "fail"
        # the class token of a deep transformer hardly sees the image before it is trained
        if checked.random_weights and mean > 0:
            sentence, status = f"windows shifted by ±{SHIFT_HU} HU hardly change features", "warn"
        return CheckResult("window shift", status, sentence, mean, f"> {DEAD:g}")
    sentence = f"windows shifted by ±{SHIFT_HU} HU change features by {mean:.2%} of their length"
    return CheckResult("window shift", "pass", sentence, mean, f"> {DEAD:g}")


def check_half(checked: CheckedEncoder) -> CheckResult:
    """bfloat16 keeps the direction of features, or the card limits auto to float32."""
    exact = checked.features
    if checked.encoder.precision != "float32":
        exact = embed_scan(checked.load("float32"), checked.slices)
    cosine = least_cosine(embed_scan(checked.load("bfloat16"), checked.slices), exact)
    kept, promised = cosine >= LEAST_COSINE, checked.encoder.card.precision == "bfloat16"
    limit = f"≥ {LEAST_COSINE}" if promised else ""
    if not promised:
        sentence = 'note: the card has precision = "float32", so auto never takes bfloat16'
    elif kept:
        sentence = "the lowest cosine between bfloat16 and float32"
    else:
        sentence = 'bfloat16 changes the features; set precision = "float32" in the card'
    status: Status = (
        "pass" if kept or not promised else "warn" if checked.random_weights else "fail"
    )
    return CheckResult("bfloat16", status, sentence, cosine, limit)
