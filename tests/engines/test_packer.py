from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clearbench.cards import check_card
from clearbench.encoders.card import EncoderCard, Slicing
from clearbench.encoders.encoder import Encoder, build_encoder, load_encoder
from clearbench.encoders.registry import Registered
from clearbench.engines.packer import BatchSize, Clock, Encoded, encode
from clearbench.engines.reader import ReadScan, ReadTask
from clearbench.errors import NoMemory
from clearbench.scans.slices import ScanSource
from clearbench.scans.volume import Scan

CARD = str(Path(__file__).parents[1] / "cards" / "tiny.toml")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(CARD, device="cpu", precision="float32")


def read(number: int, slices: int, *, size: int = 32, windows: tuple[str, ...] = ()) -> ReadScan:
    generator = np.random.default_rng(number)
    shape = (slices, len(windows), size, size) if windows else (slices, size, size)
    pixels = generator.integers(0, 256, shape).astype(np.uint8 if windows else np.int16)
    scan = Scan(
        pixels=pixels,
        z_mm=np.arange(slices, dtype=np.float32),
        slice_index=np.arange(slices, dtype=np.int32),
        spacing_mm=(1.0, 1.0, 1.0),
        present=np.ones((slices, max(1, len(windows))), bool),
        windows=windows,
    )
    task = ReadTask(f"s{number}", f"p{number}", ScanSource(Path(f"{number}")), Path("none"))
    return ReadScan(task, "read", scan)


def encoded(encoder: Encoder, reads: list[ReadScan], batch_size: int) -> list[Encoded]:
    done = encode(encoder, reads, BatchSize(batch_size), Clock())
    return [one for one in done if isinstance(one, Encoded)]


def test_packing_changes_no_feature(encoder: Encoder) -> None:
    reads = [read(0, 3), read(1, 1, size=40), read(2, 5)]
    for batch_size in (1, 4, 100):
        done = encoded(encoder, reads, batch_size)
        assert [one.read.task.scan_id for one in done] == ["s0", "s1", "s2"]
        for one in done:
            alone = encoder.embed(one.scan.pixels)
            np.testing.assert_allclose(one.features, alone, rtol=1e-4, atol=1e-5)


def test_features_are_the_same_bit_for_bit_whatever_else_is_embedded(encoder: Encoder) -> None:
    reads = [read(number, slices) for number, slices in enumerate((3, 1, 7, 2, 5))]
    for network in (encoder, load_encoder("random-vit-tiny", device="cpu", precision="float32")):
        packed = {one.read.task.scan_id: one.features for one in encoded(network, reads, 4)}
        for one in reversed(reads):
            [alone] = encoded(network, [one], 4)
            np.testing.assert_array_equal(alone.features, packed[one.task.scan_id])


def test_a_batch_that_does_not_fit_in_memory_is_halved(encoder: Encoder) -> None:
    sizes: list[int] = []
    network = encoder.network

    class Small(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            sizes.append(len(images))
            if len(images) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return network(images)

    reads, size = [read(0, 9), read(1, 4)], BatchSize(8)
    small = replace(encoder, network=Small())
    done = [one for one in encode(small, reads, size, Clock()) if isinstance(one, Encoded)]
    assert size.images == 2
    assert sizes == [8, 4, *[2] * (13 * len(encoder.views) // 2)]
    for one, same in zip(done, encoded(encoder, reads, 2), strict=True):
        np.testing.assert_array_equal(one.features, same.features)


def test_one_image_that_does_not_fit_in_memory_stops(encoder: Encoder) -> None:
    with pytest.raises(NoMemory, match="1 images don't fit in the memory of cpu"):
        encoded(replace(encoder, network=Full()), [read(0, 3)], 4)


class Full(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.empty((len(images), 2**46))  # more than any machine has


def test_every_batch_is_full(encoder: Encoder) -> None:
    sizes: list[int] = []
    network = encoder.network

    class Counting(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            sizes.append(len(images))
            return network(images)

    counting = replace(encoder, network=Counting())
    list(
        encode(
            counting,
            [read(n, slices) for n, slices in enumerate((3, 1, 5, 2))],
            BatchSize(4),
            Clock(),
        )
    )
    assert sizes == [4] * 6


def test_an_absent_view_is_not_embedded(encoder: Encoder) -> None:
    one = read(0, 3, windows=("lung", "mediastinum"))
    assert one.scan is not None
    present = np.array([[True, True], [True, False], [True, True]])
    [done] = encode(
        encoder, [replace(one, scan=replace(one.scan, present=present))], BatchSize(4), Clock()
    )
    assert isinstance(done, Encoded)
    np.testing.assert_array_equal(done.present, present)
    np.testing.assert_array_equal(np.isfinite(done.features).all(axis=2), present)
    assert not done.reason


def test_a_scan_without_the_views_fails_alone(encoder: Encoder) -> None:
    done = list(
        encode(encoder, [read(0, 2, windows=("brain",)), read(1, 2)], BatchSize(2), Clock())
    )
    assert isinstance(done[0], ReadScan)
    assert "use views brain" in done[0].reason
    assert isinstance(done[1], Encoded)


def test_features_that_are_not_finite_fail_the_scan(encoder: Encoder) -> None:
    class Broken(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.full((len(images), 64), float("inf"))

    [done] = encode(replace(encoder, network=Broken()), [read(0, 2)], BatchSize(4), Clock())
    assert isinstance(done, Encoded)
    assert "NaN or infinite" in done.reason


def test_one_uniform_slice_is_named_and_the_other_scans_go_on(encoder: Encoder) -> None:
    class Spread(torch.nn.Module):
        """Divide by the spread of the image, which is 0 in a uniform one."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            flat = images.flatten(1)
            return (flat[:, :64] - flat.mean(1, keepdim=True)) / flat.std(1, keepdim=True)

    empty = read(1, 5)
    assert empty.scan is not None
    empty.scan.pixels[3] = -1000
    numbers = np.arange(20, 25, dtype=np.int32)
    spoilt = replace(empty, scan=replace(empty.scan, slice_index=numbers))
    for batch_size in (1, 3, 100):
        reads = [read(0, 2), spoilt, read(2, 2)]
        spread = replace(encoder, network=Spread())
        first, second, third = encode(spread, reads, BatchSize(batch_size), Clock())
        assert isinstance(second, Encoded)
        assert "slice 23 is uniform: one value in every pixel" in second.reason
        assert "computed in" not in second.reason
        assert isinstance(first, Encoded)
        assert isinstance(third, Encoded)
        assert not first.reason + third.reason


def test_neighbours_in_a_packed_batch_are_those_of_the_scan(encoder: Encoder) -> None:
    card = encoder.card.model_copy(update={"slicing": Slicing(context=1)})
    wide = replace(encoder, card=card)
    reads = [read(0, 3), read(1, 1), read(2, 5)]
    for batch_size in (1, 4, 100):
        for one in encode(wide, reads, BatchSize(batch_size), Clock()):
            assert isinstance(one, Encoded)
            alone = wide.embed(one.scan.pixels)
            np.testing.assert_allclose(one.features, alone, rtol=1e-4, atol=1e-5)
            assert len(alone) == 1 or abs(alone - encoder.embed(one.scan.pixels)).max() > 1e-3


def test_a_slice_whose_neighbour_lacks_the_view_is_absent(encoder: Encoder) -> None:
    card = encoder.card.model_copy(update={"slicing": Slicing(context=1)})
    one = read(0, 5, windows=("lung", "mediastinum"))
    assert one.scan is not None
    there = np.array([[True, True], [True, True], [True, True], [True, False], [True, True]])
    scan = replace(one.scan, present=there)
    [done] = encode(replace(encoder, card=card), [replace(one, scan=scan)], BatchSize(4), Clock())
    assert isinstance(done, Encoded)
    assert done.present[:, 0].all()
    assert done.present[:, 1].tolist() == [True, True, False, False, False]


class Span(torch.nn.Module):
    """Answer a volume's number of slices and its largest value."""

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        depth = torch.full((len(volumes),), float(volumes.shape[2]))
        return torch.stack([depth, volumes.flatten(1).amax(dim=1)], dim=1)


@pytest.fixture
def volumes() -> Encoder:
    facts = {
        "title": "Span",
        "family": "monai",
        "source": "random:0",
        "scope": "volume",
        "dim": 2,
        "pooling": "native",
        "weights": {"licence": "MIT"},
        "volume": {"clip_hu": [0.0, 100.0]},
    }
    card = check_card(facts, EncoderCard, "card")
    return build_encoder(
        Registered(name="span", card=card, build=lambda *_: Span()),
        device="cpu",
        precision="float32",
    )


def test_a_volume_encoder_takes_scans_of_any_size_one_by_one(volumes: Encoder) -> None:
    reads = [read(0, 3), read(1, 2, windows=("lung",)), read(2, 5, size=40)]
    first, refused, last = encode(volumes, reads, BatchSize(16), Clock())
    assert isinstance(refused, ReadScan)
    assert "needs HU" in refused.reason
    for one, slices in ((first, 3), (last, 5)):
        assert isinstance(one, Encoded)
        np.testing.assert_allclose(one.features, [[[slices, 1.0]]])
        assert one.present.tolist() == [[True]]
        assert one.slice_index.tolist() == [-1]
        assert np.isnan(one.z_mm).tolist() == [True]


def test_features_that_the_stores_type_can_t_hold_fail_the_scan(encoder: Encoder) -> None:
    class Large(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.full((len(images), 64), 70_000.0)

    large = replace(encoder, network=Large())
    [done] = encode(replace(large, store_dtype="float16"), [read(0, 2)], BatchSize(4), Clock())
    assert isinstance(done, Encoded)
    assert "too large for float16; store float32" in done.reason
    assert "--store-dtype float32" in done.reason
    [fine] = encode(large, [read(0, 2)], BatchSize(4), Clock())
    assert isinstance(fine, Encoded)
    assert not fine.reason


def test_a_volume_that_the_stores_type_cant_hold_fails_too(volumes: Encoder) -> None:
    class Large(torch.nn.Module):
        def forward(self, volumes: torch.Tensor) -> torch.Tensor:
            return torch.full((len(volumes), 2), 70_000.0)

    large = replace(volumes, network=Large(), store_dtype="float16")
    [done] = encode(large, [read(0, 2)], BatchSize(4), Clock())
    assert isinstance(done, Encoded)
    assert "all features are too large for float16; store float32" in done.reason


def test_features_have_the_type_of_the_store(encoder: Encoder) -> None:
    [done] = encode(replace(encoder, store_dtype="float16"), [read(0, 2)], BatchSize(4), Clock())
    assert isinstance(done, Encoded)
    assert (done.features.dtype, done.reason) == (np.float16, "")
