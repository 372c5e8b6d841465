"""Files of a pretraining: weights, card, hashed patients, log and loss curve."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib
from torch import nn

from clearbench.cards import write_card
from clearbench.cohort.pseudonyms import patient_hash
from clearbench.datasets.lesions.slice_sets import SliceSet
from clearbench.encoders.card import EncoderCard, Training
from clearbench.encoders.weights.load import file_sha256, write_weights
from clearbench.files import write_text, write_whole
from clearbench.pretraining.settings import EpochFacts, PretrainSettings

LOG = "log.json"
CURVE = "loss.png"


@dataclass(frozen=True)
class Pretrained:
    """A new encoder: its card, weights, folder, epochs, and problems with the data."""

    name: str
    card: Path
    weights: Path
    folder: Path
    history: tuple[EpochFacts, ...]
    problems: tuple[str, ...]


def write_log(folder: Path, history: Sequence[EpochFacts], settings: PretrainSettings) -> None:
    """Write the log and the loss curve of the epochs so far."""
    facts = {"settings": _plain(settings), "epochs": [asdict(epoch) for epoch in history]}
    text = json.dumps(facts, indent=1) + "\n"
    write_text(folder / LOG, text)
    write_whole(folder / CURVE, lambda draft: _plot(history, draft))


def _plot(history: Sequence[EpochFacts], path: Path) -> None:
    """Plot loss and probe by epoch."""
    matplotlib.use("Agg")  # a server has no display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    left = figure.subplots()
    epochs = [item.epoch for item in history]
    left.plot(epochs, [item.loss for item in history], color="tab:blue", marker=".")
    left.set(xlabel="epoch", ylabel="loss")
    scores = [(item.epoch, item.knn) for item in history if item.knn is not None]
    if scores:
        right = left.twinx()
        right.plot(*zip(*scores, strict=True), color="tab:orange", marker=".")
        right.set(ylabel="balanced accuracy of the k-NN probe", ylim=(0, 1))
        right.axhline(history[0].chance or 0, color="tab:orange", linestyle=":")
    # the draft's name doesn't end in .png
    figure.savefig(path, format="png", dpi=120)


def write_encoder(
    network: nn.Module,
    card: EncoderCard,
    training: Training,
    patients: Iterable[str],
    target: Path,
) -> tuple[Path, Path]:
    """Write weights, hashed patients and the card; returns the paths of card and weights.

    `target` is the folder of cards with the encoder's name. The card is written last, so that a
    card without weights never exists.
    """
    folder, name = target.parent, target.name
    weights = folder / f"{name}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(network.state_dict(), weights)
    hashes = "".join(f"{line}\n" for line in sorted(map(patient_hash, patients)))
    listed = folder / training.patients_file
    write_text(listed, hashes)
    facts = card.weights.model_copy(
        update={"sha256": file_sha256(weights), "licence": "your own", "file": ""}
    )
    done = card.model_copy(
        update={
            "title": f"{card.title}, pretrained as {name}",
            "source": f"file:{weights.name}",
            "weights": facts,
            "facts": card.facts.model_copy(update={"pretraining": (training.data,)}),
            "training": training,
        }
    )
    path = folder / f"{name}.toml"
    write_card(done, path)
    return path, weights


def training_facts(
    slices: SliceSet, settings: PretrainSettings, history: Sequence[EpochFacts], name: str
) -> Training:
    """Return the card's facts about the training."""
    plain = settings.lesion_weight == 0
    return Training(
        method="MoCo v3" if plain else "LeCL (MoCo v3 with the lesion-enhanced loss)",
        data=slices.name,
        patients=len(slices.patients),
        patients_file=f"{name}.patients.txt",
        slices=len(slices),
        lesion_slices=int(slices.lesion.sum()),
        epochs=len(history),
        seconds=round(sum(item.seconds for item in history), 1),
        settings=_plain(settings),
    )


def _plain(settings: PretrainSettings) -> dict[str, object]:
    """Return settings without None, which TOML doesn't have."""
    return {key: value for key, value in asdict(settings).items() if value is not None}
