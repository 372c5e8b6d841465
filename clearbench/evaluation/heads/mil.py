"""The head that trains a network over bags; one class serves every network of the registry."""

from itertools import product
from typing import Self

import numpy as np
import torch

from clearbench.errors import UnknownName
from clearbench.evaluation.bags.bagset import Moments
from clearbench.evaluation.head_registry import find_head, head_names, load_class
from clearbench.evaluation.heads.estimator import (
    Arrays,
    BagEstimator,
    Bags,
    HeadRequest,
    Predictions,
    as_set,
)
from clearbench.evaluation.heads.presets import Preset, find_preset
from clearbench.evaluation.heads.targets import output_type, probabilities
from clearbench.evaluation.heads.training import (
    Hyperparameters,
    LabelledBags,
    MakeNet,
    TrainedNet,
    loss_of,
    run_net,
    train_net,
    weights_of,
)

NET = "net."  # on disk: the prefix of the network's arrays


class MILClassifier(BagEstimator):
    """A network over bags; `net` is the name of a head that has a network in the registry.

    `preset` is a preset or its name: "default", or "clear", the settings of the CLEAR paper.

    The learning rate and weight decay with the least loss on the tuning bags are taken. With fewer
    bags than the preset's `early_stop_from`, a new network is then trained on all bags together.
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

    def fit_labelled(self, train: LabelledBags, tune: LabelledBags) -> Self:
        """Fit to `train`, choose settings on `tune`; see the class."""
        make, preset = find_net(self.net), find_preset(self.preset)
        stopping = len(train.bags) + len(tune.bags) >= preset.early_stop_from
        weights = weights_of(train.targets, train.bags.device)
        best, self.outputs_ = float("inf"), train.targets.outputs
        for pair in product(preset.learning_rates, preset.weight_decays):
            tried = Hyperparameters(*pair)
            net = train_net(make, train, tune if stopping else None, preset, tried, self.seed)
            logits = (
                run_net(net, tune.bags).logits
                if len(tune.bags)
                else weights.new_zeros((0, self.outputs_))
            )
            loss = loss_of(logits, tune, weights)
            # A loss of NaN is never the least, but some network must be kept.
            if loss < best or not hasattr(self, "trained_"):
                best, self.trained_, self.settings_ = loss, net, tried
                self.tuning_ = probabilities(logits, output_type(self.target))
        if not stopping:
            self.trained_ = train_net(
                make, train.joined(tune), None, preset, self.settings_, self.seed
            )
        return self

    def state_dict(self) -> Arrays:
        """Return the network's arrays, the moments that standardise its input, and its settings."""
        net = {f"{NET}{k}": v.cpu().numpy() for k, v in self.trained_.net.state_dict().items()}
        return net | {
            "mean": self.trained_.moments.mean,
            "spread": self.trained_.moments.spread,
            "outputs": np.array([self.outputs_]),
            "settings": np.array(self.settings_),
        }

    def load_state_dict(self, arrays: Arrays) -> Self:
        """Make a new network and load its arrays."""
        moments, [self.outputs_] = Moments(arrays["mean"], arrays["spread"]), arrays["outputs"]
        net = find_net(self.net)(len(moments.mean), int(self.outputs_))
        names = [name for name in arrays if name.startswith(NET)]
        net.load_state_dict({name.removeprefix(NET): torch.tensor(arrays[name]) for name in names})
        self.settings_ = Hyperparameters(*map(float, arrays["settings"]))
        self.trained_ = TrainedNet(net.eval(), moments)
        return self

    def predictions(self, bags: Bags) -> Predictions:
        """Return scores [bags, outputs] of whole bags, and the importance of their instances."""
        found = run_net(self.trained_, as_set(bags))
        return Predictions(probabilities(found.logits, output_type(self.target)), found.attention)

    @property
    def settings(self) -> dict[str, float | int | str]:
        """Return the learning rate and weight decay that were chosen."""
        return dict(self.settings_._asdict())


def find_net(name: str) -> MakeNet:
    """Return the network class of a head; raises UnknownName for a head without a network."""
    if name not in head_names() or not find_head(name).network:
        names = [head for head in head_names() if find_head(head).network]
        raise UnknownName.among("head network", name, names, f" ({', '.join(names)})")
    network: MakeNet = load_class(find_head(name).network)
    return network
