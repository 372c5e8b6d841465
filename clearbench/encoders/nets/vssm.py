"""VSSM, the Vision State Space Model of VMamba (arXiv 2401.10166): four scans of each map."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from clearbench.encoders.nets.scan import selective_scan
from clearbench.encoders.nets.sizes import VssmSizes

DIRECTIONS = 4  # along rows, along columns, and both in reverse
EXPAND = 2  # inner channels per channel
STEP_RANGE = (0.001, 0.1)  # Δ at the start of training, as in Mamba


class ChannelsFirst(nn.Module):
    """A convolution of maps with channels last: [b, h, w, c] → [b, h', w', c']."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve."""
        return torch.as_tensor(self.convolution(maps.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)


class SS2D(nn.Module):
    """Gate, depth-wise convolution, and a selective scan in four directions: [b, h, w, c]."""

    def __init__(self, dim: int, states: int) -> None:
        super().__init__()
        inner, rank = EXPAND * dim, math.ceil(dim / 16)
        self.states, self.rank = states, rank
        self.in_proj = nn.Linear(dim, 2 * inner, bias=False)
        self.conv2d = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.x_proj_weight = nn.Parameter(torch.empty(DIRECTIONS, rank + 2 * states, inner))
        self.dt_projs_weight = nn.Parameter(torch.empty(DIRECTIONS, inner, rank))
        self.dt_projs_bias = nn.Parameter(torch.empty(DIRECTIONS, inner))
        self.A_logs = nn.Parameter(torch.empty(DIRECTIONS * inner, states))
        self.Ds = nn.Parameter(torch.ones(DIRECTIONS * inner))
        self.out_norm = nn.LayerNorm(inner)
        self.out_proj = nn.Linear(inner, dim, bias=False)
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        """Set Mamba's first weights: A = −(1 … states), Δ log-uniform (arXiv 2312.00752, §3.6)."""
        bound = self.x_proj_weight.shape[-1] ** -0.5
        self.x_proj_weight.uniform_(-bound, bound)
        self.dt_projs_weight.uniform_(-(self.rank**-0.5), self.rank**-0.5)
        low, high = map(math.log, STEP_RANGE)
        step = torch.empty_like(self.dt_projs_bias).uniform_(low, high).exp()
        self.dt_projs_bias.copy_(step + torch.log(-torch.expm1(-step)))  # softplus, inverted
        self.A_logs.copy_(torch.arange(1, self.states + 1).log().expand_as(self.A_logs))

    def forward(self, maps: Tensor) -> Tensor:
        """Mix a map along its four scans."""
        content, gate = self.in_proj(maps).chunk(2, dim=-1)
        content = self.conv2d(content.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        mixed = self.out_norm(self._scanned(functional.silu(content)))
        return torch.as_tensor(self.out_proj(mixed * functional.silu(gate)))

    def _scanned(self, content: Tensor) -> Tensor:
        """Scan [b, h, w, c] in four directions, and add the results."""
        batch, height, width, inner = content.shape
        rows, columns = content.flatten(1, 2), content.transpose(1, 2).flatten(1, 2)
        lines = torch.stack([rows, columns, rows.flip(1), columns.flip(1)])
        found = torch.bmm(lines.flatten(1, 2), self.x_proj_weight.transpose(1, 2))
        parts = found.split([self.rank, self.states, self.states], dim=2)
        steps, b, c = (part.contiguous() for part in parts)
        scanned = selective_scan(
            lines,
            torch.bmm(steps, self.dt_projs_weight.transpose(1, 2)).view(lines.shape),
            -self.A_logs.float().exp().view(DIRECTIONS, inner, -1),
            b.unflatten(1, (batch, -1)),
            c.unflatten(1, (batch, -1)),
            self.Ds.view(DIRECTIONS, inner),
            self.dt_projs_bias,
        )
        along_rows, along_columns = scanned[:2] + scanned[2:].flip(2)
        turned = along_columns.unflatten(1, (width, height)).transpose(1, 2)
        return torch.as_tensor(along_rows.unflatten(1, (height, width)) + turned)


class Mlp(nn.Module):
    """Two linear layers; the hidden layer is four times as wide."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, maps: Tensor) -> Tensor:
        """Mix channels."""
        return torch.as_tensor(self.fc2(functional.gelu(self.fc1(maps))))


class Block(nn.Module):
    """One VSS block: scan and MLP, each with a norm before and a residual."""

    def __init__(self, dim: int, states: int) -> None:
        super().__init__()
        self.norm, self.op = nn.LayerNorm(dim), SS2D(dim, states)
        self.norm2, self.mlp = nn.LayerNorm(dim), Mlp(dim)

    def forward(self, maps: Tensor) -> Tensor:
        """Mix positions, then channels."""
        maps = maps + self.op(self.norm(maps))
        return torch.as_tensor(maps + self.mlp(self.norm2(maps)))


class Vssm(nn.Module):
    """Images [b, 3, h, w] → features [b, dims[-1]]: a norm, then the mean of the last map."""

    def __init__(self, sizes: VssmSizes) -> None:
        super().__init__()
        dims = sizes.dims
        self.patch_embed = nn.Conv2d(3, dims[0], 4, stride=4)
        self.patch_norm = nn.LayerNorm(dims[0])
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(dim, sizes.ssm_d_state) for _ in range(depth)))
            for depth, dim in zip(sizes.depths, dims, strict=True)
        )
        self.downsample = nn.ModuleList(
            nn.Sequential(
                ChannelsFirst(nn.Conv2d(dim, next_dim, 2, stride=2)), nn.LayerNorm(next_dim)
            )
            for dim, next_dim in pairwise(dims)
        )
        self.norm = nn.LayerNorm(dims[-1])

    def forward(self, images: Tensor) -> Tensor:
        """Embed a batch."""
        maps = self.patch_norm(self.patch_embed(images).permute(0, 2, 3, 1))
        for number, stage in enumerate(self.stages):
            maps = self.downsample[number - 1](maps) if number else maps
            maps = stage(maps)
        return torch.as_tensor(self.norm(maps)).mean(dim=(1, 2))
