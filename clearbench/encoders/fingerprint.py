"""The fingerprint: all that changes the features, hashed into their name."""

import hashlib
import json
from dataclasses import asdict

from clearbench.encoders.device import Precision
from clearbench.encoders.registry import EncoderCard
from clearbench.encoders.views import View

FEATURES_VERSION = 1  # raised only when golden vectors change


def fingerprint(
    card: EncoderCard,
    views: tuple[View, ...],
    weights_sha256: str,
    precision: Precision,
    store_dtype: str = "float32",
) -> str:
    """Return 64 hex digits over input, slicing, pooling, views, weights, precision and store dtype.

    Library versions, device and batch size are not in it: they must not change features beyond
    rounding.
    """
    facts = {
        "family": card.family,
        "net": card.net,
        "pooling": card.pooling,
        "input": card.input.model_dump(mode="json", exclude={"views", "default_views"}),
        "slicing": card.slicing.model_dump(mode="json"),
        "views": [asdict(view) for view in views],
        "weights_sha256": weights_sha256,
        "precision": precision,
        "store_dtype": store_dtype,
        "features_version": FEATURES_VERSION,
    }
    if card.sizes:
        facts["sizes"] = card.sizes
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
