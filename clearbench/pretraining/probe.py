"""Probe of a training network: spread of a sample's features, and k-NN over other patients."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from clearbench.datasets.lesions.slice_sets import SliceSet
from clearbench.errors import UnreadableScan
from clearbench.pretraining.data import read_slice
from clearbench.pretraining.views import resized

MOST_SLICES = 400
NEIGHBOURS = 5
COLLAPSED = 0.01  # networks start at 0.05 and above
FEWEST = 5  # slices per class, from at least two patients; smaller classes are left out


@dataclass(frozen=True)
class Probe:
    """A sample of slices [n, 3, size, size], with their classes and patients [n]."""

    images: Tensor
    label: Tensor
    patient: Tensor


@dataclass(frozen=True)
class ProbeFacts:
    """Results of a probe; see EpochFacts."""

    spread: float
    knn: float | None
    chance: float | None


def make_probe(
    slices: SliceSet,
    window_hu: tuple[float, float],
    size_px: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    seed: int,
) -> Probe:
    """Choose the sample at random: labelled slices, else slices with and without lesions.

    Unreadable slices are left out; training reports them. Raises UnreadableScan if all are.
    """
    rng = np.random.default_rng([seed, 5])
    classes = slices.label if len(slices.labels) > 1 else slices.lesion.astype(np.int32)
    known = np.flatnonzero(classes >= 0)
    chosen = np.sort(rng.permutation(known)[:MOST_SLICES])
    low, high = window_hu
    planes, readable, reason = [], [], ""
    for index in chosen:
        try:
            hu = read_slice(slices, int(index)).astype(np.float32)
        except UnreadableScan as error:
            reason = f"{slices.files[index]}: {error}"
            continue
        planes.append(resized(np.clip((hu - low) / (high - low), 0, 1), size_px))
        readable.append(index)
    if not planes:
        raise UnreadableScan(f"{slices.root}: none of {len(chosen)} slices can be read ({reason})")
    chosen = np.array(readable)
    grey = torch.from_numpy(np.stack(planes))[:, None].expand(-1, 3, -1, -1)
    images = (grey - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    label = torch.from_numpy(classes[chosen].astype(np.int64))
    return Probe(images, label, torch.from_numpy(slices.patient[chosen].astype(np.int64)))


def run_probe(
    probe: Probe, network: nn.Module, device: torch.device, batch_size: int
) -> ProbeFacts:
    """Embed the sample in eval mode and score its features; then restore the network's mode."""
    training = network.training
    network.eval()
    with torch.inference_mode():
        parts = [
            network(probe.images[start : start + batch_size].to(device)).float().cpu()
            for start in range(0, len(probe.images), batch_size)
        ]
    network.train(training)
    features = functional.normalize(torch.cat(parts), dim=1)
    # unit vectors in all directions have a standard deviation of 1 / √dim
    spread = features.std(dim=0).mean().item() * features.shape[1] ** 0.5
    knn, chance = _vote(features, probe)
    return ProbeFacts(spread, knn, chance)


def _vote(features: Tensor, probe: Probe) -> tuple[float | None, float | None]:
    """Return the balanced accuracy of k-NN over other patients' slices, and the chance level."""
    classes = [
        label
        for label in probe.label.unique().tolist()
        if (probe.label == label).sum() >= FEWEST
        and len(probe.patient[probe.label == label].unique()) > 1
    ]
    if len(classes) < 2:
        return None, None
    similarity = features @ features.T
    similarity[probe.patient[:, None] == probe.patient[None, :]] = -torch.inf
    near = similarity.topk(min(NEIGHBOURS, len(features) - 1), dim=1)
    # with few other patients, a patient's own slices are among the nearest
    counts = near.values.isfinite()
    labels = probe.label[near.indices]
    votes = torch.stack([((labels == label) & counts).sum(dim=1) for label in classes], dim=1)
    predicted = torch.tensor(classes)[votes.argmax(dim=1)]
    recalls = [
        (predicted[probe.label == label] == label).float().mean().item() for label in classes
    ]
    return float(np.mean(recalls)), 1 / len(classes)
