"""The conformance suite: every check on one encoder, with one finding per check."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from clearbench.cores import usable_cores
from clearbench.encoders.conformance import borders, checks, facts
from clearbench.encoders.conformance.checked_encoder import (
    FAULTS,
    LEAST_DEPTH,
    CheckedEncoder,
    example_slices,
    failure_sentence,
    run_over,
)
from clearbench.encoders.conformance.environment import device_name
from clearbench.encoders.conformance.findings import CheckResult, Conformance
from clearbench.encoders.conformance.vectors import card_sha256, check_vectors
from clearbench.encoders.encoder import Encoder, build_encoder
from clearbench.encoders.plugins import family_builder
from clearbench.encoders.registry import Registered, find_encoder
from clearbench.encoders.weights.load import find_weights
from clearbench.errors import ClearbenchError, UnknownName, WeightsUnavailable
from clearbench.versions import NETWORK_LIBRARIES, library_versions


@dataclass(frozen=True)
class Check:
    """One check, and what it needs.

    slices    needs the encoder's run on slices, not only the card
    features  needs finite features of the slices
    alone     needs an encoder that embeds each slice alone: no neighbours, no volume
    twice     needs a second run
    """

    name: str
    run: Callable[[CheckedEncoder], CheckResult]
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
    Check("borders", borders.check_borders),
    Check("apart", checks.check_apart),
    Check("window shift", checks.check_shift),
    Check("bfloat16", checks.check_half),
    Check("reference", check_vectors),
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
    """Check what an encoder promises, on `count` made slices: no data is needed.

    `random_weights` checks the card's network without the card's weights. `only` names some of
    CHECKS. A network that fails is a finding. Raises UnknownName, BadCard or BadRequest for an
    encoder that can't be loaded, WeightsUnavailable for missing or other weights.
    """
    unknown = sorted(set(only) - {check.name for check in CHECKS})
    if unknown:
        raise UnknownName.among("check", unknown[0], [check.name for check in CHECKS])
    found = find_encoder(name, registry)
    randomised = random_weights and not found.card.source.startswith("random:")
    if randomised:
        found = found.model_copy(update={"card": found.card.with_random_weights()})
    elif found.build is None:
        family_builder(found.card, found.folder, trust_remote_code=trust_remote_code)
        _check_weights_exist(found, weights)
    load = partial(_load, found, device, weights, trust_remote_code)
    checked = CheckedEncoder(
        found=found,
        encoder=load(precision),
        slices=example_slices(max(count, LEAST_DEPTH) if found.card.volume else count),
        load=load,
        random_weights=randomised,
        own_weights=weights is not None,
    )
    chosen = [check for check in CHECKS if not only or check.name in only]
    return _report(checked, run_checks(checked, chosen))


def _load(
    found: Registered, device: str, weights: Path | str | None, trusted: bool, precision: str
) -> Encoder:
    """Load an encoder in the given precision."""
    return build_encoder(
        found, device=device, precision=precision, weights=weights, trust_remote_code=trusted
    )


def _check_weights_exist(found: Registered, weights: Path | str | None) -> None:
    """Raise WeightsUnavailable, with random weights as a way out, if weights are missing."""
    try:
        find_weights(found.card, Path(weights) if weights is not None else None, found.folder)
    except WeightsUnavailable as error:
        raise WeightsUnavailable(
            f"{error}; or use random_weights (--random-weights) to check the network without them"
        ) from error


def run_checks(
    checked: CheckedEncoder, chosen: Sequence[Check] = CHECKS
) -> tuple[CheckResult, ...]:
    """Run an encoder on the slices, then every check; a failed check doesn't stop the others."""
    ready = _embedded(checked, any(check.twice for check in chosen))
    return tuple(_finding(check, ready) for check in chosen)


def _embedded(checked: CheckedEncoder, twice: bool) -> CheckedEncoder:
    """Return the encoder with its runs on the slices, or with the reason for their failure."""
    try:
        first = run_over(checked.encoder, checked.slices)
        second = run_over(checked.encoder, checked.slices) if twice else None
        return replace(checked, first=first, second=second)
    except (ClearbenchError, *FAULTS) as error:
        return replace(checked, failure=failure_sentence(error))


def _finding(check: Check, checked: CheckedEncoder) -> CheckResult:
    """Run one check; a check that doesn't apply is skipped with the reason."""
    reason = _why_not(check, checked)
    if reason:
        return CheckResult(check.name, "skip", reason)
    try:
        finding = check.run(checked)
    except (ClearbenchError, *FAULTS) as error:
        return CheckResult(check.name, "fail", failure_sentence(error))
    # NaN and infinity are not JSON
    finite = finding.measured is None or math.isfinite(finding.measured)
    return finding if finite else replace(finding, measured=None)


def _why_not(check: Check, checked: CheckedEncoder) -> str:
    """Return why a check doesn't apply; "" if it does."""
    card = checked.found.card
    if check.alone and card.scope == "volume":
        return "it embeds whole scans, one by one"
    if check.alone and card.slicing.context:
        return "it has the neighbours of a slice as channels"
    if check.name == "features" or not check.slices:
        return ""
    if checked.first is None:
        return "there are no features"
    if check.features and not np.isfinite(checked.features).all():
        return "some features are NaN or infinite"
    return ""


def _report(checked: CheckedEncoder, findings: tuple[CheckResult, ...]) -> Conformance:
    """Return the findings with the card, weights and machine of the checks."""
    encoder = checked.encoder
    return Conformance(
        encoder=encoder.name,
        title=encoder.card.title,
        card_sha256=card_sha256(checked.found),
        weights_sha256=encoder.weights_sha256,
        fingerprint=encoder.fingerprint,
        random_weights=checked.random_weights,
        views=tuple(view.name for view in encoder.views),
        precision=encoder.precision,
        device=device_name(encoder.device),
        cores=usable_cores(),
        versions=library_versions(NETWORK_LIBRARIES),
        findings=findings,
    )
