"""Vision towers of transformers: by model type and sizes, with the pooling that a card names."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from clearbench.encoders import torchvision_cure  # noqa: F401  before transformers, which imports torchvision

# isort: split
import transformers
from huggingface_hub.errors import StrictDataclassError
from transformers import CONFIG_MAPPING, MODEL_MAPPING, AutoConfig, PretrainedConfig

from clearbench.encoders.card import EncoderCard
from clearbench.errors import BadCard, UnknownName, suggestion

# what the library raises over sizes, images and weights that it can't use
CANT = (
    StrictDataclassError,
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    RuntimeError,
    AttributeError,
)


class Pooled(nn.Module):
    """A vision tower and the pooling its card names: images [b, c, s, s] → features [b, dim].

    cls, mean   of the last hidden state as the library answers it (CLIP's is before the last norm)
    native      the library's own pooler output
    projection  CLIP's projected class token, SigLIP's attention head
    """

    def __init__(self, tower: Any, pooling: str, size_px: int) -> None:
        super().__init__()
        self.tower = tower
        self.pooling = pooling
        self.patches = _patches(tower.config, size_px)
        self.options = _at_size(tower, size_px)

    def forward(self, images: Tensor) -> Tensor:
        """Embed a batch; raises BadCard for a pooling that the tower doesn't have."""
        found = self.tower(pixel_values=images, **self.options)
        if self.pooling in ("native", "projection"):
            return _pooler_output(found)
        states: Tensor = found.last_hidden_state
        if states.ndim == 4:  # maps [b, d, y, x]
            states = states.flatten(2).transpose(1, 2)
            return _pool(states, 0, self.pooling)
        return _pool(states, self._before(states.shape[1]), self.pooling)

    def _before(self, tokens: int) -> int:
        """Count the class token and registers that stand before the patches."""
        more = max(tokens - self.patches, 0)
        registers = int(getattr(self.tower.config, "num_register_tokens", 0) or 0)
        if more - registers not in (0, 1, 2) and more:
            raise BadCard(
                f"{self.tower.config.model_type} answers {tokens} tokens to {self.patches} "
                "patches, and which is which isn't known; pooling = native may serve"
            )
        return more


def configure(net: str, sizes: dict[str, Any], title: str) -> Any:
    """Make a vision tower's configuration of a model type and what differs from its defaults.

    Raises UnknownName, or BadCard for a key that the library would swallow.
    """
    if net not in CONFIG_MAPPING:
        raise UnknownName.among("model type of transformers", net, CONFIG_MAPPING.keys())
    with quiet():
        defaults = AutoConfig.for_model(net)
    _refuse_no_tower(net, defaults, title)
    own = own_sizes(defaults)
    for key in sizes:
        if key not in own:
            raise BadCard(f"{title}: [sizes] {key} is no size of {net}{suggestion(key, own)}")
    try:
        return AutoConfig.for_model(net, **sizes)
    except CANT as error:
        raise BadCard(f"{title}: {net} refuses its [sizes] ({said(error)})") from error


def own_sizes(config: Any) -> dict[str, Any]:
    """Return what a configuration says of its own kind of network, and not of all."""
    of_all = PretrainedConfig().to_dict()
    return {key: value for key, value in config.to_dict().items() if key not in of_all}


def _refuse_no_tower(net: str, config: Any, title: str) -> None:
    """Refuse a model type that doesn't answer images alone, always in the same way."""
    vision = getattr(config, "vision_config", None)
    if vision is not None:
        raise BadCard(
            f'{title}: net = "{net}" sees images and text; name its vision tower: '
            f'net = "{vision.model_type}"'
        )
    if net == "vit_mae":
        raise BadCard(f'{title}: vit_mae leaves out patches at random; write net = "vit"')
    if type(config) not in MODEL_MAPPING:
        raise BadCard(f'{title}: transformers has no model for net = "{net}" alone')
    if tower_class(config, "native").main_input_name != "pixel_values":
        raise BadCard(f'{title}: net = "{net}" is no vision model of transformers')


def tower_class(config: Any, pooling: str) -> Any:
    """Return the class of a tower, with its projection where pooling asks for it."""
    plain = MODEL_MAPPING[type(config)]
    if pooling != "projection":
        return plain
    projecting = getattr(transformers, f"{plain.__name__}WithProjection", None)
    siglip = config.model_type.startswith("siglip")
    if projecting is None and not getattr(config, "vision_use_head", siglip):
        raise BadCard(
            f"{config.model_type} has no projection; pooling is cls, mean, cls+mean or native"
        )
    return projecting or plain


def create(config: Any, pooling: str) -> Any:
    """Make a tower with fresh weights; attention is torch's own where the library allows it."""
    return tower_class(config, pooling)(config, **pooler_options(config, pooling))


def pooler_options(config: Any, pooling: str) -> dict[str, Any]:
    """Leave a pooler out, where it can be, if its output isn't asked for: many files have none."""
    takes = inspect.signature(tower_class(config, pooling).__init__).parameters
    return {"add_pooling_layer": pooling == "native"} if "add_pooling_layer" in takes else {}


@dataclass(frozen=True)
class Measured:
    """How long a network's features are, and how many numbers it has learnt."""

    dim: int
    parameters: int


def measure(card: EncoderCard, config: Any) -> Measured:
    """Run the network of a card on an image without numbers.

    Raises BadCard if it can't serve the card's size, channels or pooling.
    """
    size, channels = card.seen.size_px, channels_of(config)
    if len(card.seen.mean) != channels:
        raise BadCard(
            f"{card.title}: mean and std of {len(card.seen.mean)} channels, "
            f"and {card.net} sees {channels}"
        )
    try:
        with torch.device("meta"), torch.inference_mode(), quiet():
            network = Pooled(create(config, card.pooling), card.pooling, size).eval()
            dim = network(torch.zeros(1, channels, size, size)).shape[-1]
    except BadCard as error:
        raise BadCard(f"{card.title}: {error}") from error
    except CANT as error:
        raise BadCard(f"{card.title}: {card.net} can't take {size} px ({said(error)})") from error
    return Measured(dim, sum(parameter.numel() for parameter in network.parameters()))


def channels_of(config: Any) -> int:
    """Return how many channels a tower sees."""
    return int(getattr(config, "num_channels", 3))


def _patches(config: Any, size_px: int) -> int:
    """Count the patches of an image; 0 where patches overlap or are of several sizes.

    Raises BadCard for a size that isn't a whole number of patches: its edge would be cut off.
    """
    sizes = getattr(config, "patch_size", None)
    patch = sizes[0] if isinstance(sizes, list | tuple) and len(set(sizes)) == 1 else sizes
    if not isinstance(patch, int) or hasattr(config, "patch_stride"):
        return 0
    if size_px % patch:
        raise BadCard(f"size_px = {size_px} is no whole number of patches of {patch} px")
    return int(size_px // patch) ** 2


def _at_size(tower: Any, size_px: int) -> dict[str, bool]:
    """Ask for resampled position embeddings where the size isn't the network's own."""
    own = getattr(tower.config, "image_size", size_px)
    asks = "interpolate_pos_encoding" in inspect.signature(tower.forward).parameters
    same = own == size_px or (isinstance(own, list | tuple) and set(own) == {size_px})
    return {"interpolate_pos_encoding": True} if asks and not same else {}


def _pooler_output(found: Any) -> Tensor:
    """Return the library's own pooling [b, dim]."""
    pooled = getattr(found, "image_embeds", None)
    pooled = getattr(found, "pooler_output", None) if pooled is None else pooled
    if pooled is None:
        raise BadCard("this network has no pooler; pooling is cls, mean or cls+mean")
    return torch.as_tensor(pooled.flatten(1))


def _pool(tokens: Tensor, before: int, pooling: str) -> Tensor:
    """Pool tokens [b, t, d], of which `before` stand before the patches."""
    mean = tokens[:, before:].mean(dim=1)
    if pooling == "mean":
        return mean
    if before == 0:
        raise BadCard(f"a network without a class token can't be pooled by {pooling}")
    first = tokens[:, 0]
    return first if pooling == "cls" else torch.cat([first, mean], dim=1)


def said(error: BaseException) -> str:
    """Return the last line of what a library said: strict configurations put the reason there."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the library's reports and progress bars to itself; ours say what matters."""
    said = transformers.logging.get_verbosity()
    bars = transformers.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(said)
        if bars:
            transformers.logging.enable_progress_bar()
