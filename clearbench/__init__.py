"""clearbench: a feature store and benchmark for radiology slice encoders.

Public names are loaded when they are first used, so that `import clearbench` is fast.
"""

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from clearbench.lazy import load_public

if TYPE_CHECKING:
    from clearbench.board.tables import leaderboard
    from clearbench.encoders.encoder import Encoder, load_encoder
    from clearbench.encoders.registry import register_encoder
    from clearbench.engines.events import EmbedReport
    from clearbench.evaluation.protocol.loaded_task import LoadedTask, load_task
    from clearbench.pipeline import embed, evaluate
    from clearbench.results.record import Result
    from clearbench.sharing import apply, pack, reproduce
    from clearbench.store.feature_store import FeatureStore

_PUBLIC = MappingProxyType(
    {
        "EmbedReport": "clearbench.engines.events",
        "Encoder": "clearbench.encoders.encoder",
        "FeatureStore": "clearbench.store.feature_store",
        "LoadedTask": "clearbench.evaluation.protocol.loaded_task",
        "Result": "clearbench.results.record",
        "apply": "clearbench.sharing",
        "embed": "clearbench.pipeline",
        "evaluate": "clearbench.pipeline",
        "leaderboard": "clearbench.board.tables",
        "load_encoder": "clearbench.encoders.encoder",
        "load_task": "clearbench.evaluation.protocol.loaded_task",
        "pack": "clearbench.sharing",
        "register_encoder": "clearbench.encoders.registry",
        "reproduce": "clearbench.sharing",
    }
)

__all__ = [
    "EmbedReport",
    "Encoder",
    "FeatureStore",
    "LoadedTask",
    "Result",
    "apply",
    "embed",
    "evaluate",
    "leaderboard",
    "load_encoder",
    "load_task",
    "pack",
    "register_encoder",
    "reproduce",
]


if not TYPE_CHECKING:  # a type checker sees the imports above, and no other name

    def __getattr__(name: str) -> Any:
        """Load a public name from its module."""
        return load_public(__name__, _PUBLIC, name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
