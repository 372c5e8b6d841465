import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from clearbench.encoders.card import EncoderCard
from clearbench.encoders.weights.revision import fix_revision, has_fixed_revision
from clearbench.errors import WeightsUnavailable

MakeCard = Callable[..., EncoderCard]
SHA, COMMIT = "ab" * 32, "12" * 20


def stored(name: str, sha256: str = SHA) -> dict[str, Any]:
    """Return the hub's facts of a large file."""
    return {
        "rfilename": name,
        "size": 9,
        "blobId": "0" * 40,
        "lfs": {"sha256": sha256, "size": 9, "pointerSize": 1},
    }


class Hub(ThreadingHTTPServer):
    """A hub on this machine, with facts of repositories as JSON."""

    facts_of: dict[str, Any]


class Answer(BaseHTTPRequestHandler):
    """Answer the hub client's questions about repositories."""

    server: Hub

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].removeprefix("/api/models/")
        facts = self.server.facts_of.get(path.partition("/revision/")[0])
        body = json.dumps(facts or {"error": "Repository not found"}).encode()
        self.send_response(200 if facts else 404)
        if not facts:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The hub's facts by repository."""
    server = Hub(("127.0.0.1", 0), Answer)
    server.facts_of = {}
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield server.facts_of
    server.shutdown()
    server.server_close()


def model(*files: dict[str, Any], **facts: Any) -> dict[str, Any]:
    return {"id": "a/b", "sha": COMMIT, "gated": False, "siblings": [*files]} | facts


def test_a_hubs_card_gets_its_commit_and_its_files_hash(
    hub: dict[str, Any], make_card: MakeCard
) -> None:
    hub["a/b"] = model(stored("pytorch_model.bin", "cd" * 32), stored("model.safetensors"))
    pinned = fix_revision(make_card(source="hf-hub:a/b"))
    assert has_fixed_revision(pinned)
    assert (pinned.revision, pinned.weights.sha256) == (COMMIT, SHA)
    assert pinned.weights.file == "model.safetensors"
    assert pinned.weights.licence_url == "https://huggingface.co/a/b"
    named = fix_revision(make_card(source="hf-hub:a/b", weights={"file": "pytorch_model.bin"}))
    assert (named.weights.file, named.weights.sha256) == ("pytorch_model.bin", "cd" * 32)


def test_a_licence_is_taken_from_the_hub_only_if_it_is_unknown(
    hub: dict[str, Any], make_card: MakeCard
) -> None:
    hub["a/b"] = model(
        stored("model.safetensors"), gated="manual", cardData={"license": "cc-by-nc-4.0"}
    )
    blank = fix_revision(make_card(source="hf-hub:a/b", weights={"licence": "unknown"}))
    assert (blank.weights.licence, blank.weights.gated) == ("cc-by-nc-4.0", True)
    assert fix_revision(make_card(source="hf-hub:a/b")).weights.licence == "MIT"


def test_a_repository_the_hub_lacks_is_named(hub: dict[str, Any], make_card: MakeCard) -> None:
    hub["a/c"] = model({"rfilename": "README.md"})
    with pytest.raises(WeightsUnavailable, match="the hub has no a/b, or needs a token"):
        fix_revision(make_card(source="hf-hub:a/b"))
    with pytest.raises(WeightsUnavailable, match=r"a/c has no weights \(model\.safetensors"):
        fix_revision(make_card(source="hf-hub:a/c"))


def test_out_of_reach_the_card_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch, make_card: MakeCard
) -> None:
    card = make_card(source="hf-hub:a/b")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody answers there
    assert fix_revision(card) == card
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert fix_revision(card) == card
    assert not has_fixed_revision(card)
    assert fix_revision(make_card()) == make_card(), "random weights are on no hub"
