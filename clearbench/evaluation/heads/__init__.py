"""Heads: bags of slice features → one prediction per unit."""

from clearbench.evaluation.heads.attention import AttentionMIL

__all__ = ["AttentionMIL"]
