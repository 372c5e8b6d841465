"""A frozen network behind one call: axial slices in HU → features."""

import importlib
import importlib.metadata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clearbench.cards import PLUGIN_GROUP
from clearbench.encoders.card import EncoderCard
from clearbench.encoders.device import Precision, choose_device, choose_precision
from clearbench.encoders.fingerprint import fingerprint
from clearbench.encoders.preprocess import prepare
from clearbench.encoders.registry import Build, Registered, find_encoder
from clearbench.encoders.views import View, choose_views
from clearbench.encoders.weights import file_sha256, find_weights, module_sha256
from clearbench.errors import BadCard, BadRequest, MissingExtra, UnknownName, UnreadableScan

FAMILIES = MappingProxyType(
    {
        "timm": "clearbench.encoders.families.timm:build",
        "open_clip": "clearbench.encoders.families.open_clip:build",
        "lecl": "clearbench.encoders.families.lecl:build",
        "transformers": "clearbench.encoders.families.transformers:build",
        "torchvision": "clearbench.encoders.families.torchvision:build",
    }
)
EXTRAS = MappingProxyType(  # packages of ours that bring a module, where it isn't always there
    {"transformers": '"clearbench[transformers]"', "monai": '"clearbench[volume]"'}
)
DTYPES = MappingProxyType(
    {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
)


@dataclass(frozen=True)
class Encoder:
    """One encoder, ready: its card, effective views, precision, fingerprint and frozen network."""

    name: str
    card: EncoderCard
    views: tuple[View, ...]
    precision: Precision
    device: torch.device
    weights_sha256: str
    fingerprint: str
    store_dtype: str
    network: nn.Module

    def embed(
        self,
        slices_hu: NDArray[Any],
        spacing_mm: Sequence[float] | None = None,
        *,
        batch_size: int = 16,
    ) -> NDArray[np.float32]:
        """Embed axial slices [n, y, x] in HU → features [n, views, dim] float32.

        Each slice alone: neighbours and order don't matter. `spacing_mm` (z, y, x) is for volume
        encoders. Raises BadRequest for another shape.
        """
        del spacing_mm
        if slices_hu.ndim != 3 or slices_hu.shape[0] == 0:
            raise BadRequest(
                f"embed takes slices [n, y, x] in HU, not an array of shape {slices_hu.shape}"
            )
        parts = []
        for start in range(0, len(slices_hu), batch_size):
            images = self.prepare(slices_hu[start : start + batch_size], ())
            parts.append(self.forward(images.flatten(0, 1)).reshape(*images.shape[:2], -1).cpu())
        features: NDArray[np.float32] = torch.cat(parts).numpy()
        return features

    def prepare(self, pixels: NDArray[Any], windows: tuple[str, ...]) -> Tensor:
        """Put slices on the device as network input [n, views, c, size, size] float32.

        `windows` names the columns of pixels [n, windows, y, x] that were windowed before. Raises
        UnreadableScan if the card needs HU, or a view is not among the windows.
        """
        if windows:
            self.check_windows(windows)
        with torch.inference_mode():
            tensor = torch.from_numpy(_native(pixels)).to(self.device, non_blocking=True)
            return prepare(tensor, windows, self.views, self.card.seen)

    def forward(self, images: Tensor) -> Tensor:
        """Run the network on prepared images [b, c, size, size] → [b, dim] float32, on the device.

        Raises BadCard if the network's features are not as long as the card says.
        """
        with torch.inference_mode():
            batch = images.to(DTYPES[self.precision], memory_format=torch.channels_last)
            features: Tensor = self.network(batch).float()
        if features.shape != (len(images), self.card.dim):
            raise BadCard(
                f"{self.name}: the card says dim = {self.card.dim}, and the network answers "
                f"{tuple(features.shape)} to {len(images)} images"
            )
        return features

    def check_windows(self, windows: tuple[str, ...]) -> None:
        """Refuse windowed images that can't become this encoder's views."""
        have = ", ".join(windows)
        if self.card.seen.views != "free" or self.card.seen.channels == "hu":
            raise UnreadableScan(
                f"{self.name} needs HU, and these images were windowed before ({have})"
            )
        lost = [name for view in self.views for name in view.window_names if name not in windows]
        if lost:
            raise UnreadableScan(
                f"these images hold the windows {have}, not {', '.join(lost)}; "
                f"type --views {','.join(windows)}"
            )


def _native(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return pixels as torch takes them: contiguous, writable, in this machine's byte order."""
    return np.require(pixels, pixels.dtype.newbyteorder("="), ["C", "W"])


def load_encoder(  # noqa: PLR0913  each is an option of its own
    name: str,
    *,
    device: str = "auto",
    precision: str = "auto",
    views: Sequence[str] = (),
    weights: Path | str | None = None,
    store_dtype: str = "float32",
    registry: Iterable[Path] = (),
) -> Encoder:
    """Load an encoder by its name (or its card's path), frozen and in eval mode.

    Raises UnknownName, BadCard, BadRequest for views it can't have, WeightsUnavailable.
    """
    found = find_encoder(name, registry)
    return build_encoder(
        found,
        device=device,
        precision=precision,
        views=views,
        weights=weights,
        store_dtype=store_dtype,
    )


def build_encoder(
    found: Registered,
    *,
    device: str = "auto",
    precision: str = "auto",
    views: Sequence[str] = (),
    weights: Path | str | None = None,
    store_dtype: str = "float32",
) -> Encoder:
    """Build a found encoder; see load_encoder."""
    card = found.card
    chosen = choose_views(card, views)
    place = choose_device(device)
    exact = choose_precision(precision, place, coarsest=card.precision)
    own = Path(weights) if weights is not None else None
    bring = found.build is None or own is not None
    file = find_weights(card, own, found.folder) if bring else None
    network = (found.build or family_builder(card))(card, file)
    network.eval().requires_grad_(False)
    digest = file_sha256(file) if file is not None else module_sha256(network)
    network.to(place, DTYPES[exact])
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster convolutions
    return Encoder(
        name=found.name,
        card=card,
        views=chosen,
        precision=exact,
        device=place,
        weights_sha256=digest,
        fingerprint=fingerprint(card, chosen, digest, exact, store_dtype),
        store_dtype=store_dtype,
        network=network,
    )


def family_builder(card: EncoderCard) -> Build:
    """Return the builder of a card's family: one of ours, or a plug-in's."""
    plugins = {
        entry.name: entry.value for entry in importlib.metadata.entry_points(group=PLUGIN_GROUP)
    }
    known = plugins | dict(FAMILIES)
    if card.family not in known:
        raise UnknownName.among(
            "family of encoders", card.family, known, f" (known: {', '.join(sorted(known))})"
        )
    module, _, function = known[card.family].partition(":")
    try:
        build: Build = getattr(importlib.import_module(module), function)
    except ImportError as error:
        package = EXTRAS.get(error.name or "", error.name)
        raise MissingExtra(
            f"family {card.family} needs {error.name}: pip install {package}"
        ) from error
    except AttributeError as error:
        raise BadCard(f"family {card.family}: {module} has no {function}") from error
    return build
