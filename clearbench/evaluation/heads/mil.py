"""The head that trains networks over bags; one class serves every network of the registry."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Self

import numpy as np
import torch
from torch import Tensor

from clearbench.arrays import Floats
from clearbench.errors import UnknownName
from clearbench.evaluation.bags.bagset import BagSet, Moments
from clearbench.evaluation.head_registry import find_head, head_names, load_class
from clearbench.evaluation.heads.calibrated import CalibratedHead, Margins
from clearbench.evaluation.heads.estimator import Arrays, HeadRequest
from clearbench.evaluation.heads.parallel import choose_parallelism, run_all
from clearbench.evaluation.heads.presets import Preset, find_preset
from clearbench.evaluation.heads.training import (
    LabelledBags,
    MakeNet,
    TrainedNet,
    run_net,
    train_net,
)

NET = "net"  # on disk: the prefix of a network's arrays
MOST = 1000  # networks, and outputs of each
APART = 10**9  # between the seeds of a head's networks; seeds of heads are far smaller


class MILClassifier(CalibratedHead):
    """Networks over bags, averaged; `net` is the name of a head that has a network in the registry.

    A head is the mean of the logits of the preset's number of networks, which differ in their seed.
    They are trained on training and tuning bags together; one more network, trained on the training
    bags alone, tells how sure such networks are of bags that they have not seen: the calibration.
    A preset that stops early trains on the training bags alone, and watches the tuning bags.
    `preset` is a preset or its name: "default", or "clear", the settings of the CLEAR paper.
    """

    def __init__(
        self,
        net: str = "abmil",
        target: str = "binary",
        classes: int = 2,
        *,
        preset: Preset | str = "default",
        seed: int = 0,
    ) -> None:
        self.net = net
        self.target = target
        self.classes = classes
        self.preset = preset
        self.seed = seed

    @classmethod
    def from_request(cls, request: HeadRequest) -> Self:
        """Return a new head; its network is the one of the head's name."""
        head, target, classes, preset, seed = request
        return cls(head, target, classes, preset=preset, seed=seed)

    def _learn(self, train: LabelledBags, tune: LabelledBags) -> Floats:
        """Train the networks; see the class."""
        make, preset = find_net(self.net), find_preset(self.preset)
        seeds = [self.seed + APART * number for number in range(preset.networks)]
        self.outputs_ = train.targets.outputs
        if preset.stops_early:
            runs = [partial(train_net, make, train, tune, preset, seed) for seed in seeds]
            self.trained_ = _train_all(runs, train.bags.device)
            return self._mean_logits(self.trained_, tune.bags)
        both = train.joined(tune)
        runs = [partial(train_net, make, both, None, preset, seed) for seed in seeds]
        blind = partial(train_net, make, train, None, preset, self.seed)
        unseen = [blind] if len(tune.bags) else []
        self.trained_ = _train_all([*runs, *unseen], train.bags.device)
        return self._mean_logits([self.trained_.pop() for _ in unseen], tune.bags)

    def _mean_logits(self, trained: Sequence[TrainedNet], bags: BagSet) -> Floats:
        """Return the mean logits of networks [bags, outputs]."""
        if not len(bags):
            return np.zeros((0, self.outputs_))
        return _mean([_exact(run_net(each, bags).logits) for each in trained])

    def _margins(self, bags: BagSet) -> Margins:
        """Return the mean logits of whole bags, and the mean importance of their instances."""
        every = [run_net(trained, bags) for trained in self.trained_]
        logits = [_exact(found.logits) for found in every]
        attention = zip(*(found.attention for found in every), strict=True)
        return Margins(
            _mean(logits), tuple(np.mean(parts, axis=0) for parts in attention), tuple(logits)
        )

    def _arrays(self) -> Arrays:
        """Return the networks' arrays, and the moments that standardise their input."""
        nets = {
            f"{NET}.{number}.{name}": value.cpu().numpy()
            for number, trained in enumerate(self.trained_)
            for name, value in trained.net.state_dict().items()
        }
        # The networks are trained on the same bags, so they have the same moments.
        mean, spread = self.trained_[0].moments
        counts = np.array([len(self.trained_), self.outputs_])
        return nets | {"mean": mean, "spread": spread, "counts": counts}

    def _load(self, arrays: Arrays) -> None:
        """Make new networks and load their arrays."""
        moments = Moments(arrays["mean"], arrays["spread"])
        networks, self.outputs_ = (int(count) for count in arrays["counts"])
        # before networks of these sizes are made
        if not 0 < networks <= MOST or not 0 < self.outputs_ <= MOST:
            raise ValueError(f"{networks} networks of {self.outputs_} outputs")
        self.trained_ = []
        for number in range(networks):
            start = f"{NET}.{number}."
            net = find_net(self.net)(len(moments.mean), self.outputs_)
            own = {name: part for name, part in arrays.items() if name.startswith(start)}
            net.load_state_dict({k.removeprefix(start): torch.tensor(v) for k, v in own.items()})
            self.trained_.append(TrainedNet(net.eval(), moments))


def _train_all(runs: Sequence[Callable[[], TrainedNet]], device: torch.device) -> list[TrainedNet]:
    """Train networks, as many at once as this thread may use cores."""
    return list(run_all(runs, choose_parallelism(len(runs), device)))


def _exact(logits: Tensor) -> Floats:
    """Return logits as float64: in float32 a sure probability would be exactly 1, and tie."""
    # First to the CPU: Apple's GPUs have no float64.
    found: Floats = logits.cpu().double().numpy()
    return found


def _mean(logits: Sequence[Floats]) -> Floats:
    """Return the mean over networks [bags, outputs]."""
    found: Floats = np.mean(logits, axis=0)
    return found


def find_net(name: str) -> MakeNet:
    """Return the network class of a head; raises UnknownName for a head without a network."""
    if name not in head_names() or not find_head(name).network:
        names = [head for head in head_names() if find_head(head).network]
        raise UnknownName.among("head network", name, names, f" ({', '.join(names)})")
    network: MakeNet = load_class(find_head(name).network)
    return network
