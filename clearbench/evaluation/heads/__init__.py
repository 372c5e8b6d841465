"""Heads: bags of slice features → one prediction per unit.

Networks are imported at first use, so that listing heads imports no torch.
"""

from typing import TYPE_CHECKING, Any

from clearbench.lazy import load_public

if TYPE_CHECKING:
    from clearbench.evaluation.heads.mil import MILClassifier
    from clearbench.evaluation.heads.nets.attention import AttentionMIL, GatedAttentionMIL
    from clearbench.evaluation.heads.nets.pooling import MaxPoolMIL
    from clearbench.evaluation.heads.nets.transformer import TransformerMIL

_PUBLIC = {
    "AttentionMIL": "clearbench.evaluation.heads.nets.attention",
    "GatedAttentionMIL": "clearbench.evaluation.heads.nets.attention",
    "MILClassifier": "clearbench.evaluation.heads.mil",
    "MaxPoolMIL": "clearbench.evaluation.heads.nets.pooling",
    "TransformerMIL": "clearbench.evaluation.heads.nets.transformer",
}

__all__ = [
    "AttentionMIL",
    "GatedAttentionMIL",
    "MILClassifier",
    "MaxPoolMIL",
    "TransformerMIL",
]


if not TYPE_CHECKING:  # a type checker sees the imports above, and no other name

    def __getattr__(name: str) -> Any:
        """Load a public name from its module."""
        return load_public(__name__, _PUBLIC, name)
