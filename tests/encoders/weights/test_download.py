"""Downloads over a network that breaks off, from a hub on this machine."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.file_download
import numpy as np
import pytest
from huggingface_hub import constants

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights.load import find_weights
from clearbench.errors import WeightsUnavailable

MakeCard = Callable[..., EncoderCard]
COMMIT, SIZE = "12" * 20, 50_000
CONTENT = np.random.default_rng(0).bytes(SIZE)
CONTENT = len(CONTENT).to_bytes(8, "little") + b"{" + CONTENT[9:]  # as safetensors begins
SHA = hashlib.sha256(CONTENT).hexdigest()


class Hub(ThreadingHTTPServer):
    """A hub with one file: its next answers break off after so many bytes each."""

    breaks: list[int]
    asked: list[str]  # the ranges of bytes


class Answer(BaseHTTPRequestHandler):
    """Answer as the hub does, or as much of it as the network lets through."""

    server: Hub

    def do_HEAD(self) -> None:
        self._head(0)

    def do_GET(self) -> None:
        if not self.path.startswith("/a/b/"):
            self.send_error(404)
            return
        wanted = self.headers.get("Range", "")
        self.server.asked.append(wanted)
        first = int(wanted.removeprefix("bytes=").partition("-")[0] or 0)
        self._head(first)
        rest = CONTENT[first:]
        self.wfile.write(rest[: self.server.breaks.pop(0)] if self.server.breaks else rest)
        self.close_connection = True

    def _head(self, first: int) -> None:
        self.send_response(206 if first else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{SHA}"')
        self.send_header("Content-Length", str(SIZE - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{SIZE - 1}/{SIZE}")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """The hub, and an empty cache."""
    server = Hub(("127.0.0.1", 0), Answer)
    server.breaks, server.asked = [], []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    here = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", here)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    template = here + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", here)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    # the client tries again at once
    monkeypatch.setattr(huggingface_hub.file_download.time, "sleep", lambda _: None)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def card(make_card: MakeCard) -> EncoderCard:
    """A card whose weights are on the hub."""
    weights = {"file": "model.safetensors", "sha256": SHA}
    return make_card(source="hf-hub:a/b", revision=COMMIT, weights=weights)


def test_a_download_that_breaks_off_goes_on_where_it_was(hub: Hub, card: EncoderCard) -> None:
    hub.breaks = [10_000, 0, 25_000]
    while hub.breaks:
        with suppress(WeightsUnavailable):  # older clients ask once a run, newer ones again
            find_weights(card)
    assert find_weights(card).read_bytes() == CONTENT
    assert hub.asked == ["", "bytes=10000-", "bytes=10000-", "bytes=35000-"]


def test_a_lost_network_leaves_no_weights_and_the_next_run_has_them(
    hub: Hub, card: EncoderCard
) -> None:
    hub.breaks = [10_000, *[0] * 20]
    with pytest.raises(WeightsUnavailable) as refusal:
        find_weights(card)
    assert "broke off" in str(refusal.value)
    assert "again" in str(refusal.value)
    found = Path(constants.HF_HUB_CACHE).rglob("model.safetensors")
    assert list(found) == []
    hub.breaks = []
    assert find_weights(card).read_bytes() == CONTENT
