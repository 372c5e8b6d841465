"""The conformance suite: every check over one encoder, each a finding of its own."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from clearbench.encoders.conformance import checks, facts
from clearbench.encoders.conformance.environment import device_name, library_versions, usable_cores
from clearbench.encoders.conformance.findings import CheckResult, Conformance
from clearbench.encoders.conformance.subject import (
    FAULTS,
    LEAST_DEPTH,
    Subject,
    example_slices,
    run_over,
    why_it_stopped,
)
from clearbench.encoders.conformance.vectors import card_sha256, check_vectors
from clearbench.encoders.encoder import Encoder, build_encoder
from clearbench.encoders.plugins import family_builder
from clearbench.encoders.registry import Registered, find_encoder
from clearbench.encoders.weights.load import find_weights
from clearbench.errors import ClearbenchError, UnknownName, WeightsUnavailable


@dataclass(frozen=True)
class Check:
    """One check, and what it needs.

    slices    it looks at what the encoder makes of slices, not at the card alone
    features  it compares with features of slices, which must be numbers
    alone     it takes slices to be embedded each by itself, without neighbours; not as a volume
    twice     it looks at the second of two runs
    """

    name: str
    run: Callable[[Subject], CheckResult]
    slices: bool = True
    features: bool = True
    alone: bool = False
    twice: bool = False


CHECKS = (
    Check("features", checks.check_shape, features=False),
    Check("finite", checks.check_finite, features=False),
    Check("frozen", checks.check_frozen, features=False),
    Check("repeat", checks.check_repeat, twice=True),
    Check("fresh load", checks.check_fresh),
    Check("alone", checks.check_alone, alone=True),
    Check("order", checks.check_order, alone=True),
    Check("padding", facts.check_padding, features=False, alone=True),
    Check("input size", facts.check_size, features=False, alone=True),
    Check("apart", checks.check_apart),
    Check("window shift", checks.check_shift),
    Check("bfloat16", checks.check_half),
    Check("golden", check_vectors),
    Check("parameters", facts.check_parameters, slices=False, features=False),
    Check("weights", facts.check_weights, slices=False, features=False),
    Check("speed", facts.check_speed, features=False, twice=True),
    Check("memory", facts.check_memory, features=False, twice=True),
)


def check_encoder(  # noqa: PLR0913  each is an option of its own
    name: str,
    *,
    random_weights: bool = False,
    weights: Path | str | None = None,
    device: str = "auto",
    precision: str = "float32",
    registry: Iterable[Path] = (),
    trust_remote_code: bool = False,
    count: int = 4,
    only: Sequence[str] = (),
) -> Conformance:
    """Check what an encoder promises on `count` slices that are made here: no data is needed.

    `random_weights` checks the card's network without the card's weights. `only` names some of
    CHECKS. A network that stops is a finding; raises UnknownName, BadCard or BadRequest for what
    can't be loaded, WeightsUnavailable for weights that are missing or another network's.
    """
    unknown = sorted(set(only) - {check.name for check in CHECKS})
    if unknown:
        raise UnknownName.among("check", unknown[0], [check.name for check in CHECKS])
    found = find_encoder(name, registry)
    strange = random_weights and not found.card.source.startswith("random:")
    if strange:
        found = found.model_copy(update={"card": found.card.with_random_weights()})
    elif found.build is None:
        family_builder(found.card, found.folder, trust_remote_code=trust_remote_code)
        _want_weights(found, weights)
    load = partial(_load, found, device, weights, trust_remote_code)
    subject = Subject(
        found=found,
        encoder=load(precision),
        slices=example_slices(max(count, LEAST_DEPTH) if found.card.volume else count),
        load=load,
        random_weights=strange,
        own_weights=weights is not None,
    )
    chosen = [check for check in CHECKS if not only or check.name in only]
    return _report(subject, run_checks(subject, chosen))


def _load(
    found: Registered, device: str, weights: Path | str | None, trusted: bool, precision: str
) -> Encoder:
    """Load an encoder in the precision named."""
    return build_encoder(
        found, device=device, precision=precision, weights=weights, trust_remote_code=trusted
    )


def _want_weights(found: Registered, weights: Path | str | None) -> None:
    """Raise WeightsUnavailable that offers random weights, if the card's can't be had."""
    try:
        find_weights(found.card, Path(weights) if weights is not None else None, found.folder)
    except WeightsUnavailable as error:
        raise WeightsUnavailable(
            f"{error}; or type --random-weights to check the same network without them"
        ) from error


def run_checks(subject: Subject, chosen: Sequence[Check] = CHECKS) -> tuple[CheckResult, ...]:
    """Run an encoder over the slices, and then every check; one that fails stops no other."""
    ready = _embedded(subject, any(check.twice for check in chosen))
    return tuple(_finding(check, ready) for check in chosen)


def _embedded(subject: Subject, twice: bool) -> Subject:
    """Return the subject with features of its slices, or with the reason why there are none."""
    try:
        first = run_over(subject.encoder, subject.slices)
        second = run_over(subject.encoder, subject.slices) if twice else None
        return replace(subject, first=first, second=second)
    except (ClearbenchError, *FAULTS) as error:
        return replace(subject, trouble=why_it_stopped(error))


def _finding(check: Check, subject: Subject) -> CheckResult:
    """Run one check, or say why it can't be run."""
    reason = _why_not(check, subject)
    if reason:
        return CheckResult(check.name, "skip", reason)
    try:
        finding = check.run(subject)
    except (ClearbenchError, *FAULTS) as error:
        return CheckResult(check.name, "fail", why_it_stopped(error))
    number = finding.measured is None or math.isfinite(finding.measured)
    return finding if number else replace(finding, measured=None)


def _why_not(check: Check, subject: Subject) -> str:
    """Say why a check doesn't apply; nothing if it does."""
    card = subject.found.card
    if check.alone and card.scope == "volume":
        return "embeds whole scans, one by one"
    if check.alone and card.slicing.context:
        return "sees the neighbours of a slice as channels"
    if check.name == "features" or not check.slices:
        return ""
    if subject.first is None:
        return "there are no features"
    if check.features and not np.isfinite(subject.features).all():
        return "features are not all numbers"
    return ""


def _report(subject: Subject, findings: tuple[CheckResult, ...]) -> Conformance:
    """Put the findings beside what they hold for."""
    encoder = subject.encoder
    return Conformance(
        encoder=encoder.name,
        title=encoder.card.title,
        card_sha256=card_sha256(subject.found),
        weights_sha256=encoder.weights_sha256,
        fingerprint=encoder.fingerprint,
        random_weights=subject.random_weights,
        views=tuple(view.name for view in encoder.views),
        precision=encoder.precision,
        device=device_name(encoder.device),
        cores=usable_cores(),
        versions=library_versions(),
        findings=findings,
    )
