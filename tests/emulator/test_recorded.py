"""The emulator beside a real server: each recorded exchange, asked once more.

A task is put into the emulator as the exchange shows it. Then the same request has to get the
same answer: to the last byte where the emulator can be told all that is in it, so that even the
ETags are the recorded ones, and in code, words and fields where a time or an id is new.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from aitoearn_async import AnyRef
from aitoearn_async.emulator import Emulator, Fault
from tests.contract.samples import Sample

from .talk import Reply, send

DATA = Path(__file__).parents[1] / "data"
FILES = ("samples.jsonl", "samples-rest.jsonl", "samples-2.jsonl")
KEY, OTHER_KEY = "sk-test-valid-key", "sk-test-other-user"
IMAGE, VIDEO = "/api/ai/image/task/", "/api/ai/video/generations/"


class Exchange(Sample, frozen=True):
    """One recorded request and its answer."""

    method: str = "GET"

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> int | None:
        return self.json["code"] if self.body.startswith("{") else None


def load() -> dict[str, Exchange]:
    lines = [line for name in FILES for line in (DATA / name).read_bytes().splitlines()]
    read = [msgspec.json.decode(line, type=Exchange) for line in lines]
    return {exchange.name: exchange for exchange in read}


EXCHANGES: Final = load()

# What the emulator does not do, and why.
LEFT_OUT: Final = {
    "http-health": "it is no route of the API",
    "image-internal-token": "the token is the service's own, for its other processes",
    "video-internal-token": "the token is the service's own, for its other processes",
    "nginx-percent-malformed": "a proxy says it, which a Fault can",
    "nginx-double-slash": "a proxy mends the path before the service sees it",
    "image-edit-request-echoes-data-uri": "the picture has been cut out of the recording",
    "logs-unchanged-304": "the page that has not changed is not among the recordings",
}
BODIES: Final[dict[str, bytes]] = {
    "http-get-with-body": b'{"a": 1}',
    "http-get-with-malformed-json-body": b"{",
    "post-image-malformed-json": b"{",
    "post-image-body-51MB": b" " * (51 * 2**20),
    "post-image-invalid-body": b'{"model": "m"}',
    "post-image-generate-async": b'{"model": "m", "prompt": "a cat"}',
    "post-video-full": b'{"model": "sora-2", "prompt": "a cat", "seed": 1}',
    "post-video-openai": b'{"model": "sora-2", "prompt": "a cat"}',
    "post-video-volcengine": b'{"model": "doubao-seedance-2-0", "prompt": "a cat"}',
    "query-eleven": json.dumps({"taskIds": ["6" * 24] * 11}).encode(),
    "submit-video-provider-400": b'{"model": "grok-imagine-video", "prompt": "status=400"}',
}
# Rows that fail alone, with their code where it is not 500.
BROKEN: Final = re.compile(
    r"null|internal-error|object-message|absent|channel-|without-response|fails-alone"
)
IMAGE_FIELDS: Final = (
    *("startedAt", "duration", "createdAt", "updatedAt"),
    *("response", "images", "errorMessage"),
)
VIDEO_FIELDS: Final = (
    *("submittedAt", "startedAt", "finishedAt"),
    *("videoUrl", "coverUrl", "mediaId", "groupId", "error"),
)
SAID: Final = {"etag", "x-request-id", "content-type", "access-control-allow-origin", "date"}


def body_of(exchange: Exchange) -> bytes | None:
    if exchange.name in BODIES:
        return BODIES[exchange.name]
    found = re.search(r"body: (\{.*\})$", exchange.note)
    return found[1].encode() if found else None


def put_task(service: Emulator, data: dict[str, Any]) -> None:
    """Add the task that an answer shows, with its very times and results."""
    names = IMAGE_FIELDS if "logId" in data else VIDEO_FIELDS
    fields = {name: data.get(name, msgspec.UNSET) for name in names}
    word = data["status"]
    if "logId" in data:
        service.add_image(word, id=data["logId"], request=data["request"], fields=fields)
    else:
        model, input = data["model"], data["input"]
        service.add_video(word, id=data["id"], model=model, input=input, fields=fields)


def put_log_row(service: Emulator, row: dict[str, Any]) -> None:
    word = row["status"]
    if row["type"] == "image":
        service.add_image(word, id=row["id"], request={"model": row["model"]})
    elif row["type"] != "video":
        service.add_log(row["type"], word, model=row["model"], channel=row["channel"])
    else:
        words = {"generating": "InProgress", "success": "SUCCESS", "failed": "FAILURE"}
        service.add_video(words[word], id=row["id"], model=row["model"])


def put_draft(service: Emulator, row: dict[str, Any]) -> None:
    response = row.get("response", {})
    ref = service.add_image(
        row["status"],
        id=row["id"],
        request=row["request"],
        images=response.get("list"),
        error_message=row.get("errorMessage", ""),
    )
    if row["status"] == "success" and not response:
        service.spoil_row(ref)


def prepare(service: Emulator, exchange: Exchange) -> None:
    """Bring the emulator into the state that the server was in."""
    service.add_image(id="0" * 24, api_key=OTHER_KEY)
    path = exchange.path.partition("?")[0]
    if exchange.name == "submit-video-provider-400" or "internal-error" in exchange.name:
        service.fault(Fault(code=500))
    elif exchange.code == 0:
        put_rows(service, exchange, path)
        if exchange.name == "list-page_9-pageSize_5":
            for _ in range(12):
                service.add_video()
    elif BROKEN.search(exchange.name):
        service.spoil_row(put_plain(service, exchange, path), exchange.code, in_logs=True)
    elif exchange.name.endswith("if-none-match-fixed-request-id"):
        put_task(service, EXCHANGES["http-1.0"].json["data"])


def put_rows(service: Emulator, exchange: Exchange, path: str) -> None:
    """Put there what was in the answer."""
    data = exchange.json["data"]
    rows = data if isinstance(data, list) else data.get("list", [data])
    put = put_log_row if "/logs" in path else put_draft if "/draft-" in path else put_task
    for row in reversed(rows):
        if "createdAt" in row or "submittedAt" in row:
            put(service, row)


def put_plain(service: Emulator, exchange: Exchange, path: str) -> AnyRef:
    """Put there some task of the kind that was asked for."""
    id = path.rpartition("/")[2]
    if path.startswith(VIDEO):
        return service.add_video(id=id)
    if path.startswith(IMAGE):
        return service.add_image(id=id)
    return service.add_image() if "type=image" in exchange.path else service.add_video()


async def replay(service: Emulator, exchange: Exchange) -> Reply:
    headers = {"Accept-Encoding": "identity"}
    given = [(n, v) for n, v in exchange.request_headers if n != "X-Api-Key"]
    keys = [value for name, value in exchange.request_headers if name == "X-Api-Key"]
    if exchange.name == "http-1.0":  # whose headers were not recorded
        keys = [KEY]
    return await send(
        service,
        exchange.method,
        exchange.path,
        body_of(exchange),
        {**headers, **dict(given)},
        keys=keys,
    )


def with_request_id(exchange: Exchange) -> Exchange:
    """The same exchange, with the request id that the server made asked for."""
    asked = {name.lower() for name, _ in exchange.request_headers}
    made = exchange.json.get("requestId") if exchange.body.startswith("{") else None
    if made is None or "x-request-id" in asked:
        return exchange
    headers = [*exchange.request_headers, ("X-Request-Id", made)]
    return msgspec.structs.replace(exchange, request_headers=headers)


def shape(value: Any) -> Any:
    """The fields of a JSON value, in their order, and the kinds of what is in them."""
    if isinstance(value, dict):
        return [(name, shape(field)) for name, field in value.items()]
    if isinstance(value, list):
        return [shape(each) for each in value]
    return type(value).__name__ if not isinstance(value, int | float) else "number"


def comparable(exchange: Exchange, data: Any) -> Any:
    """What is compared of `data`: not what each provider stores in a form of its own."""
    if "/draft-" in exchange.path:
        rows = data if isinstance(data, list) else [data]
        return [row | {"response": ""} if "response" in row else row for row in rows]
    if "/logs" in exchange.path and "list" in data:
        rows = [{name: row[name] for name in row if name != "taskId"} for row in data["list"]]
        return data | {"list": rows}
    return data


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", sorted(EXCHANGES.keys() - LEFT_OUT.keys()))
async def test_the_same_request_gets_the_same_answer(name: str) -> None:
    """Status, headers, code, words and fields are the recorded ones."""
    exchange = with_request_id(EXCHANGES[name])
    async with Emulator(api_key=KEY) as service:
        prepare(service, exchange)
        reply = await replay(service, exchange)
    assert reply.status == exchange.status
    if not name.startswith("nginx"):
        recorded = {name.lower() for name, _ in exchange.headers}
        assert {name.lower() for name in reply.headers} & SAID == recorded & SAID
        assert reply.headers.get("Content-Type") == dict(exchange.headers).get("Content-Type")
    if not exchange.body:
        assert reply.body == b""
        return
    found, wanted = reply.json, exchange.json
    assert list(found) == list(wanted)
    assert (found["code"], found["message"]) == (wanted["code"], wanted["message"])
    found_data, wanted_data = (comparable(exchange, each["data"]) for each in (found, wanted))
    assert shape(found_data) == shape(wanted_data)
    if exchange.method == "GET" and ("logId" in wanted["data"] or "model" in wanted["data"]):
        assert reply.body == exchange.body.encode()
        if not name.startswith("nginx"):
            assert reply.headers["ETag"] == dict(exchange.headers)["ETag"]


def test_what_is_left_out_is_there() -> None:
    """The list of exceptions names recorded exchanges, and is short."""
    assert LEFT_OUT.keys() <= EXCHANGES.keys()
    assert len(EXCHANGES) > 170
