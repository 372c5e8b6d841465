from pathlib import Path

import pytest
import torch

pytest.importorskip("merlin", reason="needs the extra `merlin`")

from clearbench.encoders.encoder import load_encoder
from clearbench.encoders.families.merlin import PREFIX, build
from clearbench.encoders.registry import find_encoder
from clearbench.errors import WeightsUnavailable


@pytest.mark.slow
def test_a_published_file_gives_the_packages_features(tmp_path: Path) -> None:
    """The keys of the whole model's file, its text tower among them."""
    card = find_encoder("merlin").card.with_random_weights()
    network = build(card, None).eval()
    state = {PREFIX + key: value for key, value in network.i3_resnet.state_dict().items()}
    file = tmp_path / "merlin.pt"
    torch.save(state | {"encode_text.linear.weight": torch.ones(1)}, file)
    again = load_encoder("merlin", weights=file, device="cpu", precision="float32")
    volumes = torch.randn(2, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network.i3_resnet(volumes)[0]
    torch.testing.assert_close(again.forward(volumes), expected, rtol=1e-4, atol=1e-4)


def test_another_file_is_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.ones(1)}, tmp_path / "other.pt")
    with pytest.raises(WeightsUnavailable, match="not a file of Merlin"):
        build(find_encoder("merlin").card, tmp_path / "other.pt")
