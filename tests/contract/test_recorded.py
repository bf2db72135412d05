"""The recorded exchanges that are no polls: submits, lists, logs, drafts, and what else was asked.

Each is read as the client reads it, and comes to what its JSON says. Polls are in `test_samples`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from aitoearn_async import AnyRef, EditImage, GenerateImage, GenerateVideo, ImageRef, VideoRef
from aitoearn_async.contract.drafts import Draft, draft_decoder
from aitoearn_async.contract.endpoints import (
    LogPage,
    endpoint_of,
    log_decoder,
    page_decoder,
    submit_of,
)
from aitoearn_async.contract.envelope import Envelope, Malformed, decode, decode_row
from aitoearn_async.contract.json_limits import LateDecoder
from aitoearn_async.contract.refusal import Refusal
from aitoearn_async.contract.status import TaskState, state_of

DATA = Path(__file__).parents[1] / "data"
IMAGE = submit_of(GenerateImage(model="m", prompt="p"))
EDIT = submit_of(EditImage(model="m", prompt="p", image="https://x/1.png"))
VIDEO = submit_of(GenerateVideo(model="m", prompt="p"))
DRAFTS = LateDecoder(Envelope[list[Draft]])
ROUTES: dict[tuple[str, str], LateDecoder[Any]] = {
    ("POST", "/api/ai/image/generate/async"): IMAGE.decoder,
    ("POST", "/api/ai/image/edit/async"): EDIT.decoder,
    ("POST", "/api/ai/video/generations"): VIDEO.decoder,
    ("GET", "/api/ai/video/generations"): page_decoder,
    ("GET", "/api/ai/logs"): log_decoder,
    ("POST", "/api/ai/draft-generation/query"): DRAFTS,
}
KINDS: dict[str, type[AnyRef]] = {
    "/api/ai/image/task": ImageRef,
    "/api/ai/video/generations": VideoRef,
}


class Exchange(NamedTuple):
    method: str
    path: str
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def load() -> dict[str, Exchange]:
    names = ("samples-rest.jsonl", "samples-2.jsonl")
    lines = [json.loads(line) for name in names for line in (DATA / name).read_bytes().splitlines()]
    return {
        each["name"]: Exchange(each["method"], each["path"], each["status"], each["body"].encode())
        for each in lines
    }


EXCHANGES = load()
NO_JSON = {name for name, each in EXCHANGES.items() if not each.body.startswith(b"{")}
each_one = pytest.mark.parametrize("name", sorted(EXCHANGES.keys() - NO_JSON))


def decoder_of(exchange: Exchange) -> LateDecoder[Any]:
    path = exchange.path.partition("?")[0]
    route, _, id = path.rstrip("/").rpartition("/")
    found = ROUTES.get((exchange.method, path))
    if found is not None:
        return found
    if route.startswith("/api/ai/draft-generation"):
        return draft_decoder
    ref = KINDS.get(route.replace("//", "/").replace("//", "/"), ImageRef)(id or "0")
    return endpoint_of(ref).codec.whole


def rows_of(data: Any) -> list[dict[str, Any]]:
    """The rows of an answer's JSON, whatever they stand in."""
    return data if isinstance(data, list) else data.get("list", [data])


@each_one
def test_it_comes_to_what_it_says(name: str) -> None:
    """A good answer to a Struct with its ids, and a refusal to its code and words."""
    exchange = EXCHANGES[name]
    said = exchange.json
    found = decode(exchange.body, decoder_of(exchange))
    if said["code"]:
        assert isinstance(found, Refusal)
        assert (found.code, found.message) == (said["code"], said["message"])
        return
    assert isinstance(found, Envelope)
    rows = getattr(found.data, "rows", found.data if isinstance(found.data, list) else [found.data])
    assert len(rows) == len(rows_of(said["data"]))
    for row, told in zip(rows, rows_of(said["data"]), strict=True):
        if isinstance(row, msgspec.Raw):
            row = decode_row(bytes(row), endpoint_of(VideoRef("0")).codec)
        assert not isinstance(row, Malformed)
        id = getattr(row, "id", None) or getattr(row, "log_id", None)
        assert id == (told.get("logId") or told["id"])


def test_what_is_no_json_is_known_as_that() -> None:
    """Heads without a body, an unchanged page, and a route for machines."""
    assert len(NO_JSON) == 6
    for name in NO_JSON:
        found = decode(EXCHANGES[name].body, IMAGE.decoder)
        assert isinstance(found, Malformed)
        assert not found.is_json


@pytest.mark.parametrize("name", [name for name in sorted(EXCHANGES) if name.startswith("logs-")])
def test_a_row_of_the_logs(name: str) -> None:
    """Its times and its state, for rows of every type."""
    exchange = EXCHANGES[name]
    if name in NO_JSON or exchange.json["code"]:
        return
    page = decode(exchange.body, log_decoder)
    assert isinstance(page, Envelope)
    assert isinstance(page.data, LogPage)
    assert page.data.total == exchange.json["data"]["total"]
    for row, told in zip(page.data.rows, exchange.json["data"]["list"], strict=True):
        assert (row.type, row.model, row.duration) == (
            told["type"],
            told["model"],
            told.get("duration"),
        )
        assert (row.times.submitted is not None, bool(row.times.ended)) == (
            True,
            "duration" in told,
        )
        assert (state_of(row.status) is TaskState.RUNNING) is (row.duration is None)


def test_b64_json_is_answered_with_an_address() -> None:
    """The one exchange that asked for it has a URL, and no base64."""
    (image,) = EXCHANGES["image-asked-for-b64-json"].json["data"]["images"]
    assert list(image) == ["url"]
