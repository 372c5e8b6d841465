"""Pretraining from beginning to end: what is left behind, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clearbench.datasets.lesions.deeplesion import read_deeplesion
from clearbench.encoders.encoder import load_encoder
from clearbench.errors import BadCard, BadRequest, StorageFull, TrainingDiverged, UnknownName
from clearbench.pretraining import DataRequest, PretrainSettings, pretrain
from clearbench.pretraining.outcome import Pretrained, patient_hash
from clearbench.pretraining.settings import (
    EpochFacts,
    PretrainEvent,
    PretrainStarted,
    StepDone,
)

CARDS = Path(__file__).resolve().parents[1] / "cards"
TINY = str(CARDS / "lecl-tiny.toml")


def run(data: Path, folder: Path, settings: PretrainSettings, **options: object) -> Pretrained:
    """Pretrain the tiny gated CNN."""
    facts: dict[str, object] = {
        "like": TINY,
        "name": "own",
        "out": folder / "out",
        "registry": folder / "registry",
        "precision": "float32",
        "device": "cpu",
    }
    done = pretrain("gated-cnn", DataRequest(data), settings=settings, **(facts | options))  # type: ignore[arg-type]
    assert done is not None
    return done


def test_a_new_encoder_is_at_once_usable(
    small_deeplesion: Path, tmp_path: Path, short: PretrainSettings
) -> None:
    events: list[PretrainEvent] = []
    done = run(small_deeplesion, tmp_path, short, on_event=events.append)
    encoder = load_encoder("own", registry=[tmp_path / "registry"], precision="float32")
    hu = np.random.default_rng(1).integers(-1000, 400, (3, 40, 40)).astype(np.int16)
    assert encoder.embed(hu).shape == (3, 2, 16)
    untrained = load_encoder(TINY, precision="float32")
    assert not np.allclose(encoder.embed(hu), untrained.embed(hu), atol=1e-3)
    assert isinstance(events[0], PretrainStarted)
    assert sum(isinstance(event, StepDone) for event in events) == 9
    assert [event.epoch for event in events if isinstance(event, EpochFacts)] == [1, 2, 3]
    assert len(done.history) == 3


def test_what_is_left_behind_says_how_it_was_made(
    small_deeplesion: Path, tmp_path: Path, short: PretrainSettings
) -> None:
    done = run(small_deeplesion, tmp_path, short)
    training = load_encoder(str(done.card), precision="float32").card.training
    assert training is not None
    assert (training.data, training.patients, training.slices) == ("deeplesion", 5, 25)
    assert training.lesion_slices == 5
    assert training.settings["lesion_weight"] == 1.0
    hashes = done.card.with_name(training.patients_file).read_text().split()
    assert hashes == sorted(patient_hash(str(number)) for number in range(1, 6))
    log = json.loads((done.folder / "log.json").read_text())
    assert [epoch["epoch"] for epoch in log["epochs"]] == [1, 2, 3]
    assert (done.folder / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_the_loss_falls(small_deeplesion: Path, tmp_path: Path, short: PretrainSettings) -> None:
    done = run(small_deeplesion, tmp_path, replace(short, epochs=12))
    assert done.history[-1].loss < done.history[0].loss - 0.1


def test_a_stopped_run_goes_on_bit_for_bit(
    small_deeplesion: Path, tmp_path: Path, short: PretrainSettings
) -> None:
    def stop(event: PretrainEvent) -> None:
        if isinstance(event, StepDone) and (event.epoch, event.step) == (3, 2):
            raise KeyboardInterrupt

    straight = run(small_deeplesion, tmp_path / "straight", short)
    with pytest.raises(KeyboardInterrupt):
        run(small_deeplesion, tmp_path / "stopped", short, on_event=stop)
    again = run(small_deeplesion, tmp_path / "stopped", short)
    assert again.weights.read_bytes() == straight.weights.read_bytes()
    assert [e.loss for e in again.history] == [e.loss for e in straight.history]


def test_readers_do_not_change_the_weights(
    small_deeplesion: Path, tmp_path: Path, short: PretrainSettings
) -> None:
    alone = run(small_deeplesion, tmp_path / "alone", replace(short, epochs=1))
    helped = run(small_deeplesion, tmp_path / "helped", replace(short, epochs=1), workers=1)
    assert helped.weights.read_bytes() == alone.weights.read_bytes()


def test_a_checkpoint_of_other_settings_is_refused(
    small_deeplesion: Path, tmp_path: Path, short: PretrainSettings
) -> None:
    run(small_deeplesion, tmp_path, replace(short, epochs=1))
    with pytest.raises(BadRequest, match=r"has lr = 0.1; use the same, or another folder as out"):
        run(small_deeplesion, tmp_path, replace(short, epochs=1, lr=1e-3))


def test_the_lesion_weight_matters_and_nothing_is_random(
    small_deeplesion: Path, tmp_path: Path, short: PretrainSettings
) -> None:
    facts = {"lesion": short, "again": short, "plain": replace(short, lesion_weight=0.0)}
    done = {name: run(small_deeplesion, tmp_path / name, facts[name]) for name in facts}
    assert done["lesion"].weights.read_bytes() == done["again"].weights.read_bytes()
    assert done["lesion"].weights.read_bytes() != done["plain"].weights.read_bytes()


def test_torchs_own_generator_is_left_alone(
    small_deeplesion: Path, tmp_path: Path, short: PretrainSettings
) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    run(small_deeplesion, tmp_path, replace(short, epochs=1))
    assert torch.rand(1) == expected


def test_a_loss_that_is_no_number_ends_it(
    small_deeplesion: Path, tmp_path: Path, short: PretrainSettings
) -> None:
    """Adam survives much: only a decay beyond all bounds breaks the weights."""
    wild = replace(short, lr=1e6, weight_decay=1e6, warmup_epochs=0, epochs=5)
    with pytest.raises(TrainingDiverged, match="the last checkpoint stays"):
        run(small_deeplesion, tmp_path, wild)


@pytest.mark.parametrize(
    ("net", "like", "error", "said"),
    [
        ("vmamba", "", UnknownName, r"vit, vssm, gated-cnn"),
        ("vit", TINY, BadCard, "not a card of the LeCL network vit"),
        ("vit", "dinov2-base", BadCard, "not a card of the LeCL network vit"),
    ],
)
def test_another_network_is_refused(
    small_deeplesion: Path, tmp_path: Path, net: str, like: str, error: type, said: str
) -> None:
    with pytest.raises(error, match=said):
        pretrain(net, DataRequest(small_deeplesion), like=like, out=tmp_path, registry=tmp_path)


def test_a_batch_larger_than_the_data_is_refused(
    small_deeplesion: Path, tmp_path: Path, short: PretrainSettings
) -> None:
    with pytest.raises(BadRequest, match="batch_size=64: must be at most 25"):
        run(small_deeplesion, tmp_path, replace(short, batch_size=64))
    assert not (tmp_path / "registry").exists()


def test_slices_without_lesions_need_a_weight_of_nought(
    tmp_path: Path, small_deeplesion: Path, short: PretrainSettings
) -> None:
    table = (small_deeplesion / "DL_info.csv").read_text().replace("10, 12, 22, 26", "70, 0, 80, 9")
    (tmp_path / "DL_info.csv").write_text(table)
    (tmp_path / "Images_png").symlink_to(small_deeplesion / "Images_png")
    with pytest.raises(BadRequest, match=r"lesion_weight=1\.0: .*use 0 for plain MoCo v3"):
        run(tmp_path, tmp_path, short)
    done = run(tmp_path, tmp_path, replace(short, lesion_weight=0.0, epochs=1))
    assert len(done.problems) == 5
    assert "outside the image" in done.problems[0]


def test_the_name_of_another_card_is_refused_before_anything_is_read(
    small_deeplesion: Path, tmp_path: Path, short: PretrainSettings
) -> None:
    with pytest.raises(BadRequest, match=r"name='lecl-vit-base': .*lecl-vit-base.toml has this"):
        run(small_deeplesion, tmp_path, short, name="lecl-vit-base")
    assert not (tmp_path / "out").exists()


def test_a_registry_that_cannot_be_written_is_refused_before_training(
    small_deeplesion: Path, tmp_path: Path, short: PretrainSettings
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFull, match="file"):
        run(small_deeplesion, tmp_path, short, registry=tmp_path / "file")
    assert not (tmp_path / "out").exists()


def test_weights_may_be_read_by_whoever_may_read_the_card(
    small_deeplesion: Path, tmp_path: Path, short: PretrainSettings
) -> None:
    done = run(small_deeplesion, tmp_path, short)
    modes = {path.stat().st_mode & 0o777 for path in (done.card, done.weights)}
    assert len(modes) == 1


def test_a_damaged_png_is_named_with_its_folder_and_the_rest_trains(
    small_deeplesion: Path, tmp_path: Path, short: PretrainSettings
) -> None:
    data = tmp_path / "data"
    shutil.copytree(small_deeplesion, data)
    slices = read_deeplesion(data)
    probed = np.flatnonzero(slices.label >= 0) if len(slices.labels) > 1 else np.arange(1)
    spoilt = data / "Images_png" / str(slices.files[probed[0]])
    spoilt.write_bytes(b"no picture")
    done = run(data, tmp_path, short)
    assert len(done.history) == 3
    [problem] = [text for text in done.problems if "not a readable image" in text]
    assert f"{spoilt.parent.name}/{spoilt.name}" in problem
