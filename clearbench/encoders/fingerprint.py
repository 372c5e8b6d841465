"""The fingerprint: a hash of every fact that changes the features."""

import hashlib
import json
from dataclasses import asdict

from clearbench.encoders.card import EncoderCard, InputFacts
from clearbench.encoders.device import Precision
from clearbench.encoders.inputs.views import View

FEATURES_VERSION = 1  # raised only when reference vectors change


def fingerprint(
    card: EncoderCard,
    views: tuple[View, ...],
    weights_sha256: str,
    precision: Precision,
    store_dtype: str = "float32",
    code_sha256: str = "",
) -> str:
    """Return 64 hex digits over input, slicing, pooling, views, weights, precision and store dtype.

    `code_sha256` is the hash of code that comes with the weights. Library versions, device and
    batch size are left out: they must not change features beyond rounding.
    """
    facts = {
        "family": card.family,
        "net": card.net,
        "pooling": card.pooling,
        "slicing": _slicing(card),
        "views": [asdict(view) for view in views],
        "weights_sha256": weights_sha256,
        "precision": precision,
        "store_dtype": store_dtype,
        "features_version": FEATURES_VERSION,
    }
    if card.input is not None:
        facts["input"] = _input(card.input)
    if card.volume is not None:
        facts["volume"] = card.volume.model_dump(mode="json", exclude={"unseen_zyx"})
    # left out if blank, so that cards without code keep their fingerprints
    if code_sha256:
        facts["code_sha256"] = code_sha256
    if card.sizes:
        facts["sizes"] = card.sizes
    # a file may hold both, so its hash doesn't tell; without this fact it is the raw weights
    if card.weights.ema:
        facts["ema"] = True
    # sorted, so that the order of keys doesn't change the hash
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _slicing(card: EncoderCard) -> dict[str, object]:
    """Return which slices are embedded; a context of 0 is left out."""
    facts = card.slicing.model_dump(mode="json")
    # the keys of a card without the newer fact stay as they were, and so does its fingerprint
    return facts if card.slicing.context else {"spacing_mm": facts["spacing_mm"]}


def _input(seen: InputFacts) -> dict[str, object]:
    """Return what the network sees, without views, unused facts, and what it leaves out itself."""
    words = {"views", "default_views", "unseen_px"}
    facts = seen.model_dump(mode="json", exclude=words, exclude_none=True)
    return facts if seen.z_score else {k: v for k, v in facts.items() if k != "z_score"}
