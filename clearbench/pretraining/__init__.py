"""LeCL, lesion-enhanced contrastive learning: what trains encoders of CT slices.

Loaded when first used, so that naming its settings costs nothing.
"""

import importlib
from types import MappingProxyType
from typing import Any

_PUBLIC = MappingProxyType(
    {
        "DataRequest": "clearbench.pretraining.stacks",
        "PretrainSettings": "clearbench.pretraining.settings",
        "lecl_loss": "clearbench.pretraining.loss",
        "pretrain": "clearbench.pretraining.run",
    }
)

__all__ = [*_PUBLIC]


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'clearbench.pretraining' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
