"""The training loop: epochs of steps, a checkpoint after each, and resuming from the last."""

import math
import time
import warnings
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from clearbench.encoders.encoder import DTYPES
from clearbench.encoders.weights.load import read_checkpoint
from clearbench.errors import BadRequest, TrainingDiverged
from clearbench.files import write_whole
from clearbench.pretraining.data import Batch, EpochOrder, Pairs, loader
from clearbench.pretraining.distributed import Place, barrier, with_global_norms
from clearbench.pretraining.moco import LossFacts, MoCo
from clearbench.pretraining.outcome import write_log
from clearbench.pretraining.probe import COLLAPSED, Probe, run_probe
from clearbench.pretraining.settings import (
    Collapsed,
    EpochFacts,
    OnPretrain,
    PretrainSettings,
    StepDone,
    lr_at,
    momentum_at,
)

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Work:
    """The inputs of the loop: data, settings, folder, device, processes, and the event callback."""

    pairs: Pairs
    probe: Probe
    settings: PretrainSettings
    mean: tuple[float, ...]
    std: tuple[float, ...]
    folder: Path
    device: torch.device
    place: Place
    workers: int
    on_event: OnPretrain


@dataclass
class TrainingState:
    """The parts that change in training, and are saved in the checkpoint."""

    moco: MoCo
    optimiser: torch.optim.AdamW
    scaler: torch.amp.GradScaler
    history: list[EpochFacts] = field(default_factory=list)
    damaged: set[str] = field(default_factory=set)

    def as_dict(self, settings: PretrainSettings, net: dict[str, Any]) -> dict[str, Any]:
        """Return tensors and plain values, which load without running code."""
        return {
            "moco": self.moco.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "history": [asdict(epoch) for epoch in self.history],
            "settings": asdict(settings),
            "net": net,
        }


def new_state(
    network: nn.Module, dim: int, settings: PretrainSettings, device: torch.device
) -> TrainingState:
    """Make the networks with seeded weights, and the optimiser."""
    facts = LossFacts(
        settings.temperature,
        settings.lesion_weight,
        settings.lambda_placement,
        settings.negatives == "other-patients",
    )
    # weights are made on the CPU; without devices=[] the state of every GPU is saved too
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        moco = MoCo(network, dim, settings.hidden, settings.projection, facts).to(device)
    trained = [part for part in moco.parameters() if part.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=settings.lr, weight_decay=settings.weight_decay)
    # bfloat16 has the range of float32, and needs no scaling
    scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "float16")
    return TrainingState(moco, optimiser, scaler)


def resume(state: TrainingState, work: Work, net: dict[str, Any]) -> int:
    """Load the last checkpoint, if it exists; returns the number of finished epochs.

    Raises BadRequest if it has another network, other data or other settings.
    """
    path = work.folder / CHECKPOINT
    if not path.is_file():
        return 0
    try:
        saved = read_checkpoint(path)
        changed = work.settings.differs(saved["settings"])
        changed += [
            f"{name} = {value}" for name, value in saved["net"].items() if net.get(name) != value
        ]
        if not changed:
            _take(state, saved)
    # whatever torch raises for the state of another network
    except Exception as error:
        reason = str(error).partition("\n")[0]
        reason = f"it has no {reason}" if isinstance(error, KeyError) else reason
        raise BadRequest(
            f"{path}: no checkpoint that training can resume from ({reason[:200]}); take it away "
            "to train from the start, or use another folder as out"
        ) from error
    if changed:
        raise BadRequest(f"{path} has {', '.join(changed)}; use the same, or another folder as out")
    return len(state.history)


def _take(state: TrainingState, saved: dict[str, Any]) -> None:
    """Take over what was saved; raises ValueError, or what torch raises, for a foreign state."""
    state.moco.load_state_dict(saved["moco"])
    state.optimiser.load_state_dict(saved["optimiser"])
    state.scaler.load_state_dict(saved["scaler"])
    state.history[:] = [EpochFacts(**epoch) for epoch in saved["history"]]
    numbers = [value for epoch in state.history for value in asdict(epoch).values()]
    if not all(value is None or isinstance(value, int | float) for value in numbers):
        raise ValueError("its history has other values than numbers")
    if [epoch.epoch for epoch in state.history] != list(range(1, len(state.history) + 1)):
        raise ValueError("its history isn't one row per epoch")
    # the optimiser takes averages of any shape, and fails at the first step
    for weight, averages in state.optimiser.state.items():
        shapes = {tuple(value.shape) for value in averages.values() if torch.is_tensor(value)}
        if not shapes <= {tuple(weight.shape), ()}:
            raise ValueError("its optimiser has averages of other shapes than the weights")


def train(state: TrainingState, work: Work, net: dict[str, Any]) -> list[EpochFacts]:
    """Train the remaining epochs, and write a checkpoint after each.

    Raises TrainingDiverged if the loss is NaN or infinite; the last checkpoint stays.
    """
    settings, place = work.settings, work.place
    model: nn.Module = state.moco
    if place.world > 1:
        model = DistributedDataParallel(with_global_norms(state.moco, work.device))
        warnings.filterwarnings(
            "ignore", "Grad strides do not match"
        )  # a warning about speed, which is not slower here
    order = EpochOrder(len(work.pairs), settings.batch_size, settings.seed, place.rank, place.world)
    batches = loader(work.pairs, order, work.workers)
    for epoch in range(len(state.history), settings.epochs):
        order.epoch = epoch
        start = time.perf_counter()
        loss = _epoch(model, state, work, batches, epoch)
        seconds = time.perf_counter() - start
        facts = _epoch_facts(state, work, epoch, loss, seconds, len(order))
        state.history.append(facts)
        if place.leads:
            saved = state.as_dict(settings, net)
            write_whole(work.folder / CHECKPOINT, partial(torch.save, saved))
            write_log(work.folder, state.history, settings)
            work.on_event(facts)
            if facts.spread < COLLAPSED:
                work.on_event(Collapsed(epoch + 1, facts.spread))
        barrier()
    return state.history


def _epoch(model: nn.Module, state: TrainingState, work: Work, batches: Any, epoch: int) -> float:
    """Train one epoch; returns its mean loss."""
    model.train()
    losses, steps = [], len(batches)
    start = time.perf_counter()
    for step, batch in enumerate(batches):
        at = epoch + step / steps
        loss = train_step(model, state, work, batch, at)
        losses.append(loss)
        state.damaged.update(batch.damaged)
        rate = (step + 1) * work.settings.batch_size / (time.perf_counter() - start)
        work.on_event(StepDone(epoch + 1, step + 1, steps, loss, lr_at(work.settings, at), rate))
    return math.fsum(losses) / len(losses)


def train_step(
    model: nn.Module, state: TrainingState, work: Work, batch: Batch, epoch: float
) -> float:
    """Train one batch; returns its loss, the mean over the slices of all processes.

    Raises TrainingDiverged if the loss is NaN or infinite.
    """
    settings, device = work.settings, work.device
    for group in state.optimiser.param_groups:
        group["lr"] = lr_at(settings, epoch)
    views = normalised(batch.views.to(device, non_blocking=True), work.mean, work.std)
    dtype = DTYPES[settings.precision]
    with torch.autocast(device.type, dtype, enabled=settings.precision != "float32"):
        loss = model(
            views,
            batch.lesion.to(device),
            batch.patient.to(device),
            momentum_at(settings, epoch),
            work.place.rank,
        )
    # all processes see the same mean, so they stop at the same step and none waits for ever
    value = _mean_over_processes(loss.detach())
    if not math.isfinite(value):
        raise TrainingDiverged(
            f"the loss is {value} in epoch {int(epoch) + 1}; the last checkpoint stays. Lower lr, "
            "raise temperature, or use precision float32"
        )
    state.optimiser.zero_grad(set_to_none=True)
    state.scaler.scale(loss).backward()
    if settings.clip:
        # gradients are scaled for float16; clipping needs their true norm
        state.scaler.unscale_(state.optimiser)
        nn.utils.clip_grad_norm_(
            [part for part in model.parameters() if part.requires_grad], settings.clip
        )
    state.scaler.step(state.optimiser)
    state.scaler.update()
    return value


def normalised(views: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Normalise grey views [2, b, h, w] in 0 to 1 → network input [2, b, 3, h, w]."""
    centre, scale = (
        torch.tensor(facts, device=views.device)[:, None, None] for facts in (mean, std)
    )
    return (views[:, :, None] - centre) / scale


def _mean_over_processes(loss: Tensor) -> float:
    """Return the mean loss of all processes."""
    if not torch.distributed.is_initialized():
        return loss.item()
    total = loss.clone()
    torch.distributed.all_reduce(total)
    return total.item() / torch.distributed.get_world_size()


def _epoch_facts(
    state: TrainingState, work: Work, epoch: int, loss: float, seconds: float, steps: int
) -> EpochFacts:
    """Return the facts of a finished epoch, with the probe's."""
    found = run_probe(work.probe, state.moco.network, work.device, work.settings.batch_size)
    return EpochFacts(
        epoch=epoch + 1,
        loss=loss,
        lr=lr_at(work.settings, epoch + 1),
        momentum=momentum_at(work.settings, epoch + 1),
        slices_per_s=steps * work.settings.batch_size / seconds,
        seconds=seconds,
        knn=found.knn,
        chance=found.chance,
        spread=found.spread,
    )
