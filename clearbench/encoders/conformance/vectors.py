"""Reference vectors: a few slices and an encoder's features of them, in a small file.

`clearbench models freeze` writes them; `clearbench models check` compares with them.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from clearbench.cards import digest
from clearbench.encoders.conformance.checked_encoder import (
    LEAST_DEPTH,
    CheckedEncoder,
    Features,
    embed_scan,
    example_slices,
)
from clearbench.encoders.conformance.checks import farthest, least_cosine
from clearbench.encoders.conformance.findings import CheckResult
from clearbench.encoders.encoder import Encoder, load_encoder
from clearbench.encoders.fingerprint import fingerprint
from clearbench.encoders.registry import Registered, find_encoder
from clearbench.encoders.weights.files import check_kind
from clearbench.errors import BadCard, BadRequest, WeightsUnavailable
from clearbench.files import write_output
from clearbench.versions import NETWORK_LIBRARIES, library_versions

FACTS = ("card_sha256", "fingerprint", "weights_sha256", "views", "versions")
LEAST_COSINE = 0.9999
FARTHEST = 1e-3
FARTHEST_ON_GPU = 1e-2  # convolutions in TF32
SLICES = 3


@dataclass(frozen=True)
class ReferenceVectors:
    """Slices [n, y, x] int16 HU, their features [n, views, dim] float32, and their encoder."""

    slices: NDArray[np.int16]
    features: Features
    views: tuple[str, ...]
    card_sha256: str
    fingerprint: str
    weights_sha256: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class WrittenVectors:
    """Reference vectors, and the file they were written to."""

    path: Path
    vectors: ReferenceVectors


def card_sha256(found: Registered) -> str:
    """Return the sha256 of a card's file; without a file, of the card's facts."""
    path = (found.folder or Path()) / f"{found.name}.toml"
    if found.folder is not None and path.is_file():
        return digest(path)
    return hashlib.sha256(found.card.model_dump_json().encode()).hexdigest()


def vector_places(found: Registered) -> list[Path]:
    """Return the possible files of a card's reference vectors: project's tests, card's folder."""
    if found.folder is None:
        return []
    name = f"{found.name}.safetensors"
    return [found.folder.parent / "tests" / "golden" / name, found.folder / "golden" / name]


def freeze_vectors(  # noqa: PLR0913  each is an option of its own
    name: str,
    target: Path | None = None,
    *,
    weights: Path | str | None = None,
    device: str = "auto",
    registry: Iterable[Path] = (),
    trust_remote_code: bool = False,
    replace: bool = False,
) -> WrittenVectors:
    """Write an encoder's reference vectors, to `target` or to a folder next to its card.

    Raises BadRequest if the file exists (unless `replace`), BadCard if features are NaN or
    infinite, and what load_encoder raises.
    """
    found = find_encoder(name, registry)
    path = target or _usual_place(found)
    if path.exists() and not replace:
        raise BadRequest(
            f"{path} exists; to write it again, run: clearbench models freeze {name} --replace"
        )
    encoder = load_encoder(
        name,
        device=device,
        precision="float32",
        weights=weights,
        registry=registry,
        trust_remote_code=trust_remote_code,
    )
    vectors = _vectors(encoder, card_sha256(found))
    _write(vectors, path)
    return WrittenVectors(path, vectors)


def _usual_place(found: Registered) -> Path:
    """Return the file to write: in the project's tests/golden if it exists, else by the card."""
    places = vector_places(found)
    if not places:
        raise BadRequest(f"{found.name} has no card file, so no folder; name the file to write")
    return next((place for place in places if place.parent.is_dir()), places[-1])


def _vectors(encoder: Encoder, card: str) -> ReferenceVectors:
    """Embed a few slices; raises BadCard for NaN or infinite features."""
    slices = example_slices(SLICES if encoder.card.volume is None else LEAST_DEPTH)
    features = embed_scan(encoder, slices)
    if not np.isfinite(features).all():
        raise BadCard(
            f"{encoder.name}: features are NaN or infinite; run: clearbench models check "
            f"{encoder.name}"
        )
    return ReferenceVectors(
        slices=slices,
        features=features,
        views=tuple(view.name for view in encoder.views),
        card_sha256=card,
        fingerprint=encoder.fingerprint,
        weights_sha256=encoder.weights_sha256,
        versions=library_versions(NETWORK_LIBRARIES),
    )


def _write(vectors: ReferenceVectors, path: Path) -> None:
    """Write reference vectors, completely or not at all."""
    tensors = {
        "slices_hu": torch.from_numpy(vectors.slices),
        "features": torch.from_numpy(vectors.features),
    }
    facts = {key: json.dumps(getattr(vectors, key)) for key in FACTS} | {"precision": '"float32"'}
    image = save(tensors, metadata=facts)
    write_output(path, lambda draft: draft.write_bytes(image), stream=False)


def read_vectors(path: Path) -> ReferenceVectors:
    """Read reference vectors; raises BadRequest for another file."""
    try:
        check_kind(path)
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  not a dict
        facts = {key: json.loads(metadata[key]) for key in FACTS}
    # RecursionError: lists in lists
    except (
        WeightsUnavailable, OSError, SafetensorError, KeyError, ValueError, RecursionError
    ) as error:  # fmt: skip
        raise _no_vectors(path) from error
    slices, features = tensors.get("slices_hu"), tensors.get("features")
    if not (_is(slices, torch.int16) and _is(features, torch.float32)):
        raise _no_vectors(path)
    if not _are_facts(facts):
        raise _no_vectors(path)
    views = tuple(facts.pop("views"))
    return ReferenceVectors(_array(slices), _array(features), views, **facts)


def _are_facts(facts: Mapping[str, Any]) -> bool:
    """Tell whether facts are texts, a list of texts, and texts by name."""
    views, versions = facts["views"], facts["versions"]
    listed = isinstance(views, list) and isinstance(versions, dict)
    plain = [facts[name] for name in FACTS if name not in ("views", "versions")]
    every = [*plain, *views, *versions.values()] if listed else [None]
    return all(isinstance(each, str) for each in every)


def _no_vectors(path: Path) -> BadRequest:
    """Return the error for another or a damaged file."""
    return BadRequest(
        f"{path}: not a file of reference vectors; run: clearbench models freeze NAME --replace"
    )


def _is(tensor: Tensor | None, dtype: torch.dtype) -> bool:
    """Return whether a tensor exists, with three axes and this dtype."""
    return tensor is not None and tensor.ndim == 3 and tensor.dtype == dtype


def _array(tensor: Any) -> Any:
    """Return a tensor as an array."""
    return tensor.numpy()


def check_vectors(checked: CheckedEncoder) -> CheckResult:
    """Features agree with the reference vectors, within the differences of processors."""
    path = next((place for place in vector_places(checked.found) if place.is_file()), None)
    if path is None:
        return CheckResult(
            "reference", "skip", "no reference vectors; `clearbench models freeze` writes them"
        )
    if checked.random_weights:
        return CheckResult("reference", "skip", "reference vectors need the card's weights")
    reference = read_vectors(path)
    other = _other_encoder(checked, reference)
    if other is not None:
        return other
    found = checked.embed(reference.slices)
    if checked.encoder.precision != "float32":
        found = embed_scan(checked.load("float32"), reference.slices)
    on_cpu = checked.encoder.device.type == "cpu"
    return _drift(found, reference, FARTHEST if on_cpu else FARTHEST_ON_GPU)


def _other_encoder(checked: CheckedEncoder, reference: ReferenceVectors) -> CheckResult | None:
    """Return a finding if the card or its weights differ from those of the reference vectors."""
    encoder = checked.encoder
    again = fingerprint(encoder.card, encoder.views, reference.weights_sha256, "float32")
    if again != reference.fingerprint:
        sentence = (
            "the card changed since its reference vectors; `models freeze --replace` renews them"
        )
        return CheckResult("reference", "fail", sentence)
    if encoder.weights_sha256 == reference.weights_sha256:
        return None
    sentence = f"reference vectors are of other weights ({reference.weights_sha256[:12]}…)"
    return CheckResult("reference", "skip" if checked.own_weights else "fail", sentence)


def _drift(found: Features, reference: ReferenceVectors, limit: float) -> CheckResult:
    """Compare features with the reference; a failure names the libraries that changed."""
    if found.shape != reference.features.shape:
        sentence = f"features are {found.shape}, the reference is {reference.features.shape}"
        return CheckResult("reference", "fail", sentence)
    distance, cosine = farthest(found, reference.features), least_cosine(found, reference.features)
    largest = float(np.abs(found - reference.features).max())
    measured = f"cosine {cosine:.6f}, largest difference {largest:.2g}"
    if distance <= limit and cosine >= LEAST_COSINE:
        sentence = f"features agree with the reference ({measured})"
        return CheckResult("reference", "pass", sentence, distance, f"≤ {limit:g}")
    sentence = f"features differ from the reference ({measured}): {_changed(reference.versions)}"
    return CheckResult("reference", "fail", sentence, distance, f"≤ {limit:g}")


def _changed(then: Mapping[str, str]) -> str:
    """Name the libraries with another version than in the file."""
    now = library_versions(NETWORK_LIBRARIES)
    changed = [
        f"{name} {then.get(name, 'none')} then, {now.get(name, 'none')} now"
        for name in dict.fromkeys((*then, *now))
        if then.get(name) != now.get(name)
    ]
    return "; ".join(changed) or "all libraries have the same versions"
