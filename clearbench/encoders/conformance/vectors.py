"""Golden vectors: a few slices and the features that an encoder once gave them, in a small file."""

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
from clearbench.encoders.conformance.checks import farthest, least_cosine
from clearbench.encoders.conformance.environment import library_versions
from clearbench.encoders.conformance.findings import CheckResult
from clearbench.encoders.conformance.subject import (
    LEAST_DEPTH,
    Features,
    Subject,
    embed_scan,
    example_slices,
)
from clearbench.encoders.encoder import Encoder, load_encoder
from clearbench.encoders.fingerprint import fingerprint
from clearbench.encoders.registry import Registered, find_encoder
from clearbench.errors import BadCard, BadRequest
from clearbench.files import write_whole

FACTS = ("card_sha256", "fingerprint", "weights_sha256", "views", "versions")
LEAST_COSINE = 0.9999
FARTHEST = 1e-3
FARTHEST_ON_GPU = 1e-2  # convolutions in TF32
SLICES = 3


@dataclass(frozen=True)
class GoldenVectors:
    """Slices [n, y, x] int16 HU, their features [n, views, dim] in float32, and what made them."""

    slices: NDArray[np.int16]
    features: Features
    views: tuple[str, ...]
    card_sha256: str
    fingerprint: str
    weights_sha256: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class FrozenVectors:
    """Golden vectors that were written, and where."""

    path: Path
    vectors: GoldenVectors


def card_sha256(found: Registered) -> str:
    """Return the sha256 of a card's file; without a file, of what the card says."""
    path = (found.folder or Path()) / f"{found.name}.toml"
    if found.folder is not None and path.is_file():
        return digest(path)
    return hashlib.sha256(found.card.model_dump_json().encode()).hexdigest()


def vector_places(found: Registered) -> list[Path]:
    """Return where a card's golden vectors may lie: in its project's tests, or beside the card."""
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
) -> FrozenVectors:
    """Write an encoder's golden vectors, to `target` or beside its card.

    Raises BadRequest if golden vectors are there and not to be replaced, BadCard if the features
    are not all numbers, and what load_encoder raises.
    """
    found = find_encoder(name, registry)
    path = target or _usual_place(found)
    if path.exists() and not replace:
        raise BadRequest(
            f"{path}: golden vectors are frozen there; --replace freezes these instead"
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
    return FrozenVectors(path, vectors)


def _usual_place(found: Registered) -> Path:
    """Return where to write: the project's tests if it has such a folder, else beside the card."""
    places = vector_places(found)
    if not places:
        raise BadRequest(f"{found.name} was registered at run time and has no folder; type -o FILE")
    return next((place for place in places if place.parent.is_dir()), places[-1])


def _vectors(encoder: Encoder, card: str) -> GoldenVectors:
    """Embed a few slices, and note what made the features."""
    slices = example_slices(SLICES if encoder.card.volume is None else LEAST_DEPTH)
    features = embed_scan(encoder, slices)
    if not np.isfinite(features).all():
        raise BadCard(
            f"{encoder.name}: features are not all numbers; see `clearbench models check`"
        )
    return GoldenVectors(
        slices=slices,
        features=features,
        views=tuple(view.name for view in encoder.views),
        card_sha256=card,
        fingerprint=encoder.fingerprint,
        weights_sha256=encoder.weights_sha256,
        versions=library_versions(),
    )


def _write(vectors: GoldenVectors, path: Path) -> None:
    """Write golden vectors, whole or not at all."""
    tensors = {
        "slices_hu": torch.from_numpy(vectors.slices),
        "features": torch.from_numpy(vectors.features),
    }
    facts = {key: json.dumps(getattr(vectors, key)) for key in FACTS} | {"precision": '"float32"'}
    write_whole(path, lambda draft: draft.write_bytes(save(tensors, metadata=facts)))


def read_vectors(path: Path) -> GoldenVectors:
    """Read golden vectors; raises BadRequest for a file that holds none."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  not a dict
        facts = {key: json.loads(metadata[key]) for key in FACTS}
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise _no_vectors(path) from error
    slices, features = tensors.get("slices_hu"), tensors.get("features")
    if not (_is(slices, torch.int16) and _is(features, torch.float32)):
        raise _no_vectors(path)
    views = tuple(facts.pop("views"))
    return GoldenVectors(_array(slices), _array(features), views, **facts)


def _no_vectors(path: Path) -> BadRequest:
    """Say that a file is something else, or damaged."""
    return BadRequest(
        f"{path}: holds no golden vectors; `clearbench models freeze NAME --replace` writes them"
    )


def _is(tensor: Tensor | None, dtype: torch.dtype) -> bool:
    """Tell whether a tensor is there, with three axes and of the dtype."""
    return tensor is not None and tensor.ndim == 3 and tensor.dtype == dtype


def _array(tensor: Any) -> Any:
    """Return a tensor as an array."""
    return tensor.numpy()


def check_vectors(subject: Subject) -> CheckResult:
    """Features are those that were frozen with the card, within what processors differ by."""
    path = next((place for place in vector_places(subject.found) if place.is_file()), None)
    if path is None:
        return CheckResult(
            "golden", "skip", "no golden vectors; `clearbench models freeze` writes them"
        )
    if subject.random_weights:
        return CheckResult("golden", "skip", "golden vectors are of the real weights")
    golden = read_vectors(path)
    other = _other_encoder(subject, golden)
    if other is not None:
        return other
    found = subject.embed(golden.slices)
    if subject.encoder.precision != "float32":
        found = embed_scan(subject.load("float32"), golden.slices)
    on_cpu = subject.encoder.device.type == "cpu"
    return _drift(found, golden, FARTHEST if on_cpu else FARTHEST_ON_GPU)


def _other_encoder(subject: Subject, golden: GoldenVectors) -> CheckResult | None:
    """Find that the card or its weights are others than those that were frozen."""
    encoder = subject.encoder
    again = fingerprint(encoder.card, encoder.views, golden.weights_sha256, "float32")
    if again != golden.fingerprint:
        sentence = "the card changed since its vectors were frozen; `models freeze --replace`"
        return CheckResult("golden", "fail", sentence)
    random = encoder.card.source.startswith("random:")  # their last bits are the processor's
    if random or encoder.weights_sha256 == golden.weights_sha256:
        return None
    sentence = f"golden vectors are of other weights ({golden.weights_sha256[:12]}…)"
    return CheckResult("golden", "skip" if subject.own_weights else "fail", sentence)


def _drift(found: Features, golden: GoldenVectors, limit: float) -> CheckResult:
    """Compare features with the frozen ones; a drift names the libraries that changed."""
    if found.shape != golden.features.shape:
        sentence = f"features are {found.shape}, and {golden.features.shape} were frozen"
        return CheckResult("golden", "fail", sentence)
    distance, cosine = farthest(found, golden.features), least_cosine(found, golden.features)
    largest = float(np.abs(found - golden.features).max())
    measured = f"cosine {cosine:.6f}, at most {largest:.2g} apart"
    if distance <= limit and cosine >= LEAST_COSINE:
        sentence = f"the features that were frozen ({measured})"
        return CheckResult("golden", "pass", sentence, distance, f"≤ {limit:g}")
    sentence = f"features drifted since they were frozen ({measured}): {_changed(golden.versions)}"
    return CheckResult("golden", "fail", sentence, distance, f"≤ {limit:g}")


def _changed(then: Mapping[str, str]) -> str:
    """Name the libraries whose version is another than then."""
    now = library_versions()
    changed = [
        f"{name} {then.get(name, 'none')} then, {now.get(name, 'none')} now"
        for name in dict.fromkeys((*then, *now))
        if then.get(name) != now.get(name)
    ]
    return "; ".join(changed) or "with the same versions of all libraries"
