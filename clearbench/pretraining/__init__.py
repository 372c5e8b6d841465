"""LeCL, lesion-enhanced contrastive learning: training of encoders for CT slices.

Public names are loaded at first use, so that importing the settings doesn't import torch.
"""

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from clearbench.lazy import load_public

if TYPE_CHECKING:
    from clearbench.pretraining.loss import lecl_loss
    from clearbench.pretraining.run import pretrain
    from clearbench.pretraining.settings import PretrainSettings
    from clearbench.pretraining.stacks import DataRequest

_PUBLIC = MappingProxyType(
    {
        "DataRequest": "clearbench.pretraining.stacks",
        "PretrainSettings": "clearbench.pretraining.settings",
        "lecl_loss": "clearbench.pretraining.loss",
        "pretrain": "clearbench.pretraining.run",
    }
)

__all__ = ["DataRequest", "PretrainSettings", "lecl_loss", "pretrain"]


if not TYPE_CHECKING:  # a type checker sees the imports above, and no other name

    def __getattr__(name: str) -> Any:
        """Load a public name from its module."""
        return load_public(__name__, _PUBLIC, name)
