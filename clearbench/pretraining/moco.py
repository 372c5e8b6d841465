"""MoCo v3 (arXiv 2104.02057) with the lesion-enhanced loss: two encoders and their heads."""

import copy
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from clearbench.pretraining.distributed import gathered
from clearbench.pretraining.loss import Placement, lecl_loss


@dataclass(frozen=True)
class LossFacts:
    """Facts of the loss; with `other_patients`, slices of one patient are not negatives."""

    temperature: float
    weight: float
    placement: Placement
    other_patients: bool


class MoCo(nn.Module):
    """A network and its momentum copy, both with a projector; the network has a predictor too.

    Both views and the momentum coefficient → the loss of this process's slices.
    """

    def __init__(
        self, network: nn.Module, dim: int, hidden: int, out: int, loss: LossFacts
    ) -> None:
        super().__init__()
        self.loss = loss
        self.base = nn.Sequential(network, mlp([dim, hidden, hidden, out]))
        self.predictor = mlp([out, hidden, out])
        self.momentum = copy.deepcopy(self.base).requires_grad_(False)

    @property
    def network(self) -> nn.Module:
        """The network that is trained."""
        return self.base[0]

    def forward(
        self, views: Tensor, lesion: Tensor, patient: Tensor, coefficient: float, rank: int
    ) -> Tensor:
        """Return the symmetric loss of views [2, b, 3, h, w]."""
        queries = [self.predictor(self.base(view)) for view in views]
        with torch.no_grad():
            # before the keys, as in MoCo v3's algorithm
            self._update_momentum(coefficient)
            keys = [gathered(self.momentum(view).float()) for view in views]
        lesions, patients = gathered(lesion), gathered(patient)
        same = patient[:, None] == patients[None, :] if self.loss.other_patients else None
        return torch.stack(
            [
                lecl_loss(
                    query.float(),
                    key,
                    lesions,
                    temperature=self.loss.temperature,
                    weight=self.loss.weight,
                    placement=self.loss.placement,
                    first=rank * len(query),
                    hidden=same,
                )
                # each view's query is compared with the other view's key
                for query, key in zip(queries, reversed(keys), strict=True)
            ]
        ).sum()

    def _update_momentum(self, coefficient: float) -> None:
        """Move the momentum encoder towards the base encoder; buffers are not copied."""
        for slow, fast in zip(self.momentum.parameters(), self.base.parameters(), strict=True):
            slow.lerp_(fast, 1.0 - coefficient)


def mlp(widths: list[int]) -> nn.Sequential:
    """Return linear layers with batch norm and ReLU; the last norm has no weights, and no ReLU."""
    layers: list[nn.Module] = []
    last = len(widths) - 2
    for number, (before, after) in enumerate(pairwise(widths)):
        # the norm that follows takes a bias away again
        layers.append(nn.Linear(before, after, bias=False))
        if number < last:
            layers += [nn.BatchNorm1d(after), nn.ReLU(inplace=True)]
        else:
            layers.append(nn.BatchNorm1d(after, affine=False))
    return nn.Sequential(*layers)
