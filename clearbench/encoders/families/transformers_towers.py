"""Vision towers of transformers, by model type and sizes, with a card's pooling."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from clearbench.encoders import torchvision_patch  # noqa: F401  before transformers, which imports torchvision

# isort: split
import transformers
from huggingface_hub.errors import StrictDataclassError
from transformers import CONFIG_MAPPING, MODEL_MAPPING, AutoConfig, PretrainedConfig

from clearbench.encoders.card import EncoderCard
from clearbench.errors import BadCard, UnknownName, suggestion

# what the library raises for sizes, images and weights that it can't use
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
    """A vision tower with its card's pooling: images [b, c, s, s] → features [b, dim].

    cls, mean   of the library's last hidden state (for CLIP, before the last norm)
    native      the library's pooler output
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
        return _pool(states, self._tokens_before(states.shape[1]), self.pooling)

    def _tokens_before(self, tokens: int) -> int:
        """Count the class token and registers before the patches; raises BadCard if unclear."""
        more = max(tokens - self.patches, 0)
        registers = int(getattr(self.tower.config, "num_register_tokens", 0) or 0)
        if more - registers not in (0, 1, 2) and more:
            raise BadCard(
                f"{self.tower.config.model_type} returns {tokens} tokens for {self.patches} "
                "patches, so the patches are unknown; try pooling = native"
            )
        return more


def configure(net: str, sizes: dict[str, Any], title: str) -> Any:
    """Make a vision tower's configuration from a model type and the sizes that differ.

    Raises UnknownName, or BadCard for a key that the library would ignore.
    """
    if net not in CONFIG_MAPPING:
        raise UnknownName.among("model type of transformers", net, CONFIG_MAPPING.keys())
    with quiet():
        defaults = AutoConfig.for_model(net)
    _refuse_no_tower(net, defaults, title)
    own = own_sizes(defaults)
    for key in sizes:
        if key not in own:
            raise BadCard(f"{title}: [sizes] {key} is not a size of {net}{suggestion(key, own)}")
    try:
        return AutoConfig.for_model(net, **sizes)
    except CANT as error:
        raise BadCard(f"{title}: {net} refuses its [sizes] ({last_line(error)})") from error


def own_sizes(config: Any) -> dict[str, Any]:
    """Return a configuration's values, without those that every configuration has."""
    common = PretrainedConfig().to_dict()
    return {key: value for key, value in config.to_dict().items() if key not in common}


def _refuse_no_tower(net: str, config: Any, title: str) -> None:
    """Refuse a model type that needs more than images, or whose output is random."""
    vision = getattr(config, "vision_config", None)
    if vision is not None:
        raise BadCard(
            f'{title}: net = "{net}" needs images and text; name its vision tower: '
            f'net = "{vision.model_type}"'
        )
    if net == "vit_mae":
        raise BadCard(f'{title}: vit_mae leaves out patches at random; write net = "vit"')
    if type(config) not in MODEL_MAPPING:
        raise BadCard(f'{title}: transformers has no model for net = "{net}"')
    if tower_class(config, "native").main_input_name != "pixel_values":
        raise BadCard(f'{title}: net = "{net}" is not a vision model of transformers')


def tower_class(config: Any, pooling: str) -> Any:
    """Return the class of a tower, with its projection if pooling needs it."""
    plain = MODEL_MAPPING[type(config)]
    if pooling != "projection":
        return plain
    projecting = getattr(transformers, f"{plain.__name__}WithProjection", None)
    siglip = config.model_type.startswith("siglip")
    if projecting is None and not getattr(config, "vision_use_head", siglip):
        raise BadCard(
            f"{config.model_type} has no projection; use pooling cls, mean, cls+mean or native"
        )
    return projecting or plain


def create(config: Any, pooling: str) -> Any:
    """Make a tower with new weights."""
    return tower_class(config, pooling)(config, **pooler_options(config, pooling))


def pooler_options(config: Any, pooling: str) -> dict[str, Any]:
    """Leave an unused pooler out, if the library allows it: many files have no weights for it."""
    takes = inspect.signature(tower_class(config, pooling).__init__).parameters
    return {"add_pooling_layer": pooling == "native"} if "add_pooling_layer" in takes else {}


@dataclass(frozen=True)
class Measured:
    """The dim of a network's features, and its number of parameters."""

    dim: int
    parameters: int


def measure(card: EncoderCard, config: Any) -> Measured:
    """Run the network of a card without numbers: no memory is allocated.

    Raises BadCard if it refuses the card's size, channels or pooling.
    """
    size, channels = card.seen.size_px, channels_of(config)
    if len(card.seen.mean) != channels:
        raise BadCard(
            f"{card.title}: mean and std of {len(card.seen.mean)} channels, "
            f"but {card.net} has {channels}"
        )
    try:
        with torch.device("meta"), torch.inference_mode(), quiet():
            network = Pooled(create(config, card.pooling), card.pooling, size).eval()
            dim = network(torch.zeros(1, channels, size, size)).shape[-1]
    except BadCard as error:
        raise BadCard(f"{card.title}: {error}") from error
    except CANT as error:
        raise BadCard(
            f"{card.title}: {card.net} can't take {size} px ({last_line(error)})"
        ) from error
    return Measured(dim, sum(parameter.numel() for parameter in network.parameters()))


def channels_of(config: Any) -> int:
    """Return the number of channels of a tower's input."""
    return int(getattr(config, "num_channels", 3))


def _patches(config: Any, size_px: int) -> int:
    """Count the whole patches of an image; 0 if patches overlap or have several sizes."""
    sizes = getattr(config, "patch_size", None)
    patch = sizes[0] if isinstance(sizes, list | tuple) and len(set(sizes)) == 1 else sizes
    if not isinstance(patch, int) or hasattr(config, "patch_stride"):
        return 0
    return int(size_px // patch) ** 2


def _at_size(tower: Any, size_px: int) -> dict[str, bool]:
    """Return the option that resamples position embeddings, if the size needs it."""
    own = getattr(tower.config, "image_size", size_px)
    resamples = "interpolate_pos_encoding" in inspect.signature(tower.forward).parameters
    same = own == size_px or (isinstance(own, list | tuple) and set(own) == {size_px})
    return {"interpolate_pos_encoding": True} if resamples and not same else {}


def _pooler_output(found: Any) -> Tensor:
    """Return the library's pooler output [b, dim]."""
    pooled = getattr(found, "image_embeds", None)
    pooled = getattr(found, "pooler_output", None) if pooled is None else pooled
    if pooled is None:
        raise BadCard("this network has no pooler; use pooling cls, mean or cls+mean")
    # poolers of convolutional networks return [b, d, 1, 1]
    return torch.as_tensor(pooled.flatten(1))


def _pool(tokens: Tensor, before: int, pooling: str) -> Tensor:
    """Pool tokens [b, t, d]; the first `before` tokens are not patches."""
    mean = tokens[:, before:].mean(dim=1)
    if pooling == "mean":
        return mean
    if before == 0:
        raise BadCard(f"pooling {pooling} needs a network with a class token")
    first = tokens[:, 0]
    return first if pooling == "cls" else torch.cat([first, mean], dim=1)


def last_line(error: BaseException) -> str:
    """Return the last line of an error: strict configurations have the reason there."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Switch the library's reports and progress bars off, then restore them."""
    verbosity = transformers.logging.get_verbosity()
    bars = transformers.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.logging.enable_progress_bar()
