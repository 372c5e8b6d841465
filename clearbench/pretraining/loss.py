"""The lesion-enhanced contrastive loss of LeCL, in one direction."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Placement = Literal["inside", "outside"]


def lecl_loss(  # noqa: PLR0913  each is an option of its own
    query: Tensor,
    key: Tensor,
    lesion: Tensor,
    *,
    temperature: float,
    weight: float,
    placement: Placement = "inside",
    first: int = 0,
    hidden: Tensor | None = None,
) -> Tensor:
    """Return the mean loss of queries against keys; lesion slices count twice as negatives.

    query  [n, dim], key [m, dim]: query i belongs to key `first` + i, because keys of other
           processes come before and after; both are normalised here
    lesion [m]: whether the slice of that key has a lesion
    hidden [n, m]: pairs that are not negatives, e.g. slices of one patient; never the own key
    With s = cos / temperature and w = `weight`, over the lesion keys j of other slices:
    −s_ii + log(Σ_j exp s_ij + Σ_lesion exp(w · s_ij)), times 2 · temperature. With `placement`
    "outside", w · exp(s_ij) replaces exp(w · s_ij). A weight of 0 is plain MoCo v3.
    Computes in float32 (float64 if `query` is float64), also with autocast.
    Source: CLEAR (arXiv 2411.16803) and MoCo v3 (arXiv 2104.02057, algorithm 1).
    """
    exact = torch.float64 if query.dtype == torch.float64 else torch.float32
    with torch.autocast(query.device.type, enabled=False):
        ours, theirs = (functional.normalize(part.to(exact), dim=1) for part in (query, key))
        logits = ours @ theirs.T / temperature
    rows = torch.arange(len(query), device=query.device)
    own = torch.zeros_like(logits, dtype=torch.bool)
    own[rows, rows + first] = True
    if hidden is not None:
        logits = logits.masked_fill(hidden & ~own, -torch.inf)
    # both sums are terms of one logsumexp, which doesn't overflow
    terms = [logits]
    if weight:
        counted = lesion.bool()[None, :] & ~own & logits.isfinite()
        again = logits * weight if placement == "inside" else logits + torch.tensor(weight).log()
        terms.append(again.masked_fill(~counted, -torch.inf))
    total = torch.cat(terms, dim=1).logsumexp(dim=1)
    return (total - logits[own]).mean() * 2 * temperature
