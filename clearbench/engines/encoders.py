"""An encoder for a store: with the stored precision, remembered weights and seen patients."""

from collections.abc import Sequence
from pathlib import Path

from clearbench.encoders.device import Precision, choose_device, choose_precision
from clearbench.encoders.encoder import Encoder, build_encoder
from clearbench.encoders.inputs.views import choose_views
from clearbench.encoders.registry import Registered
from clearbench.encoders.weights.files import HUBS
from clearbench.engines.local import encoder_record
from clearbench.store.folder import StoreFolder
from clearbench.store.records import keep_seen, list_records, pin_weights


def encoder_for(  # noqa: PLR0913  options of a command
    card: Registered,
    store: StoreFolder,
    views: Sequence[str],
    device: str,
    precision: str,
    weights: Path | str | None,
    store_dtype: str,
    trust_remote_code: bool,
) -> Encoder:
    """Build an encoder; auto precision takes that of the store's features.

    The hash of weights from a hub is pinned at first use, if the card has none.
    """
    names = tuple(view.name for view in choose_views(card.card, views))
    stored: Precision | None = None
    for record in list_records(store):
        if record.name == card.name and record.views == names and record.store_dtype == store_dtype:
            stored = choose_precision(record.precision, choose_device(device))
    exact = choose_precision(precision, choose_device(device), stored, card.card.precision)
    encoder = build_encoder(
        card,
        device=device,
        precision=exact,
        views=views,
        weights=weights,
        store_dtype=store_dtype,
        trust_remote_code=trust_remote_code,
    )
    if (
        weights is None
        and card.card.weights.sha256 is None
        and card.card.source.partition(":")[0] in HUBS
    ):
        pin_weights(store, card.name, encoder.weights_sha256)
    return encoder


def keep_seen_patients(card: Registered, encoder: Encoder, store: StoreFolder) -> None:
    """Store the hashes of the patients in an encoder's pretraining, for leak checks."""
    training = card.card.training
    if training is not None and card.folder is not None:
        listed = card.folder / training.patients_file
        if listed.is_file():
            keep_seen(listed, encoder_record(encoder), store)
