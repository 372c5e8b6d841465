"""`clearbench models check` and `clearbench models freeze`."""

from pathlib import Path
from typing import Annotated

import typer

from clearbench.cli.encoders import models_app
from clearbench.cli.options import (
    Device,
    EncoderName,
    Json,
    Precision,
    Registry,
    Trusted,
    Weights,
    words,
    writable,
)
from clearbench.exit_codes import ExitCode

Golden = Annotated[
    Path | None,
    typer.Option(
        "--golden",
        metavar="FILE",
        help="Instead, compare a LeCL card's network with golden tensors of the published one: "
        "weights, input and features (safetensors).",
        show_default=False,
    ),
]
RandomWeights = Annotated[
    bool,
    typer.Option("--random-weights", help="Check the card's network with seeded random weights."),
]
Target = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="Write to this file. [default: tests/golden next to the registry, else golden/ in it]",
        show_default=False,
        callback=writable,
    ),
]
Replace = Annotated[bool, typer.Option("--replace", help="Replace reference vectors that exist.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the group of encoders."""
    del app
    models_app.command()(check)
    models_app.command()(freeze)


def check(
    name: EncoderName,
    random_weights: RandomWeights = False,
    weights: Weights = None,
    device: Device = "auto",
    precision: Precision = "float32",
    golden: Golden = None,
    registry: Registry = None,
    trust_remote_code: Trusted = None,
    as_json: Json = False,
) -> None:
    """Check an encoder on slices that are made here; exit code 1 if a check fails."""
    from clearbench.cores import prepare_threads

    prepare_threads()  # before the imports that load torch
    from dataclasses import asdict

    from clearbench.display.checks import show_conformance
    from clearbench.display.console import dump
    from clearbench.encoders.conformance.suite import check_encoder
    from clearbench.errors import BadRequest

    if random_weights and weights is not None:
        raise BadRequest("--random-weights and --weights exclude each other; leave one out")
    if golden is not None:
        if random_weights or weights is not None:
            raise BadRequest("--golden brings weights; leave out --random-weights and --weights")
        _check_published(name, golden, registry, as_json)
        return
    found = check_encoder(
        name,
        random_weights=random_weights,
        weights=weights,
        device=device,
        precision=precision,
        registry=registry or (),
        trust_remote_code=_is_trusted(name, trust_remote_code),
    )
    dump(asdict(found) | {"passed": found.passed}) if as_json else show_conformance(found)
    if not found.passed:
        raise typer.Exit(ExitCode.FAILED)


def _is_trusted(name: str, trusted: list[str] | None) -> bool:
    """Return whether the encoder's own code may run; raises UnknownName for another encoder."""
    from clearbench.encoders.registry import check_trusted

    check_trusted(words(trusted), [name])
    return bool(trusted)


def _check_published(name: str, golden: Path, registry: list[Path] | None, as_json: bool) -> None:
    """Compare a LeCL card's network with golden tensors of the published one."""
    from dataclasses import asdict

    from clearbench.display.checks import show_golden
    from clearbench.display.console import dump
    from clearbench.encoders.golden import check_golden
    from clearbench.encoders.registry import find_encoder
    from clearbench.errors import BadRequest

    card = find_encoder(name, registry or ()).card
    if card.family != "lecl":
        raise BadRequest(
            f"--golden: only LeCL's networks have golden tensors; {name} is of family {card.family}"
        )
    found = check_golden(card.net, golden)
    sizes = found.sizes.model_dump()
    dump(asdict(found) | {"sizes": sizes, "agrees": found.agrees}) if as_json else show_golden(
        found
    )
    if not found.agrees:
        raise typer.Exit(ExitCode.FAILED)


def freeze(
    name: EncoderName,
    output: Target = None,
    weights: Weights = None,
    device: Device = "auto",
    replace: Replace = False,
    registry: Registry = None,
    trust_remote_code: Trusted = None,
) -> None:
    """Write an encoder's reference vectors: a few slices and their features, for later checks."""
    from clearbench.cores import prepare_threads

    prepare_threads()  # before the imports that load torch
    from clearbench.display.checks import show_vectors
    from clearbench.encoders.conformance.vectors import freeze_vectors

    show_vectors(
        freeze_vectors(
            name,
            output,
            weights=weights,
            device=device,
            registry=registry or (),
            trust_remote_code=_is_trusted(name, trust_remote_code),
            replace=replace,
        )
    )
