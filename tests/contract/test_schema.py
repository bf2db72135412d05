"""Answers after the contract, near it and far from it: a Struct that is right, or an error."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import aiohttp
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aitoearn_async import AiToEarnError, AnyRef, Client, ImageRef, ImageTask, VideoRef, VideoTask
from aitoearn_async.contract.endpoints import endpoint_of
from aitoearn_async.contract.envelope import Envelope, Malformed, TaskHead, decode_head
from aitoearn_async.contract.refusal import Refusal, id_text, refusal
from aitoearn_async.emulator import Emulator, Fault, VirtualTimeLoop
from tests.support.cases import case

from .agreement import TABLES, agree
from .samples import SAMPLES, Reply, replaying
from .schema import (
    ID_FIELDS,
    REFUSAL,
    REFUSED,
    TASKS,
    TOLERATED,
    Dialect,
    Kind,
    answer,
    check,
    fits,
)
from .strategies import JSON, WRONG, encoded, like, moderate, nearly_valid, spoilt, successes

KINDS: list[Kind] = ["image", "video"]
DIALECTS: list[Dialect] = ["published", "observed"]
REFS: dict[Kind, AnyRef] = {"image": ImageRef("66"), "video": VideoRef("67")}
MODELS: dict[Kind, type[msgspec.Struct]] = {"image": ImageTask, "video": VideoTask}

each_kind = pytest.mark.parametrize("kind", KINDS)
each_dialect = pytest.mark.parametrize("dialect", DIALECTS)
data = given(data=st.data())


def read_as(kind: Kind, body: bytes) -> Any:
    """Read the bytes of an answer in every way there is, and check that the ways agree."""
    endpoint = endpoint_of(REFS[kind])
    result = endpoint.codec.decode(body)
    assert type(result) in (Envelope, Refusal, Malformed)
    seen, no = decode_head(body, endpoint.codec), refusal(body)
    if isinstance(result, Envelope):
        is_number = not isinstance(json.loads(body)["data"][ID_FIELDS[kind]], str)
        assert is_number or isinstance(seen, TaskHead)
        if seen is not None:
            assert (seen.id, seen.status) == (result.data.id, result.data.status)
        assert no is None
    elif isinstance(result, Refusal):
        assert seen is None
        assert no == result
    return result


def without_moments(value: dict[str, Any]) -> dict[str, Any]:
    return {name: field for name, field in value.items() if not name.endswith("At")}


def check_reading(kind: Kind, found: Any, result: object) -> None:
    """Assert that JSON was read as the schemas say it is to be."""
    if fits(found, TOLERATED[kind]):
        assert isinstance(result, Envelope)
        assert type(result.data) is MODELS[kind]
        assert result.request_id == found.get("requestId")
        fields = {n: f for n, f in TABLES[MODELS[kind]].items() if not n.endswith("At")}
        agree(result.data, without_moments(found["data"]), fields)
    elif fits(found, REFUSED):
        assert isinstance(result, Refusal)
        assert result.code == found["code"]
        assert result.request_id == id_text(found.get("requestId"))
        if isinstance(found.get("message"), str):
            assert result.message == found["message"]
    elif isinstance(result, Refusal):
        # A gateway's: without a code, or with a word for one; and with words, but without data.
        assert type(found.get("code")) is not int
        assert not found.get("data") or found.get("error") or found.get("success") is False
    else:
        assert isinstance(result, Malformed)
        assert result.is_json
        assert 0 < len(result.reason) <= 200


def test_samples_fit_the_observed_schema() -> None:
    """What was recorded is what the observed schema describes, so the schema is no fancy."""
    told = {name: sample for name, sample in SAMPLES.items() if sample.body.startswith("{")}
    assert len(told) > 100
    for name, sample in told.items():
        with case(name):
            check(sample.json, answer("image" if sample.kind is ImageRef else "video", "observed"))


@each_kind
@each_dialect
def test_tolerated_is_wider(kind: Kind, dialect: Dialect) -> None:
    """Every field of the dialects is one that is tolerated, and known to the comparison."""
    fields = set(TASKS[kind, dialect]["properties"])
    assert fields <= set(TABLES[MODELS[kind]])
    tolerated = TOLERATED[kind]["properties"]["data"]
    assert {name for name in fields if not name.endswith("At")} == set(tolerated["properties"])
    assert tolerated["required"] == [ID_FIELDS[kind], "status"]


@pytest.mark.sampled(3)
@each_kind
@each_dialect
@moderate
@data
def test_valid_answers(kind: Kind, dialect: Dialect, data: st.DataObject) -> None:
    """A valid answer of either dialect becomes a Struct that says the same, moments too."""
    found = data.draw(successes(kind, dialect))
    result = read_as(kind, encoded(found))
    assert isinstance(result, Envelope)
    agree(result.data, found["data"])
    check_reading(kind, found, result)


@each_kind
@moderate
@data
def test_refusals(kind: Kind, data: st.DataObject) -> None:
    """A valid refusal is one, with its code, words and request id."""
    found = data.draw(like(REFUSAL))
    no = read_as(kind, encoded(found))
    assert isinstance(no, Refusal)
    assert (no.code, no.message) == (found["code"], found["message"])
    assert no.request_id == (found.get("requestId") or None)


@each_kind
@moderate
@data
def test_nearly_valid_answers(kind: Kind, data: st.DataObject) -> None:
    """An answer a little off is read if it is tolerated; if not, it is told to be broken."""
    found = data.draw(nearly_valid(kind))
    check_reading(kind, found, read_as(kind, encoded(found)))


@each_kind
@moderate
@data
def test_any_json(kind: Kind, data: st.DataObject) -> None:
    """JSON that has nothing to do with the contract is broken JSON, never an exception."""
    found = data.draw(JSON)
    check_reading(kind, found, read_as(kind, encoded(found)))


def typical(kind: Kind) -> dict[str, Any]:
    """An answer with every field of the observed dialect in it."""
    name = {"image": "image-success-list-absolute-urls", "video": "video-relay-full-input"}[kind]
    found: dict[str, Any] = SAMPLES[name].json
    return found


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, name) for kind in KINDS for name in TABLES[MODELS[kind]]]
)
def test_each_field_of_a_wrong_type(kind: Kind, field: str) -> None:
    """A field of a wrong type is told with its path; one of a tolerated type is kept."""
    for wrong in WRONG:
        with case(wrong):
            found = typical(kind)
            found["data"][field] = wrong
            result = read_as(kind, encoded(found))
            check_reading(kind, found, result)
            if isinstance(result, Malformed):
                assert f"`$.data.{field}" in result.reason


@pytest.mark.sampled(3)
@each_kind
@pytest.mark.parametrize("field", ["code", "requestId", "message", "timestamp", "data", "more"])
def test_each_part_of_the_envelope_of_a_wrong_type(kind: Kind, field: str) -> None:
    """The code decides; the message and what is not known are of any type."""
    no = {"code": 401, "message": "no", "data": {}, "requestId": "r"}
    for wrong, whole in itertools.product(WRONG, (typical(kind), no)):
        with case(wrong):
            found = whole | {field: wrong}
            check_reading(kind, found, read_as(kind, encoded(found)))


@each_kind
def test_each_field_dropped(kind: Kind) -> None:
    """Only id and status make a task; each other field can be missing."""
    for field in TABLES[MODELS[kind]]:
        found = typical(kind)
        found["data"].pop(field, None)
        result = read_as(kind, encoded(found))
        assert isinstance(result, Malformed) is (field in (ID_FIELDS[kind], "status"))


@each_kind
@moderate
@data
def test_spoilt_bytes(kind: Kind, data: st.DataObject) -> None:
    """Bytes gone wrong are no exception, and no task that the standard library reads otherwise."""
    body = data.draw(spoilt(kind))
    result = read_as(kind, body)
    if isinstance(result, Envelope):
        check_reading(kind, json.loads(body.decode("utf-8", "replace")), result)


async def say(bodies: list[bytes], kind: Kind) -> list[object]:
    """What the client makes of these bodies, one after the other, over a socket."""
    results: list[object] = []
    async with (
        replaying(Reply(b"")) as server,
        Client("k", base_url=server.url, attempts=1) as client,
    ):
        for body in bodies:
            server.reply = Reply(body)
            try:
                results.append(await client.get(REFS[kind]))
            except AiToEarnError as error:
                results.append(error)
    return results


@pytest.mark.sampled(2)
@each_kind
@settings(moderate, max_examples=8 + moderate.max_examples // 10)  # of ten bodies each
@data
def test_anything_through_a_socket(kind: Kind, data: st.DataObject) -> None:
    """Whatever the service says, the client gives a task of that id or one of our errors."""
    bodies = data.draw(st.lists(spoilt(kind) | nearly_valid(kind).map(encoded), max_size=10))
    own = data.draw(successes(kind, "observed"))
    own["data"][ID_FIELDS[kind]] = REFS[kind].id
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        *results, last = runner.run(say([*bodies, encoded(own)], kind))
    for result in results:
        assert isinstance(result, AiToEarnError | MODELS[kind])
        assert str(result)
        assert isinstance(result, AiToEarnError) or getattr(result, "ref", None) == REFS[kind]
    assert isinstance(last, ImageTask | VideoTask)
    agree(last, own["data"])


async def ask(service: Emulator, ref: AnyRef, *, language: str = "en", key: str = "") -> Any:
    """The emulator's answer, as JSON, past the package's own client."""
    path = {"image": "image/task", "video": "video/generations"}[ref.kind]
    headers = {"X-Api-Key": key or service.api_key, "Accept-Language": language}
    async with aiohttp.ClientSession() as session:
        url = f"{service.url}/api/ai/{path}/{ref.id}"
        async with session.get(url, headers=headers) as response:
            assert response.status == 200
            return json.loads(await response.read())


@each_dialect
async def test_the_emulator_speaks_the_contract(dialect: Dialect) -> None:
    """Every answer of the emulator, good or not, is as the schema of its dialect says."""
    async with Emulator(dialect=dialect) as service:
        refs: list[AnyRef] = [
            *(service.add_image(word) for word in ("generating", "success", "failed")),
            service.add_image("success", images=[{"b64_json": "aGk="}], request={"n": [1, None]}),
            *(service.add_video(word) for word in ("SUBMITTED", "InProgress", "SUCCESS")),
            *(service.add_video(word) for word in ("FAILURE", "expired", "NOT_START")),
            service.add_video(input={"prompt": "p", "image": ["https://x/1.png"], "duration": 6}),
        ]
        for ref in refs:
            found = await ask(service, ref)
            check(found, answer("image" if isinstance(ref, ImageRef) else "video", dialect))
            assert found["code"] == 0
            assert found["data"][ID_FIELDS["image" if isinstance(ref, ImageRef) else "video"]]
        for unknown in (ImageRef("f" * 24), VideoRef("f" * 24), ImageRef("bad"), VideoRef("bad")):
            for language in ("en", "zh-CN"):
                found = await ask(service, unknown, language=language)
                check(found, answer("image", dialect))
                assert found["code"] != 0
        check(await ask(service, refs[0], key="another"), answer("image", dialect))
        service.fault(Fault(code=500))
        check(await ask(service, refs[0]), answer("image", dialect))
