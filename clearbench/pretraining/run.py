"""pretrain(): slices → views → MoCo v3 with the lesion loss → an encoder."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from clearbench.cards import NAME, list_cards
from clearbench.cores import MOST_WORKERS
from clearbench.datasets.lesions.slice_sets import SliceSet, because, thinned
from clearbench.encoders.adding.inferred import USUAL
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.device import choose_device, choose_precision
from clearbench.encoders.inputs.views import choose_views
from clearbench.encoders.nets.build import build_net
from clearbench.encoders.nets.sizes import NETS, check_sizes
from clearbench.encoders.registry import FOLDER, find_encoder
from clearbench.errors import BadArgument, BadCard, UnknownName, check_between
from clearbench.files import disk_refuses
from clearbench.pretraining import outcome
from clearbench.pretraining.data import Pairs
from clearbench.pretraining.distributed import Place, barrier, joined
from clearbench.pretraining.loop import TrainingState, Work, new_state, resume, train
from clearbench.pretraining.outcome import Pretrained
from clearbench.pretraining.probe import make_probe
from clearbench.pretraining.settings import (
    OnPretrain,
    PretrainSettings,
    PretrainStarted,
)
from clearbench.pretraining.stacks import DataRequest, OnScan, find_slices
from clearbench.pretraining.views import ViewMaker, find_augmentation

WORKERS_GPU = 8


def _silent(_event: Any) -> None:
    """Ignore an event: the default, and for all processes except the first."""


def pretrain(  # noqa: PLR0913  each is an option of its own
    net: str,
    data: DataRequest,
    *,
    settings: PretrainSettings | None = None,
    name: str = "",
    like: str = "",
    out: Path | None = None,
    registry: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    workers: int | None = None,
    on_event: OnPretrain = _silent,
    on_scan: OnScan | None = None,
) -> Pretrained | None:
    """Train a LeCL encoder, and write its weights and card into `registry` (./registry).

    `net` is vit, vssm or gated-cnn; `like` names the card with the sizes and input to use. `out`
    is the folder for the checkpoint, the log and the stacks of slices; a second run with the same
    folder continues from the checkpoint. With torchrun, all processes train one network, and all
    except the first return None. Raises BadRequest, UnknownName, BadCohort.
    """
    card = template(net, like)
    label = name or f"my-{like or USUAL[net]}"
    folder = out or Path("pretraining") / label
    target = registry or Path(FOLDER)
    _check_target(target, label)
    chosen = choose_device(device)
    settings = settings or PretrainSettings()
    check_between("workers", workers or 0, 0, MOST_WORKERS)
    readers = (WORKERS_GPU if chosen.type == "cuda" else 0) if workers is None else workers
    settings = replace(settings, precision=choose_precision(precision, chosen))
    with joined(chosen) as place:
        chosen = _device_of(chosen, place)
        # once before the scans are read, which takes long, and again with the number of slices
        settings.check(world=place.world)
        slices = _slices(data, folder, place, settings, on_scan)
        settings.check(len(slices), place.world)
        report = on_event if place.leads else _silent
        work = _work(card, slices, settings, folder, chosen, place, readers, report)
        state, facts = _untrained(card, work), _facts(card, slices)
        done = resume(state, work, facts)
        report(_started(label, card, state, slices, work, done))
        history = train(state, work, facts)
        if not place.leads:
            return None
        training = outcome.training_facts(slices, settings, history, label)
        paths = outcome.write_encoder(
            state.moco.network, card, training, slices.patients, target / label
        )
        problems = (*slices.problems, *sorted(state.damaged))
        return Pretrained(label, *paths, folder, tuple(history), problems)


def _check_target(registry: Path, name: str) -> None:
    """Refuse a bad or taken name, or a folder that can't be written, before hours of training."""
    if not NAME.fullmatch(name):
        raise BadArgument("name", name, "use letters, digits, dots, dashes and underscores")
    taken = list_cards(FOLDER).get(name)
    if taken is not None and taken.path.parent.resolve() != registry.resolve():
        raise BadArgument("name", name, f"{taken.path} has this name; choose another")
    full = registry.resolve()
    place = next(folder for folder in (full, *full.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise disk_refuses(registry / name, str(error.strerror)) from error


def template(net: str, like: str = "") -> EncoderCard:
    """Return the card with the sizes and input of a new encoder.

    Raises UnknownName for another network, BadCard for a card of another network.
    """
    if net not in NETS:
        raise UnknownName.among("LeCL network", net, NETS, f" ({', '.join(NETS)})")
    card = find_encoder(like or USUAL[net]).card
    if card.family != "lecl" or card.net != net:
        raise BadCard(f"{like} is not a card of the LeCL network {net}")
    return card


def _device_of(device: torch.device, place: Place) -> torch.device:
    """Return the GPU of this process, if several processes share a machine."""
    several = device.type == "cuda" and place.world > 1
    return torch.device("cuda", place.local_rank) if several else device


def _slices(
    data: DataRequest,
    folder: Path,
    place: Place,
    settings: PretrainSettings,
    on_scan: OnScan | None,
) -> SliceSet:
    """Find the slices; the first process reads the scans, the others read its stacks."""
    cache = folder / "slices"
    if place.leads:
        found = find_slices(data, cache, on_scan)
    barrier()
    if not place.leads:
        found = find_slices(data, cache)
    if settings.lesion_weight and not found.lesion.any():
        reason = because(found.problems) or "; give a table of lesions"
        raise BadArgument(
            "lesion_weight",
            settings.lesion_weight,
            f"{data.root}: no slice has a lesion box{reason}, or use 0 for plain MoCo v3",
        )
    return thinned(found, settings.others_per_lesion, settings.seed)


def _work(  # noqa: PLR0913  the parts of one record
    card: EncoderCard,
    slices: SliceSet,
    settings: PretrainSettings,
    folder: Path,
    device: torch.device,
    place: Place,
    workers: int,
    report: OnPretrain,
) -> Work:
    """Collect the inputs of the loop."""
    windows = tuple(view.windows_hu[0] for view in choose_views(card))
    facts = card.seen
    maker = ViewMaker(facts.size_px, windows, find_augmentation(settings.augment))
    probe = make_probe(slices, windows[0], facts.size_px, facts.mean, facts.std, settings.seed)
    return Work(
        Pairs(slices, maker, settings.seed),
        probe,
        settings,
        facts.mean,
        facts.std,
        folder,
        device,
        place,
        workers,
        report,
    )


def _untrained(card: EncoderCard, work: Work) -> TrainingState:
    """Build the networks with seeded random weights."""
    sizes = check_sizes(card.net, card.sizes, card.title)
    network = build_net(sizes, card.seen.size_px, seed=work.settings.seed)
    return new_state(network, card.dim, work.settings, work.device)


def _facts(card: EncoderCard, slices: SliceSet) -> dict[str, Any]:
    """Return the facts that a checkpoint must have, so that training can resume."""
    return {
        "net": card.net,
        "sizes": card.sizes,
        "size_px": card.seen.size_px,
        "slices": len(slices),
        "data": slices.name,
    }


def _started(
    name: str, card: EncoderCard, state: TrainingState, slices: SliceSet, work: Work, done: int
) -> PretrainStarted:
    """Return the event at the start of training."""
    count = sum(part.numel() for part in state.moco.network.parameters())
    return PretrainStarted(
        name=name,
        net=card.net,
        parameters_m=round(count / 1e6, 2),
        slices=len(slices),
        lesion_slices=int(slices.lesion.sum()),
        patients=len(slices.patients),
        device=str(work.device),
        precision=work.settings.precision,
        processes=work.place.world,
        steps_per_epoch=len(slices) // work.settings.batch_size,
        epochs=work.settings.epochs,
        resumed_after=done,
        problems=slices.problems,
    )
