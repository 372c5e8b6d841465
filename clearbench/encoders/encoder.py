"""A frozen network with one call: axial slices in HU → features."""

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
from clearbench.encoders.finite import Embedded, uniform_images, way_out
from clearbench.encoders.inputs.preprocess import neighbourhood, prepare
from clearbench.encoders.inputs.views import View, choose_views
from clearbench.encoders.inputs.volumes import prepare_volume
from clearbench.encoders.plugins import FAMILIES, family_builder
from clearbench.encoders.registry import Build, Registered, find_encoder
from clearbench.encoders.unseen.refusal import refuse_unseen
from clearbench.encoders.weights.drawn import draw_alike
from clearbench.encoders.weights.hub import fetch_code
from clearbench.encoders.weights.load import code_sha256, file_sha256, find_weights, module_sha256
from clearbench.errors import BadCard, BadRequest, ClearbenchError, NoMemory, UnreadableScan

DTYPES = MappingProxyType(
    {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
)


@dataclass(frozen=True)
class Encoder:
    """A loaded encoder: card, chosen views, precision, fingerprint and frozen network."""

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

        A slice is embedded alone, or with the neighbours that its card names; batches don't change
        its features. A volume encoder takes the slices as one scan with `spacing_mm` (z, y, x),
        and returns [1, 1, dim]. Raises BadRequest for another shape, a volume without spacing, or
        features that are NaN or infinite.
        """
        features = self.answer(slices_hu, spacing_mm, batch_size=batch_size)
        bad = int((~np.isfinite(features)).any(axis=(1, 2)).sum())
        if bad:
            raise BadRequest(
                f"{self.name}: features of {bad} of {len(features)} slices are NaN or infinite; "
                f"{way_out(self._embedded(features, slices_hu))}"
            )
        return features

    def _embedded(self, features: NDArray[np.float32], slices_hu: NDArray[Any]) -> Embedded:
        """Return features with what is known of their images."""
        rows = features.shape[:2]
        uniform, numbers = np.full(rows, slices_hu.min() == slices_hu.max()), [-1]
        if self.card.volume is None:
            seen = self.prepare(slices_hu, ()).flatten(0, 1)
            uniform, numbers = uniform_images(seen).reshape(rows), [*range(len(features))]
        return Embedded(features, np.ones(rows, np.bool_), uniform, numbers, self.precision)

    def answer(
        self,
        slices_hu: NDArray[Any],
        spacing_mm: Sequence[float] | None = None,
        *,
        batch_size: int = 16,
    ) -> NDArray[np.float32]:
        """Embed as `embed` does, but return NaN and infinite features too."""
        if slices_hu.ndim != 3 or slices_hu.shape[0] == 0:
            raise BadRequest(
                f"embed takes slices [n, y, x] in HU, not an array of shape {slices_hu.shape}"
            )
        if self.card.volume is not None:
            if spacing_mm is None:
                raise BadRequest(f"{self.name}: a volume encoder needs spacing_mm = (z, y, x)")
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

        `pixels` are the whole scan, `rows` the wanted slices (default: all). `windows` names the
        columns of pixels [n, windows, y, x] that are already windowed. Raises UnreadableScan if
        the card needs HU, or a view is not among the windows.
        """
        if windows:
            self.check_windows(windows)
        # slicing a range cuts it at the end of the scan
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
            raise BadRequest(f"{self.name}: embeds slices, not volumes")
        with torch.inference_mode():
            return prepare_volume(pixels, spacing_mm, self.card.volume, self.device)

    def forward(self, images: Tensor) -> Tensor:
        """Run the network on prepared images or volumes [b, c, …] → [b, dim] float32.

        Raises BadCard if the network fails or its features don't have the card's dim, NoMemory if
        the batch doesn't fit in memory.
        """
        try:
            batch = images.to(DTYPES[self.precision], memory_format=_layout(self.card))
            with torch.inference_mode():
                features: Tensor = self.network(batch).float()
        except ClearbenchError:
            raise
        except (Exception, SystemExit) as error:  # foreign code may raise anything
            if _lacks_memory(error):
                raise NoMemory(
                    f"{self.name}: {len(images)} images don't fit in the memory of {self.device}; "
                    "use a smaller batch_size"
                ) from None  # its frames would keep the tensors
            raise BadCard(f"{self.name}: the network fails with {_first_line(error)}") from error
        if features.shape != (len(images), self.card.dim):
            raise BadCard(
                f"{self.name}: the card has dim = {self.card.dim}, but the network returns "
                f"{tuple(features.shape)} for {len(images)} images"
            )
        return features

    def check_windows(self, windows: tuple[str, ...]) -> None:
        """Refuse windowed images that can't become this encoder's views; raises UnreadableScan."""
        if not windows:
            return
        have = ", ".join(windows)
        seen = self.card.input
        if seen is None or seen.views != "free" or seen.channels == "hu":
            raise UnreadableScan(
                f"{self.name} needs HU, but these images are already windowed ({have})"
            )
        absent = [name for view in self.views for name in view.window_names if name not in windows]
        if absent:
            raise UnreadableScan(
                f"these images have the windows {have}, not {', '.join(absent)}; "
                f"use views {','.join(windows)}"
            )


def _native(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return pixels as torch needs them: contiguous, writable, in this machine's byte order."""
    # torch refuses other byte orders, and warns of arrays that can't be written
    return np.require(pixels, pixels.dtype.newbyteorder("="), ["C", "W"])


def _layout(card: EncoderCard) -> torch.memory_format:
    """Return the memory layout in which convolutions are fastest."""
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
    """Load an encoder by its name, or the path of its card: frozen, in eval mode.

    `trust_remote_code` allows code of the encoder's repository to run, if its card needs it.
    Raises UnknownName, BadCard, BadArgument for device, precision or views, WeightsUnavailable.
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
    """Build a found encoder; see load_encoder.

    Raises BadCard for a size of which the network leaves out rows, unless the card states it.
    """
    card = found.card
    chosen = choose_views(card, views)
    place = choose_device(device)
    exact = choose_precision(precision, place, coarsest=card.precision)
    own = Path(weights) if weights is not None else None
    needs_file = found.build is None or own is not None
    build = found.build or family_builder(card, found.folder, trust_remote_code=trust_remote_code)
    file = find_weights(card, own, found.folder) if needs_file else None
    network = _built(found, build, file)
    network.eval().requires_grad_(False)
    refuse_unseen(card, network)
    digest = file_sha256(file) if file is not None else module_sha256(network)
    code = code_sha256(fetch_code(card, file)) if card.weights.remote_code and file else ""
    network.to(place, DTYPES[exact])  # after hashing: the hash is of the published numbers
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
    """Build a network; raises BadCard if foreign code fails, or returns no torch module."""
    ours = found.build is None and found.card.family in FAMILIES
    try:
        network: Any = build(found.card, file)
    except ClearbenchError:
        raise
    except (Exception, SystemExit) as error:
        if ours:
            raise
        raise BadCard(f"{found.name}: its builder fails with {_first_line(error)}") from error
    if not isinstance(network, nn.Module):
        raise BadCard(
            f"{found.name}: its builder returns a {type(network).__name__}, not a torch module"
        )
    if ours and file is None:
        other = found.card.with_random_weights(found.card.seed + 1)
        draw_alike(network, build(other, None), found.card.seed)
    return network


def _lacks_memory(error: BaseException) -> bool:
    """Tell whether an error says that the device's memory is full."""
    # On the CPU torch raises a plain RuntimeError.
    full = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return full or "DefaultCPUAllocator: " in str(error)


def _first_line(error: BaseException) -> str:
    """Return an error of foreign code in one line."""
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0]}"
