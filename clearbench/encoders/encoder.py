"""A frozen network behind one call: axial slices in HU → features."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.device import Precision, choose_device, choose_precision
from clearbench.encoders.fingerprint import fingerprint
from clearbench.encoders.inputs.preprocess import neighbourhood, prepare
from clearbench.encoders.inputs.views import View, choose_views
from clearbench.encoders.inputs.volumes import prepare_volume
from clearbench.encoders.plugins import FAMILIES, family_builder
from clearbench.encoders.registry import Build, Registered, find_encoder
from clearbench.encoders.weights.hub import fetch_code
from clearbench.encoders.weights.load import code_sha256, file_sha256, find_weights, module_sha256
from clearbench.errors import BadCard, BadRequest, ClearbenchError, UnreadableScan

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

        Each slice alone, or with the neighbours that its card names: order of batches doesn't
        matter. A volume encoder takes the slices as one scan, with `spacing_mm` (z, y, x), and
        answers [1, 1, dim]. Raises BadRequest for another shape, a volume without spacing, or
        features that are not all numbers.
        """
        features = self.answer(slices_hu, spacing_mm, batch_size=batch_size)
        lost = int((~np.isfinite(features)).any(axis=(1, 2)).sum())
        if lost:
            raise BadRequest(
                f"{self.name}: features of {lost} of {len(features)} slices are NaN or infinite; "
                f"look at the slices' HU and at `clearbench models check {self.name}`"
            )
        return features

    def answer(
        self,
        slices_hu: NDArray[Any],
        spacing_mm: Sequence[float] | None = None,
        *,
        batch_size: int = 16,
    ) -> NDArray[np.float32]:
        """Embed as `embed` does, whatever comes out."""
        if slices_hu.ndim != 3 or slices_hu.shape[0] == 0:
            raise BadRequest(
                f"embed takes slices [n, y, x] in HU, not an array of shape {slices_hu.shape}"
            )
        if self.card.volume is not None:
            if spacing_mm is None:
                raise BadRequest(f"{self.name} embeds volumes and needs spacing_mm = (z, y, x)")
            whole = self.forward(self.prepare_volume(slices_hu, spacing_mm))
            return whole[None].cpu().numpy()
        parts = []
        for start in range(0, len(slices_hu), batch_size):
            images = self.prepare(slices_hu, (), range(start, start + batch_size))
            parts.append(self.forward(images.flatten(0, 1)).reshape(*images.shape[:2], -1).cpu())
        features: NDArray[np.float32] = torch.cat(parts).numpy()
        return features

    def prepare(
        self, pixels: NDArray[Any], windows: tuple[str, ...], rows: range | None = None
    ) -> Tensor:
        """Put slices on the device as network input [n, views, c, size, size] float32.

        `pixels` are a scan's; `rows` says which of its slices are wanted (all of them, if absent).
        `windows` names the columns of pixels [n, windows, y, x] that were windowed before. Raises
        UnreadableScan if the card needs HU, or a view is not among the windows.
        """
        if windows:
            self.check_windows(windows)
        wanted = range(len(pixels))[slice(rows.start, rows.stop)] if rows else range(len(pixels))
        taken, around = neighbourhood(wanted, len(pixels), self.card.slicing.context)
        with torch.inference_mode():
            cut = _native(pixels[taken.start : taken.stop])
            tensor = torch.from_numpy(cut).to(self.device, non_blocking=True)
            return prepare(tensor, windows, self.views, self.card.seen, around)

    def prepare_volume(self, pixels: NDArray[Any], spacing_mm: Sequence[float]) -> Tensor:
        """Put a scan's HU [z, y, x] on the device as a volume network's input [1, 1, a, b, c].

        Raises BadRequest for a slice encoder; see clearbench.encoders.inputs.volumes.
        """
        if self.card.volume is None:
            raise BadRequest(f"{self.name} embeds slices, not volumes")
        with torch.inference_mode():
            return prepare_volume(pixels, spacing_mm, self.card.volume, self.device)

    def forward(self, images: Tensor) -> Tensor:
        """Run the network on prepared images or volumes [b, c, …] → [b, dim] float32.

        Raises BadCard if the network stops, or its features are not as long as the card says.
        """
        batch = images.to(DTYPES[self.precision], memory_format=_layout(self.card))
        try:
            with torch.inference_mode():
                features: Tensor = self.network(batch).float()
        except ClearbenchError:
            raise
        except torch.OutOfMemoryError as error:
            raise BadRequest(
                f"{self.name}: {len(images)} images are too many for the memory of {self.device}; "
                "type a smaller --batch-size"
            ) from error
        except (Exception, SystemExit) as error:  # a stranger's code may raise anything
            raise BadCard(f"{self.name}: the network stops with {_first_line(error)}") from error
        if features.shape != (len(images), self.card.dim):
            raise BadCard(
                f"{self.name}: the card says dim = {self.card.dim}, and the network answers "
                f"{tuple(features.shape)} to {len(images)} images"
            )
        return features

    def check_windows(self, windows: tuple[str, ...]) -> None:
        """Refuse windowed images that can't become this encoder's views; HU always can."""
        if not windows:
            return
        have = ", ".join(windows)
        seen = self.card.input
        if seen is None or seen.views != "free" or seen.channels == "hu":
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


def _layout(card: EncoderCard) -> torch.memory_format:
    """Return the order of numbers in memory with which convolutions are fastest."""
    return torch.channels_last if card.volume is None else torch.channels_last_3d


def load_encoder(  # noqa: PLR0913  each is an option of its own
    name: str,
    *,
    device: str = "auto",
    precision: str = "auto",
    views: Sequence[str] = (),
    weights: Path | str | None = None,
    store_dtype: str = "float32",
    registry: Iterable[Path] = (),
    trust_remote_code: bool = False,
) -> Encoder:
    """Load an encoder by its name (or its card's path), frozen and in eval mode.

    `trust_remote_code` runs the code of its repository, where the card says that it has some.
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
        trust_remote_code=trust_remote_code,
    )


def build_encoder(  # noqa: PLR0913  each is an option of its own
    found: Registered,
    *,
    device: str = "auto",
    precision: str = "auto",
    views: Sequence[str] = (),
    weights: Path | str | None = None,
    store_dtype: str = "float32",
    trust_remote_code: bool = False,
) -> Encoder:
    """Build a found encoder; see load_encoder."""
    card = found.card
    chosen = choose_views(card, views)
    place = choose_device(device)
    exact = choose_precision(precision, place, coarsest=card.precision)
    own = Path(weights) if weights is not None else None
    bring = found.build is None or own is not None
    build = found.build or family_builder(card, found.folder, trust_remote_code=trust_remote_code)
    file = find_weights(card, own, found.folder) if bring else None
    network = _built(found, build, file)
    network.eval().requires_grad_(False)
    digest = file_sha256(file) if file is not None else module_sha256(network)
    code = code_sha256(fetch_code(card, file)) if card.weights.remote_code and file else ""
    network.to(place, DTYPES[exact])
    network.to(memory_format=_layout(card))  # type: ignore[call-overload]
    return Encoder(
        name=found.name,
        card=card,
        views=chosen,
        precision=exact,
        device=place,
        weights_sha256=digest,
        fingerprint=fingerprint(card, chosen, digest, exact, store_dtype, code),
        store_dtype=store_dtype,
        network=network,
    )


def _built(found: Registered, build: Build, file: Path | None) -> nn.Module:
    """Build a network; what a stranger's code raises, or answers instead, becomes one sentence."""
    ours = found.build is None and found.card.family in FAMILIES
    try:
        network: Any = build(found.card, file)
    except ClearbenchError:
        raise
    except (Exception, SystemExit) as error:
        if ours:
            raise
        raise BadCard(f"{found.name}: its builder stops with {_first_line(error)}") from error
    if not isinstance(network, nn.Module):
        raise BadCard(
            f"{found.name}: its builder answers a {type(network).__name__}, not a torch module"
        )
    return network


def _first_line(error: BaseException) -> str:
    """Say an error of a stranger's code in one line."""
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0]}"
