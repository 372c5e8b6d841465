"""Training resumes from its own checkpoints; any other is refused in a sentence."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch

from clearbench.encoders.nets.build import build_net
from clearbench.encoders.nets.sizes import check_sizes
from clearbench.pretraining.loop import TrainingState, Work, new_state, resume
from clearbench.pretraining.settings import EpochFacts, PretrainSettings
from hostile.cases import Case
from hostile.limits import said_by, try_each, usual_part
from hostile.other_cases import checkpoint_cases

SETTINGS = PretrainSettings(hidden=8, projection=8)
NET = {"net": "gated-cnn"}
SIZES = {"dims": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
EPOCH = EpochFacts(1, 0.5, 0.1, 0.99, 10.0, 1.0, None, None, 1.0)


def small_state() -> TrainingState:
    """Return a very small network, not trained yet."""
    network = build_net(check_sizes("gated-cnn", SIZES, "small"), 32, seed=0)
    return new_state(network, 16, SETTINGS, torch.device("cpu"))


def good_checkpoint() -> dict[str, Any]:
    """Return what is saved after one epoch."""
    state = small_state()
    for part in state.moco.parameters():
        part.grad = torch.zeros_like(part) if part.requires_grad else None
    state.optimiser.step()
    state.history.append(EPOCH)
    return state.as_dict(SETTINGS, NET)


class Folder:
    """What resuming needs of its work."""

    settings = SETTINGS

    def __init__(self, folder: Path) -> None:
        self.folder = folder


def check(case: Case, folder: Path) -> None:
    said = said_by(lambda: resume(small_state(), cast("Work", Folder(folder)), NET))
    if case.refused is not None:
        assert bool(said) == case.refused, said or "resumed"
    assert not said or "take it away" in said or "use the same" in said, said


def test_a_foreign_checkpoint_is_refused_in_a_sentence(tmp_path: Path) -> None:
    try_each(usual_part(checkpoint_cases(good_checkpoint())), tmp_path, check)


def test_the_good_one_resumes(tmp_path: Path) -> None:
    good = good_checkpoint()
    torch.save(good, tmp_path / "checkpoint.pt")
    state = small_state()
    assert resume(state, cast("Work", Folder(tmp_path)), NET) == 1
    assert [asdict(epoch) for epoch in state.history] == good["history"]
