"""One or many training processes: rank, shared keys, and batch norm over all of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Place:
    """The rank of this process among those of `torchrun`; 0 of 1 without it."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports events for all."""
        return self.rank == 0


@contextmanager
def joined(device: torch.device) -> Iterator[Place]:
    """Join the processes of torchrun (NCCL on GPUs, else gloo), and leave them at the end."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Place()
        return
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "cuda":
        torch.cuda.set_device(local_rank)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Place(dist.get_rank(), world, local_rank)
    finally:
        dist.destroy_process_group()


def gathered(values: Tensor) -> Tensor:
    """Return the values of all processes, in the order of their ranks; without a gradient."""
    if not dist.is_initialized():
        return values
    parts = [torch.empty_like(values) for _ in range(dist.get_world_size())]
    # all_gather needs contiguous tensors
    dist.all_gather(parts, values.contiguous())
    return torch.cat(parts)


def barrier() -> None:
    """Wait for the other processes."""
    if dist.is_initialized():
        dist.barrier()


def with_global_norms(module: nn.Module, device: torch.device) -> nn.Module:
    """Make every batch norm use the batch of all processes: torch's on GPUs, ours on CPUs."""
    if not dist.is_initialized():
        return module
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return converted
    for child in module.modules():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            vectors = isinstance(child, nn.BatchNorm1d)
            # another class on the same object keeps its weights, buffers and name
            child.__class__ = GlobalBatchNorm1d if vectors else GlobalBatchNorm2d
    return module


class _Global(nn.modules.batchnorm._BatchNorm):
    """Batch norm with the moments of all processes' slices, because torch's needs a GPU."""

    def forward(self, values: Tensor) -> Tensor:
        """Normalise [b, c, …] by channel."""
        if not self.training:
            return torch.as_tensor(super().forward(values))
        exact = values.float()  # sums of half floats lose too many digits
        dims = [0, *range(2, values.ndim)]
        count = values.numel() // values.shape[1] * dist.get_world_size()
        mean = _summed(exact.sum(dims)) / count
        shape = [1, -1, *([1] * (values.ndim - 2))]
        # two passes, because E[x²] - E[x]² loses digits where the mean is large
        centred = exact - mean.view(shape)
        variance = _summed(centred.square().sum(dims)) / count
        # as torch does: the running variance is unbiased (n - 1), the one used here isn't
        self._update_running(mean.detach(), variance.detach(), count)
        normed = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            normed = normed * self.weight.view(shape) + self.bias.view(shape)
        return normed.to(values.dtype)

    @torch.no_grad()
    def _update_running(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Update the running moments."""
        moments = (self.running_mean, self.running_var)
        for running, value in zip(
            moments, (mean, variance * count / max(count - 1, 1)), strict=True
        ):
            if running is not None:
                running.lerp_(value, self.momentum or 0.0)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


class _Summed(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone()
        dist.all_reduce(total)
        return total


def _summed(values: Tensor) -> Tensor:
    """Add up over all processes, with a gradient."""
    return torch.as_tensor(_Summed.apply(values))


class GlobalBatchNorm1d(_Global, nn.BatchNorm1d):
    """Batch norm of vectors over all processes."""


class GlobalBatchNorm2d(_Global, nn.BatchNorm2d):
    """Batch norm of maps over all processes."""
