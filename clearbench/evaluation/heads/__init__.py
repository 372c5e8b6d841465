"""Heads: bags of slice features → one prediction per unit."""

from clearbench.evaluation.heads.attention import AttentionMIL, GatedAttentionMIL
from clearbench.evaluation.heads.pooling import MaxPoolMIL
from clearbench.evaluation.heads.transformer import TransformerMIL

__all__ = ["AttentionMIL", "GatedAttentionMIL", "MaxPoolMIL", "TransformerMIL"]
