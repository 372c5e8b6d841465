"""The gated CNN of LeCL: timm's MambaOut (arXiv 2405.07992)."""

from clearbench.encoders import torchvision_patch  # noqa: F401  before timm, which imports torchvision

# isort: split
import torch
from timm.models.mambaout import MambaOut
from torch import Tensor, nn

from clearbench.encoders.nets.sizes import GatedCnnSizes


class GatedCnn(nn.Module):
    """Images [b, 3, h, w] → features [b, dims[-1]]: the mean of the last map, then a norm."""

    def __init__(self, sizes: GatedCnnSizes) -> None:
        super().__init__()
        self.trunk = MambaOut(num_classes=0, global_pool="", depths=sizes.depths, dims=sizes.dims)
        self.trunk.head = nn.Identity()
        # MambaOut's eps; torch's own is 1e-5
        self.norm = nn.LayerNorm(sizes.dims[-1], eps=1e-6)

    def forward(self, images: Tensor) -> Tensor:
        """Embed a batch."""
        maps = self.trunk.forward_features(images)  # [b, h, w, c]
        return torch.as_tensor(self.norm(maps.mean(dim=(1, 2))))
