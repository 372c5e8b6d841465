"""Checks of features: what holds for every encoder of slices, whatever its network."""

import numpy as np
import torch
from numpy.typing import NDArray

from clearbench.encoders.conformance.findings import CheckResult, Status
from clearbench.encoders.conformance.subject import Features, Subject, embed_scan

LEAST_COSINE = 0.999
APART = 1e-3
DEAD = 1e-6
SHIFT_HU = 20
NO_LENGTH = 1e-12  # an embedding of zeros has no direction


def farthest(found: Features, expected: Features) -> float:
    """Return the largest distance of two embeddings, relative to the expected one's length."""
    return float(relative_distances(found, expected).max())


def relative_distances(found: Features, expected: Features) -> NDArray[np.float64]:
    """Return the distance of each embedding [n, views], relative to the expected one's length."""
    lengths = np.linalg.norm(expected.astype(np.float64), axis=-1)
    with np.errstate(invalid="ignore"):  # what is no number stays none, and is near nothing
        distances = np.linalg.norm(found.astype(np.float64) - expected, axis=-1)
    return np.asarray(distances / np.maximum(lengths, NO_LENGTH), np.float64)


def least_cosine(found: Features, expected: Features) -> float:
    """Return the smallest cosine between embeddings of the same slice and view."""
    one, other = found.astype(np.float64), expected.astype(np.float64)
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    with np.errstate(invalid="ignore"):
        cosines = (one * other).sum(-1) / np.maximum(lengths, NO_LENGTH)
    return float(cosines.min())


def near(check: str, subject: Subject, found: Features, good: str, bad: str) -> CheckResult:
    """Find whether features are those of the first run, but for rounding."""
    distance, limit = farthest(found, subject.features), subject.rounding
    kept = distance <= limit
    return CheckResult(
        check, "pass" if kept else "fail", good if kept else bad, distance, f"≤ {limit:g}"
    )


def check_shape(subject: Subject) -> CheckResult:
    """Features are [n, views, dim], as the card says."""
    if subject.trouble:
        return CheckResult("features", "fail", subject.trouble)
    shape = " × ".join(str(size) for size in subject.features.shape)
    sentence = f"{shape} (slices, views, dim), as the card says"
    return CheckResult("features", "pass", sentence, subject.features.shape[-1])


def check_finite(subject: Subject) -> CheckResult:
    """All features are numbers."""
    bad = int((~np.isfinite(subject.features)).sum())
    sentence = f"{bad} of {subject.features.size} features are NaN or infinite" if bad else ""
    return CheckResult(
        "finite", "fail" if bad else "pass", sentence or "no NaN, nothing infinite", bad, "0"
    )


def check_frozen(subject: Subject) -> CheckResult:
    """The network is in eval mode, has no gradients, and embedding leaves no trace in it."""
    network = subject.encoder.network
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    subject.embed(subject.slices)
    faults = [
        f"{name or type(module).__name__} is in training mode"
        for name, module in network.named_modules()
        if module.training
    ]
    faults += [
        f"{name} asks for gradients" for name, p in network.named_parameters() if p.requires_grad
    ]
    faults += [
        f"{name} changes with every batch"
        for name, buffer in network.named_buffers()
        if not torch.equal(buffer, before.get(name, buffer.new_empty(0)))
    ]
    if not faults:
        return CheckResult("frozen", "pass", "eval mode, no gradients, no state that moves", 0, "0")
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return CheckResult("frozen", "fail", f"{faults[0]}{more}", len(faults), "0")


def check_repeat(subject: Subject) -> CheckResult:
    """The same slices twice give the same bytes."""
    again = subject.second.features if subject.second is not None else subject.features
    if again.tobytes() == subject.features.tobytes():
        return CheckResult("repeat", "pass", "the same bytes twice", 0.0, "0")
    distance = farthest(again, subject.features)
    rounds = subject.encoder.device.type != "cpu" and distance <= subject.rounding
    sentence = "the same slices give other features the second time"
    return CheckResult("repeat", "warn" if rounds else "fail", sentence, distance, "0")


def check_fresh(subject: Subject) -> CheckResult:
    """The encoder loaded again gives the same bytes under the same fingerprint."""
    fresh = subject.load(subject.encoder.precision)
    found = embed_scan(fresh, subject.slices)
    distance = farthest(found, subject.features)
    if fresh.fingerprint != subject.encoder.fingerprint:
        sentence = "loaded again it has another fingerprint: its weights are made without a seed"
        return CheckResult("fresh load", "fail", sentence, distance, "0")
    if found.tobytes() == subject.features.tobytes():
        return CheckResult("fresh load", "pass", "loaded again it gives the same bytes", 0.0, "0")
    rounds = subject.encoder.device.type != "cpu" and distance <= subject.rounding
    sentence = "loaded again it gives other features"
    return CheckResult("fresh load", "warn" if rounds else "fail", sentence, distance, "0")


def check_alone(subject: Subject) -> CheckResult:
    """A slice alone has the features that it has in a batch."""
    alone = np.concatenate([subject.embed(one[None]) for one in subject.slices])
    return near(
        "alone",
        subject,
        alone,
        "a slice alone has the features that it has in a batch",
        "a slice's features depend on the others in its batch; batch norm in training mode?",
    )


def check_order(subject: Subject) -> CheckResult:
    """The order of a batch doesn't matter."""
    turned = subject.embed(subject.slices[::-1])[::-1]
    return near(
        "order",
        subject,
        turned,
        "the order of a batch does not matter",
        "a slice's features depend on its place in the batch",
    )


def check_apart(subject: Subject) -> CheckResult:
    """Different slices and views have different features."""
    flat = subject.features.reshape(-1, subject.features.shape[-1]).astype(np.float64)
    distances = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    scale = max(float(np.linalg.norm(flat, axis=-1).mean()), DEAD)
    least = float(distances[~np.eye(len(flat), dtype=bool)].min(initial=np.inf)) / scale
    if len(flat) < 2:
        return CheckResult("apart", "skip", "one slice under one view has none to differ from")
    if least <= DEAD:
        sentence = "different slices or views have the same features: a dead network"
        return CheckResult("apart", "fail", sentence, least, f"> {DEAD:g}")
    if least <= APART:
        return CheckResult(
            "apart", "warn", "some slices or views are hardly told apart", least, f"> {APART:g}"
        )
    return CheckResult("apart", "pass", "slices and views are told apart", least, f"> {APART:g}")


def check_shift(subject: Subject) -> CheckResult:
    """Features move a little when the windows' bounds do; how much is reported."""
    moved = [
        relative_distances(subject.embed(subject.slices + np.int16(shift)), subject.features)
        for shift in (-SHIFT_HU, SHIFT_HU)
    ]
    mean = float(np.mean(moved))
    if mean <= DEAD:
        sentence = f"windows moved by ±{SHIFT_HU} HU change no feature: a dead network"
        return CheckResult("window shift", "fail", sentence, mean, f"> {DEAD:g}")
    sentence = f"windows moved by ±{SHIFT_HU} HU move features by {mean:.2%} of their length"
    return CheckResult("window shift", "pass", sentence, mean, f"> {DEAD:g}")


def check_half(subject: Subject) -> CheckResult:
    """bfloat16 keeps the direction of features, or the card keeps auto to float32."""
    exact = subject.features
    if subject.encoder.precision != "float32":
        exact = embed_scan(subject.load("float32"), subject.slices)
    cosine = least_cosine(embed_scan(subject.load("bfloat16"), subject.slices), exact)
    kept, promised = cosine >= LEAST_COSINE, subject.encoder.card.precision == "bfloat16"
    limit = f"≥ {LEAST_COSINE}" if promised else ""
    if not promised:
        sentence = 'note: the card has precision = "float32", so auto never takes bfloat16'
    elif kept:
        sentence = "the least cosine between bfloat16 and float32"
    else:
        sentence = 'bfloat16 moves the features; set precision = "float32" in the card'
    status: Status = (
        "pass" if kept or not promised else "warn" if subject.random_weights else "fail"
    )
    return CheckResult("bfloat16", status, sentence, cosine, limit)
