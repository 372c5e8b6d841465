from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.encoder import build_encoder
from clearbench.encoders.families.torchvision import build, describe
from clearbench.encoders.registry import Registered, find_encoder
from clearbench.errors import BadCard, UnknownName, WeightsUnavailable

# isort: split
from torchvision import models
from torchvision.transforms.functional import to_pil_image

MakeCard = Callable[..., EncoderCard]
RESNET = {"net": "resnet18", "dim": 512}
DENSENET = {"net": "densenet121", "dim": 1024}


def published(net: str) -> Any:
    """Return a network with its classifier, as if it had been trained."""
    torch.manual_seed(3)
    model = models.get_model(net, weights=None, num_classes=7)
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(part.running_mean, std=0.1)  # type: ignore[arg-type]
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
    return model.eval()


def saved(state: dict[str, torch.Tensor], folder: Path) -> Path:
    path = folder / "model.safetensors"
    save_file({key: value.clone() for key, value in state.items()}, path)
    return path


def images(size: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def run(network: Any, batch: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(network.eval()(batch))


@pytest.fixture
def card_of(make_card: MakeCard) -> MakeCard:
    def make(**facts: Any) -> EncoderCard:
        plain = {"family": "torchvision", "pooling": "native", "input": {"size_px": 64}}
        return make_card(**plain | RESNET | facts)

    return make


def resnet_mean(model: Any, batch: torch.Tensor) -> torch.Tensor:
    return run(torch.nn.Sequential(*list(model.children())[:8]), batch).mean(dim=(2, 3))


def densenet_mean(model: Any, batch: torch.Tensor) -> torch.Tensor:
    return run(model.features, batch).relu().mean(dim=(2, 3))


def numbered(model: Any, prefix: str, count: int) -> dict[str, torch.Tensor]:
    """Return the state dict of nn.Sequential(*children), as RadImageNet's files were saved."""
    parts = torch.nn.Sequential(*list(model.children())[:count])
    return {prefix + key: value for key, value in parts.state_dict().items()}


@pytest.mark.parametrize("pooling", ["native", "mean"])
@pytest.mark.parametrize(
    ("facts", "head", "mean"),
    [(RESNET, "fc.", resnet_mean), (DENSENET, "classifier.", densenet_mean)],
    ids=["resnet18", "densenet121"],
)
def test_features_are_the_mean_of_the_last_maps(
    tmp_path: Path, card_of: MakeCard, facts: Any, head: str, mean: Any, pooling: str
) -> None:
    model = published(facts["net"])
    path = saved(model.state_dict(), tmp_path)
    card = card_of(**facts, pooling=pooling, weights={"unused": [head]})
    found = run(build(card, path), images())
    torch.testing.assert_close(found, mean(model, images()), rtol=1e-5, atol=1e-5)
    assert float((found[0] - found[1]).norm() / found.norm()) > 0.01


@pytest.mark.parametrize(
    ("facts", "parts", "mean"),
    [(RESNET, 9, resnet_mean), (DENSENET, 1, densenet_mean)],
    ids=["resnet18", "densenet121"],
)
def test_numbered_keys_behind_a_prefix_load_strictly(
    tmp_path: Path, card_of: MakeCard, facts: Any, parts: int, mean: Any
) -> None:
    model = published(facts["net"])
    state = numbered(model, "backbone.", parts)
    assert all(key.startswith("backbone.") and key[9].isdigit() for key in state)
    card = card_of(**facts, sizes={"prefix": "backbone."})
    network = build(card, saved(state, tmp_path))
    torch.testing.assert_close(run(network, images()), mean(model, images()), rtol=1e-5, atol=1e-5)
    state.pop(next(iter(state)))
    with pytest.raises(WeightsUnavailable, match="weights of another network: keys 1 missing"):
        build(card, saved(state, tmp_path))
    with pytest.raises(WeightsUnavailable, match="left over"):
        build(card_of(**facts), saved(state, tmp_path))


def test_a_numbered_part_that_is_not_there_is_left_over(tmp_path: Path, card_of: MakeCard) -> None:
    state = numbered(published("resnet18"), "", 9) | {"11.weight": torch.ones(1)}
    with pytest.raises(WeightsUnavailable, match=r"1 left over \(e\.g\. 11\.weight\)"):
        build(card_of(), saved(state, tmp_path))


def test_a_classifier_is_left_over_unless_the_card_says_so(
    tmp_path: Path, card_of: MakeCard
) -> None:
    path = saved(published("resnet18").state_dict(), tmp_path)
    with pytest.raises(WeightsUnavailable, match=r"2 left over \(e\.g\. fc\.bias\)"):
        build(card_of(), path)


def test_eight_bit_slices_are_seen_as_torchvisions_own_transform_shows_them(
    tmp_path: Path,
) -> None:
    model = published("resnet18")
    path = saved(model.state_dict(), tmp_path)
    card = describe("resnet18", source=f"file:{path}")
    encoder = build_encoder(
        Registered(name="r", card=card), device="cpu", precision="float32", views=["lung"]
    )
    pixels = np.random.default_rng(0).integers(0, 256, (2, 1, 32, 32)).astype(np.uint8)
    pixels = np.kron(pixels, np.ones((8, 8), np.uint8))  # 256 px
    ours = encoder.forward(encoder.prepare(pixels, ("lung",)).flatten(0, 1))
    show = models.ResNet18_Weights.DEFAULT.transforms(resize_size=224)
    grey = [to_pil_image(slice_[0]).convert("RGB") for slice_ in pixels]
    theirs = resnet_mean(model, torch.stack([show(image) for image in grey]))
    assert float(torch.cosine_similarity(ours, theirs).min()) > 0.9999


@pytest.mark.parametrize(
    ("net", "dim", "unused"),
    [
        ("resnet50", 2048, ("fc.",)),
        ("densenet121", 1024, ("classifier.",)),
        ("convnext_tiny", 768, ("classifier.2.",)),
        ("vit_b_32", 768, ("heads.head.",)),
    ],
)
def test_a_network_describes_itself(net: str, dim: int, unused: tuple[str, ...]) -> None:
    card = describe(net)
    assert (card.net, card.dim, card.weights.unused) == (net, dim, unused)
    assert (card.seen.size_px, card.seen.mean[0]) == (224, 0.485)
    with pytest.raises(UnknownName, match="did you mean resnet50"):
        describe("resnet500")


@pytest.mark.parametrize(("name", "parts"), [("resnet50", 9), ("densenet121", 1)])
def test_radimagenets_cards_load_files_of_their_authors_shape(
    tmp_path: Path, name: str, parts: int
) -> None:
    card = find_encoder(f"radimagenet-{name}").card
    state = numbered(models.get_model(name, weights=None), "backbone.", parts)
    torch.save(state, tmp_path / card.weights.file)
    network = build(card, tmp_path / card.weights.file)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert round(count / 1e6, 2) == card.facts.parameters_m
    assert torch.equal(next(network.parameters()), next(iter(state.values())))


def test_random_weights_come_from_the_seed(card_of: MakeCard) -> None:
    state = torch.random.get_rng_state()
    first, again = build(card_of(), None), build(card_of(), None)
    other = build(card_of(source="random:1"), None)
    torch.testing.assert_close(run(first, images()), run(again, images()))
    assert not torch.allclose(run(first, images()), run(other, images()))
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's generator is unchanged"


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"pooling": "cls"}, "pooling of resnet18 must be mean or native"),
        ({"net": "vit_b_32", "pooling": "mean"}, "pooling of vit_b_32 must be native$"),
        ({"net": "vit_b_32", "dim": 768}, "vit_b_32 can't take 64 px"),
        ({"dim": 513}, "the card has dim = 513, but resnet18 returns 512"),
        ({"net": "squeezenet1_0"}, "has no linear layer at its end"),
        ({"sizes": {"prefx": "a."}}, r"\[sizes\] has only prefix, not prefx.*did you mean prefix"),
        ({"input": {"mean": [0.5], "std": [0.5]}}, "1 channels, but resnet18 has 3"),
    ],
)
def test_what_a_network_lacks_is_refused(card_of: MakeCard, facts: Any, words: str) -> None:
    with pytest.raises(BadCard, match=words):
        build(card_of(**facts), None)


def test_an_unknown_network_offers_the_nearest(card_of: MakeCard) -> None:
    with pytest.raises(
        UnknownName, match='no torchvision model is called "resnet19"; did you mean'
    ):
        build(card_of(net="resnet19"), None)
