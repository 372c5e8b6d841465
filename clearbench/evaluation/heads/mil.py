"""The heads that are networks, as estimators: attention-MIL, gated, max-pool, transformer."""

from itertools import product
from types import MappingProxyType
from typing import Self

import numpy as np
import torch
from torch import nn

from clearbench.errors import UnknownName
from clearbench.evaluation.bagset import Moments
from clearbench.evaluation.heads.attention import AttentionMIL, GatedAttentionMIL
from clearbench.evaluation.heads.estimator import Arrays, BagEstimator, Bags, Judged, as_set
from clearbench.evaluation.heads.pooling import MaxPoolMIL
from clearbench.evaluation.heads.transformer import TransformerMIL
from clearbench.evaluation.presets import PRESETS, Preset
from clearbench.evaluation.targets import kind_of, probabilities
from clearbench.evaluation.training import (
    Lot,
    MakeNet,
    Settings,
    Trained,
    answer,
    loss_of,
    train_net,
    weights_of,
)

NETS: MappingProxyType[str, type[nn.Module]] = MappingProxyType(
    {
        "abmil": AttentionMIL,
        "gated-abmil": GatedAttentionMIL,
        "transformer": TransformerMIL,
        "max-pool": MaxPoolMIL,
    }
)
NET = "net."  # before the names of a network's own arrays


class MILClassifier(BagEstimator):
    """A head that is a network over bags; `net` is abmil, gated-abmil, transformer or max-pool.

    The learning rate and weight decay with the least loss on the tuning bags are taken. Below the
    preset's `early_stop_from` bags the network is then trained anew on all bags together.
    """

    def __init__(
        self,
        net: str = "abmil",
        target: str = "binary",
        classes: int = 2,
        *,
        preset: Preset = PRESETS["default"],
        seed: int = 0,
    ) -> None:
        self.net = net
        self.target = target
        self.classes = classes
        self.preset = preset
        self.seed = seed

    def fit_lots(self, train: Lot, tune: Lot) -> Self:
        """Learn from `train`, choose settings on `tune`; see the class."""
        make = find_net(self.net)
        stopping = len(train.bags) + len(tune.bags) >= self.preset.early_stop_from
        weights = weights_of(train.targets, train.bags.device)
        best, self.outputs_ = float("inf"), train.targets.outputs
        nothing = (0, self.outputs_)
        for pair in product(self.preset.learning_rates, self.preset.weight_decays):
            tried = Settings(*pair)
            net = train_net(make, train, tune if stopping else None, self.preset, tried, self.seed)
            logits = answer(net, tune.bags).logits if len(tune.bags) else weights.new_zeros(nothing)
            loss = loss_of(logits, tune, weights)
            if loss < best or not hasattr(self, "trained_"):
                best, self.trained_, self.settings_ = loss, net, tried
                self.tuning_ = probabilities(logits, kind_of(self.target))
        if not stopping:
            self.trained_ = train_net(
                make, train.joined(tune), None, self.preset, self.settings_, self.seed
            )
        return self

    def learnt(self) -> Arrays:
        """Return the network's arrays, the moments by which it standardises, and its settings."""
        net = {f"{NET}{k}": v.cpu().numpy() for k, v in self.trained_.net.state_dict().items()}
        return net | {
            "mean": self.trained_.moments.mean,
            "spread": self.trained_.moments.spread,
            "outputs": np.array([self.outputs_]),
            "settings": np.array(self.settings_),
        }

    def relearn(self, arrays: Arrays) -> Self:
        """Make the network anew and give it its arrays; see the class's promise."""
        moments, [self.outputs_] = Moments(arrays["mean"], arrays["spread"]), arrays["outputs"]
        net = find_net(self.net)(len(moments.mean), int(self.outputs_))
        names = [name for name in arrays if name.startswith(NET)]
        net.load_state_dict({name.removeprefix(NET): torch.tensor(arrays[name]) for name in names})
        self.settings_ = Settings(*map(float, arrays["settings"]))
        self.trained_ = Trained(net.eval(), moments)
        return self

    def judge(self, bags: Bags) -> Judged:
        """Return scores [bags, outputs] of whole bags, and the importance of their instances."""
        found = answer(self.trained_, as_set(bags))
        return Judged(probabilities(found.logits, kind_of(self.target)), found.attention)

    @property
    def settings(self) -> dict[str, float | int | str]:
        """Return the pair of the grid that was taken."""
        return dict(self.settings_._asdict())


def find_net(name: str) -> MakeNet:
    """Return what makes a head's network; raises UnknownName."""
    if name not in NETS:
        raise UnknownName.among("head network", name, NETS, f" ({', '.join(NETS)})")
    return NETS[name]
