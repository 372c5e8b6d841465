"""clearbench: a feature store and benchmark for radiology slice encoders.

Everything public is loaded when it is first used, so that `import clearbench` is light.
"""

import importlib
from types import MappingProxyType
from typing import Any

_PUBLIC = MappingProxyType(
    {
        "EmbedReport": "clearbench.engines.events",
        "Encoder": "clearbench.encoders.encoder",
        "FeatureStore": "clearbench.store.feature_store",
        "Result": "clearbench.board.results",
        "apply": "clearbench.sharing",
        "embed": "clearbench.pipeline",
        "evaluate": "clearbench.pipeline",
        "leaderboard": "clearbench.board.tables",
        "pack": "clearbench.sharing",
        "reproduce": "clearbench.sharing",
        "load_encoder": "clearbench.encoders.encoder",
        "register_encoder": "clearbench.encoders.registry",
    }
)

__all__ = [*_PUBLIC]


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'clearbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
