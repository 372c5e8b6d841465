"""The probe tells features that separate classes from those that don't, and from collapsed ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from clearbench.datasets.lesions.slice_sets import SliceRow, SliceSet, slice_set
from clearbench.pretraining.probe import (
    COLLAPSED,
    MOST_SLICES,
    Probe,
    ProbeFacts,
    make_probe,
    run_probe,
)

CPU = torch.device("cpu")
WINDOW = (-100.0, 300.0)


def probe_of(features: Tensor, label: list[int], patient: list[int]) -> Probe:
    """A probe whose images are the features themselves, for a network that only flattens."""
    images = features.reshape(len(features), -1, 1, 1)
    return Probe(images, torch.tensor(label), torch.tensor(patient))


def asked(
    features: Tensor, label: list[int], patient: list[int], *, batch_size: int = 7
) -> ProbeFacts:
    return run_probe(probe_of(features, label, patient), nn.Flatten(), CPU, batch_size)


def around(directions: list[int], dim: int = 8) -> Tensor:
    """Features near one axis each."""
    noise = torch.randn(len(directions), dim, generator=torch.Generator().manual_seed(0))
    return nn.functional.one_hot(torch.tensor(directions), dim) + 0.05 * noise


@pytest.fixture
def slices(tmp_path: Path) -> SliceSet:
    """12 slices of four patients; two in three have a lesion, bone or lung by turns."""
    hu = np.full((12, 9, 11), 100, np.int16)
    hu += np.arange(12, dtype=np.int16)[:, None, None]
    np.save(tmp_path / "stack.npy", hu)
    rows = [
        SliceRow(
            patient=f"p{i % 4}",
            file="stack.npy",
            row=i,
            boxes=((1.0, 1.0, 4.0, 4.0),) if i % 3 else (),
            label=("", "bone", "lung")[i % 3],
        )
        for i in range(12)
    ]
    return slice_set("made", tmp_path, rows)


def drawn(slices: SliceSet, *, seed: int = 0, size: int = 6) -> Probe:
    return make_probe(slices, WINDOW, size, (0.5, 0.5, 0.5), (0.25, 0.25, 0.5), seed)


@pytest.mark.parametrize("classes", [2, 3])
def test_separable_features_are_told_apart(classes: int) -> None:
    label = [i % classes for i in range(30)]
    facts = asked(around(label), label, list(range(30)))
    assert facts.knn == 1.0
    assert facts.chance == pytest.approx(1 / classes)


def test_features_without_a_message_are_near_chance() -> None:
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.normal(size=(300, 16))).float()
    facts = asked(features, rng.integers(0, 2, 300).tolist(), rng.integers(0, 60, 300).tolist())
    assert facts.knn == pytest.approx(0.5, abs=0.1)


def test_neighbours_of_the_same_patient_never_vote() -> None:
    """Features that only know the patient would seem perfect; others' slices all mislead."""
    patient = [number for number in range(4) for _ in range(6)]
    label = [number % 2 for number in patient]
    near = torch.tensor([[1.0, 0, 0, 0], [1.0, 0.2, 0, 0], [0, 0, 1.0, 0], [0, 0, 1.0, 0.2]])
    facts = asked(near[patient], label, patient)
    assert facts.knn == 0.0


def test_rare_classes_count_as_much_as_frequent_ones() -> None:
    rare = [1 if i < 6 else 0 for i in range(60)]
    facts = asked(around([0] * 60), rare, list(range(60)))
    assert facts.knn == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("label", "patient"),
    [
        ([0] * 20, list(range(20))),
        ([0] * 16 + [1] * 4, list(range(20))),
        ([0] * 10 + [1] * 10, [*range(10), *[99] * 10]),
    ],
    ids=["one class", "four slices of a class", "one patient of a class"],
)
def test_what_can_t_be_asked_is_none(label: list[int], patient: list[int]) -> None:
    facts = asked(around(label), label, patient)
    assert facts.knn is facts.chance is None
    assert facts.spread > COLLAPSED


def test_a_class_that_is_too_small_is_left_out_of_the_vote() -> None:
    label = [i % 2 for i in range(20)] + [2] * 3
    facts = asked(around(label), label, list(range(23)))
    assert (facts.knn, facts.chance) == (1.0, 0.5)


def test_collapsed_features_have_no_spread() -> None:
    label = [i % 2 for i in range(20)]
    constant = torch.full((20, 8), 0.3)
    assert asked(constant, label, list(range(20))).spread == pytest.approx(0.0, abs=1e-5)
    nearly = constant + 1e-4 * around(label)
    assert asked(nearly, label, list(range(20))).spread < COLLAPSED


@pytest.mark.parametrize("dim", [4, 64, 512])
def test_features_in_all_directions_have_a_spread_of_1(dim: int) -> None:
    features = torch.randn(200, dim, generator=torch.Generator().manual_seed(0))
    facts = asked(features * 17, [0] * 200, list(range(200)))
    assert facts.spread == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(training: bool) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
    network.train(training)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    label = [i % 2 for i in range(20)]
    first = run_probe(probe_of(around(label), label, list(range(20))), network, CPU, 20)
    assert all(part.training == training for part in network.modules())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(part.grad is None for part in network.parameters())
    again = run_probe(probe_of(around(label), label, list(range(20))), network, CPU, 1)
    assert again.spread == pytest.approx(first.spread, rel=1e-5)
    assert again.knn == first.knn


def test_labelled_slices_are_drawn_where_there_are_labels(slices: SliceSet) -> None:
    probe = drawn(slices)
    assert probe.images.shape == (8, 3, 6, 6)
    assert probe.label.tolist() == [0, 1] * 4
    assert probe.patient.tolist() == [i % 4 for i in range(12) if i % 3]


def test_without_labels_it_is_lesions_against_none(tmp_path: Path, slices: SliceSet) -> None:
    rows = [
        SliceRow(f"p{i}", "stack.npy", i, boxes=((1.0, 1.0, 4.0, 4.0),) if i % 3 else ())
        for i in range(12)
    ]
    probe = drawn(slice_set("made", tmp_path, rows))
    assert probe.label.tolist() == [int(i % 3 > 0) for i in range(12)]
    assert len(slices) == len(probe.label)


def test_images_are_windowed_and_normalised_as_the_card_says(slices: SliceSet) -> None:
    """HU 101 in -100 to 300 is 0.5025."""
    images = drawn(slices).images
    grey = torch.tensor([(100 + i + 100) / 400 for i in range(12) if i % 3])
    for channel, std in enumerate((0.25, 0.25, 0.5)):
        expected = ((grey - 0.5) / std)[:, None, None].expand(-1, 6, 6)
        torch.testing.assert_close(images[:, channel], expected, atol=1e-5, rtol=0)


def test_a_large_set_is_sampled_once_by_the_seed(tmp_path: Path) -> None:
    count = MOST_SLICES + 50
    np.save(tmp_path / "stack.npy", np.zeros((count, 4, 4), np.int16))
    rows = [
        SliceRow(f"p{i}", "stack.npy", i, boxes=((0, 0, 2, 2),) if i % 2 else ())
        for i in range(count)
    ]
    large = slice_set("made", tmp_path, rows)
    patients = [drawn(large, seed=seed, size=1).patient.tolist() for seed in (0, 0, 1)]
    assert len(set(patients[0])) == MOST_SLICES
    assert patients[0] == patients[1] != patients[2]


def test_a_patient_never_votes_for_itself_for_want_of_others() -> None:
    """With fewer than five slices of others, only those vote, whatever the order of slices."""
    for label in ([1] * 3 + [0] * 6 + [1] * 2 + [0], [0] * 6 + [1] * 3 + [1] * 2 + [0]):
        features = nn.functional.one_hot(torch.tensor(label)).float()
        knn = asked(features, label, [0] * 9 + [1] * 3).knn
        assert knn == pytest.approx((1 / 7 + 1) / 2)
