"""Train one head's network: a new one per call, stopped by bags that it isn't trained on."""

import copy
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clearbench.evaluation.bags.bagset import BagSet, Moments
from clearbench.evaluation.heads.nets.layers import Dropout, StandardisedLinear
from clearbench.evaluation.heads.presets import Preset
from clearbench.evaluation.heads.targets import Targets, class_weights, head_loss

AT_ONCE = 16  # whole bags in one forward pass of scoring

MakeNet = Callable[[int, int], nn.Module]  # (dim, outputs) → bags, mask → HeadOutput
_INITIALISING = threading.Lock()  # initial weights use torch's one global generator


class LabelledBags(NamedTuple):
    """Bags and their targets."""

    bags: BagSet
    targets: Targets

    def joined(self, other: "LabelledBags") -> "LabelledBags":
        """Join two sets of bags."""
        values = np.concatenate([self.targets.values, other.targets.values])
        targets = Targets(values, self.targets.output_type, self.targets.outputs)
        return LabelledBags(self.bags.joined(other.bags), targets)


@dataclass(frozen=True)
class TrainedNet:
    """A network, and the moments with which its first layer standardises."""

    net: nn.Module
    moments: Moments


@dataclass(frozen=True)
class BagOutputs:
    """A network's outputs for some bags: logits [bags, outputs], importance of each instance."""

    logits: Tensor
    attention: tuple[NDArray[np.float32], ...]


def train_net(
    make: MakeNet,
    train: LabelledBags,
    watch: LabelledBags | None,
    preset: Preset,
    seed: int,
) -> TrainedNet:
    """Train a new network for the preset's steps, or to its best epoch on the bags to `watch`.

    Only a preset that stops early watches; without bags to watch it trains for all its epochs.

    If the preset standardises, the first layer uses the moments of `train` alone. The same seed
    gives the same network, whatever else trains at the same time.
    """
    bags, targets = train
    moments = bags.moments() if preset.standardise else bags.unmoved()
    trained = TrainedNet(_new_net(make, bags, targets.outputs, seed), moments)
    optimiser = torch.optim.AdamW(
        trained.net.parameters(),
        lr=preset.learning_rate,
        weight_decay=preset.weight_decay,
        fused=True,  # else the loop over arrays takes as long as a small head's matrix products
    )
    weights = weights_of(targets, bags.device)
    loop = _TrainingLoop(trained, optimiser, train, weights, preset, np.random.default_rng(seed))
    if not preset.stops_early:
        loop.run(preset.steps_for(len(bags)))
    elif watch is None or not len(watch.bags):
        loop.run(preset.epochs * loop.steps_per_epoch)
    else:
        _train_watched(loop, watch)
    trained.net.eval()
    return trained


def _new_net(make: MakeNet, bags: BagSet, outputs: int, seed: int) -> nn.Module:
    """Make a network whose weights and dropout depend on the seed alone."""
    # Weights are made on the CPU and moved then, so they are the same for every device.
    # devices=[]: no generator of a GPU is used, so none is saved.
    with _INITIALISING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = make(bags.dim, outputs)
    net = net.to(bags.device)
    rng = torch.Generator(bags.device).manual_seed(seed)
    for layer in net.modules():
        if isinstance(layer, Dropout):
            layer.generator = rng
    return net


def _standardise(trained: TrainedNet, bags: BagSet) -> None:
    """Set the first layer to standardise these bags, which are kept centred and scaled."""
    affine = bags.affine(trained.moments)
    for layer in trained.net.modules():
        if isinstance(layer, StandardisedLinear):
            layer.standardise(affine)


def weights_of(targets: Targets, device: torch.device) -> Tensor:
    """Return class weights on the device."""
    return torch.tensor(class_weights(targets), dtype=torch.float32, device=device)


def truth_of(targets: Targets, device: torch.device) -> Tensor:
    """Return target values on the device."""
    return torch.tensor(targets.values, dtype=torch.float32, device=device)


@dataclass(frozen=True)
class _TrainingLoop:
    """A network in training: its bags, class weights and random numbers."""

    trained: TrainedNet
    optimiser: torch.optim.Optimizer
    train: LabelledBags
    weights: Tensor
    preset: Preset
    rng: np.random.Generator

    @property
    def steps_per_epoch(self) -> int:
        """Return how many batches have every bag once."""
        return -(-len(self.train.bags) // self.preset.batch_size)

    def run(self, steps: int) -> None:
        """Update the network `steps` times."""
        bags, targets = self.train
        truth, net = truth_of(targets, bags.device), self.trained.net
        # At each call, because scoring other bags in between sets the layer for them.
        _standardise(self.trained, bags)
        net.train()
        for batch in self._batches(steps):
            padded = bags.batch(batch, self.preset.most_instances, self.rng)
            with autocast(bags):
                logits = net(padded.features, padded.mask).logits
            self.optimiser.zero_grad(set_to_none=True)
            loss = head_loss(logits.float(), truth[batch], targets.output_type, self.weights)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()

    def _batches(self, steps: int) -> Iterator[list[int]]:
        """Yield `steps` batches of shuffled bags; every pass has each bag once."""
        count = len(self.train.bags)
        size = min(self.preset.batch_size, count)
        waiting: list[int] = []
        for _ in range(steps):
            # What is left of one pass begins the next batch, so all batches have one size.
            if len(waiting) < size:
                waiting += self.rng.permutation(count).tolist()
            yield waiting[:size]
            waiting = waiting[size:]


def autocast(bags: BagSet) -> torch.autocast:
    """Return the context in which instances kept in bfloat16 are multiplied in bfloat16."""
    return torch.autocast(
        bags.device.type, dtype=torch.bfloat16, enabled=bags.shared.dtype == torch.bfloat16
    )


def _train_watched(loop: _TrainingLoop, watch: LabelledBags) -> None:
    """Train epoch by epoch; keep a copy of the weights with the least loss on the watched bags."""
    net, preset = loop.trained.net, loop.preset
    # deepcopy: a state_dict shares its memory with the network, which trains on.
    best, best_loss, since = copy.deepcopy(net.state_dict()), float("inf"), 0
    for _ in range(preset.epochs):
        loop.run(loop.steps_per_epoch)
        loss = loss_on(loop.trained, watch, loop.weights)
        since += 1
        if loss < best_loss:
            best, best_loss, since = copy.deepcopy(net.state_dict()), loss, 0
        if since >= preset.patience:
            break
    net.load_state_dict(best)


def loss_on(trained: TrainedNet, bags: LabelledBags, weights: Tensor) -> float:
    """Return the loss on some bags, the network in eval mode."""
    truth = truth_of(bags.targets, bags.bags.device)
    logits = run_net(trained, bags.bags).logits
    return float(head_loss(logits, truth, bags.targets.output_type, weights))


def run_net(trained: TrainedNet, bags: BagSet) -> BagOutputs:
    """Run whole bags through a network, a few of similar length at a time (less padding)."""
    net = trained.net.eval()
    _standardise(trained, bags)
    order = np.argsort(bags.lengths, kind="stable")
    logits: list[Tensor] = []
    attention: list[NDArray[np.float32]] = []
    with torch.inference_mode(), autocast(bags):
        for start in range(0, len(order), AT_ONCE):
            padded = bags.batch(order[start : start + AT_ONCE].tolist())
            output = net(padded.features, padded.mask)
            logits.append(output.logits.float())
            attention += _unpadded(output.attention, padded.mask)
    # argsort of a permutation is its inverse.
    back = np.argsort(order)
    return BagOutputs(torch.cat(logits)[back], tuple(attention[row] for row in back))


def _unpadded(attention: Tensor, mask: Tensor) -> list[NDArray[np.float32]]:
    """Return each bag's importances without padding."""
    lengths = mask.sum(dim=1).tolist()
    rows = attention.float().cpu().numpy()
    return [row[:length] for row, length in zip(rows, lengths, strict=True)]
