"""JSON that breaks the contract: wrong types, nothing where something must be."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from aitoearn_async import (
    AnyRef,
    ContractError,
    ImageRef,
    ServiceUnreachableError,
    TaskState,
    VideoRef,
    wait_backoff,
)
from tests.contract.samples import SAMPLES
from tests.support.raw_server import ID, REF, Heard, Part, RawServer, Script, good, http, say, task

from .harness import Row, Trial
from .shared import VIDEO

ROW = Row(
    10,
    "An answer breaks the contract: a field of a wrong type, no data, a code in quotes",
    "An error that names the field. For a wait it is a lost poll: it goes on until the answers "
    "are right again or its patience is over, and the others notice nothing.",
)

DATA: dict[AnyRef, dict[str, object]] = {
    REF: json.loads(SAMPLES["image-success-list-absolute-urls"].body)["data"] | {"logId": ID},
    VIDEO: json.loads(SAMPLES["video-relay-full-input"].body)["data"] | {"id": ID},
}
"""A whole task of each kind, as recorded."""

NO_TEXT: list[object] = [5, [], {}, True]
NO_ID = [value for value in NO_TEXT if type(value) is not int]
NO_NUMBER: list[object] = ["5", [], {}, True]
NO_OBJECT: list[object] = ["x", 5, [], False]
FIELDS: dict[AnyRef, dict[str, list[object]]] = {
    REF: {
        "logId": [None, *NO_ID],
        "status": [None, ["success"], *NO_TEXT],
        "images": ["none", 5, {}, [5], ["url"], [None], [{"url": 5}]],
        "points": NO_NUMBER,
        "duration": NO_NUMBER,
        "request": NO_OBJECT,
        "response": NO_OBJECT,
        "errorMessage": NO_TEXT,
    },
    VIDEO: {
        "id": [None, *NO_ID],
        "status": [None, ["SUCCESS"], *NO_TEXT],
        "input": [*NO_OBJECT, {"duration": "5"}, {"images": [5]}, {"prompt": {}}],
        "error": [*NO_OBJECT, {"message": 5}],
        "videoUrl": NO_TEXT,
        "coverUrl": NO_TEXT,
        "model": NO_TEXT,
    },
}
WRONG = [
    (ref, field, wrong)
    for ref, fields in FIELDS.items()
    for field, values in fields.items()
    for wrong in values
]
UNREADABLE: list[object] = ["soon", 1e300, [], {}, True]
MISSING: dict[str, bytes] = {
    "null": b"null",
    "a list": b"[]",
    "a text": b'"ok"',
    "no data": b'{"code":0,"message":"ok"}',
    "null data": b'{"code":0,"data":null}',
    "empty data": b'{"code":0,"data":{}}',
    "a list of data": b'{"code":0,"data":[{}]}',
    "no code": b'{"data":{"logId":"1","status":"success"}}',
    "a code in quotes": b'{"code":"0","data":{"logId":"1","status":"success"}}',
    "a code that is a float": b'{"code":0.0,"data":{"logId":"1","status":"success"}}',
    "a code that is null": b'{"code":null,"data":{"logId":"1","status":"success"}}',
    "half a surrogate pair": b'{"code":0,"data":{"logId":"1","status":"\\ud800"}}',
    "invalid UTF-8": b'{"code":0,"data":{"logId":"1","status":"\xff"}}',
}


def saying(data: object) -> bytes:
    return http(json.dumps({"data": data, "code": 0, "requestId": "r"}).encode())


async def test_every_field_of_a_wrong_type(trial: Trial) -> None:
    """Asked for once by `get`, and told with the path of the field."""

    def choose(heard: Heard) -> Script:
        ref, field, wrong = WRONG[heard.number]
        return say(saying(DATA[ref] | {field: wrong}))

    async with RawServer(choose=choose) as server, server.client(attempts=3) as client:
        for ref, field, wrong in WRONG:
            (error,) = await trial.ends(client.get, ref)
            assert type(error) is ContractError, (field, wrong, error)
            assert not error.transient
            assert f"$.data.{field}" in str(error)
    trial.wire(server, exactly=len(WRONG))


@pytest.mark.parametrize("ref", [REF, VIDEO], ids=["image", "video"])
async def test_moments_of_a_wrong_type(trial: Trial, ref: AnyRef) -> None:
    """A date that cannot be read costs the date, not the finished task."""
    for field in (name for name in DATA[ref] if name.endswith("At")):
        bodies = [saying(DATA[ref] | {field: wrong}) for wrong in UNREADABLE]
        async with (
            RawServer(*(say(body) for body in bodies)) as server,
            server.client(attempts=1) as client,
        ):
            for _ in bodies:
                (end,) = await trial.ends(client.get, ref)
                assert end.status == DATA[ref]["status"]
        trial.wire(server, exactly=len(bodies))


@pytest.mark.parametrize("body", MISSING.values(), ids=MISSING)
async def test_what_must_be_there(trial: Trial, body: bytes) -> None:
    """Without code, data, id or status there is no task, and no crash."""
    async with RawServer(say(http(body)), good()) as server, server.client() as client:
        (error,) = await trial.ends(client.get, REF)
        assert type(error) is ContractError
        assert len(str(error)) < 400
        await trial.ends(client.get, REF, status="success")
    trial.wire(server, exactly=2)


@pytest.mark.parametrize("body", MISSING.values(), ids=MISSING)
async def test_a_wait_goes_on(trial: Trial, body: bytes) -> None:
    """It costs a poll each time, before and after good answers."""
    bad = say(http(body))
    scripts = bad, bad, good("generating"), *[bad] * 7, good()
    async with RawServer(*scripts) as server, server.client(wait=wait_backoff(1)) as client:
        waiter = client.wait_for(REF)
        await trial.ends(lambda _: waiter, REF, status="success")
        assert waiter.polls == 11
    trial.wire(server, exactly=11)


@pytest.mark.slow
async def test_one_that_stays_broken_fails_alone(trial: Trial) -> None:
    """Each such wait ends with its patience and the reason; the others end as they would have."""
    refs: list[AnyRef] = [ImageRef(str(number)) for number in range(40)]
    refs += [VideoRef(str(number)) for number in range(40)]
    broken = refs[7::10]
    asked: dict[str, int] = {}

    def choose(heard: Heard) -> Iterable[Part]:
        asked[heard.path] = asked.get(heard.path, 0) + 1
        kind, id = "video" if "/video/" in heard.path else "image", heard.path.rpartition("/")[2]
        if int(id) % 10 == 7:
            return (saying(task("success", id=id, kind=kind) | {"status": 5}),)
        return good("success" if asked[heard.path] > 8 else "running")(heard)

    async with RawServer(choose) as server, server.client(wait=wait_backoff(10)) as client:
        outcomes = await client.wait_all(refs, patience=60)
        trial.book(refs, outcomes)
    for outcome in outcomes:
        if outcome.ref in broken:
            assert isinstance(outcome.error, ServiceUnreachableError)
            assert isinstance(outcome.error.__cause__, ContractError)
            assert "$.data.status" in str(outcome.error.__cause__)
            assert outcome.error.seen == {"broken answer": outcome.polls}
            assert 5 <= outcome.polls <= 9
            trial.figure("seconds over a patience of 60", outcome.elapsed - 60, 0.05)
        else:
            assert outcome.task is not None
            assert outcome.task.state is TaskState.SUCCEEDED
            assert outcome.polls == 9
    trial.wire(server, exactly=sum(outcome.polls for outcome in outcomes))


async def test_those_that_stay_broken_are_no_outage(trial: Trial) -> None:
    """Not even where there are no others: the service is there, and each is asked to its end."""
    refs = [ImageRef(str(number)) for number in range(12)]
    async with (
        RawServer(say(saying({"logId": "0", "status": 5}))) as server,
        server.client(wait=wait_backoff(5, 1)) as client,
    ):
        outcomes = await client.wait_all(refs, patience=60)
        statistics = client.statistics()
    trial.book(refs, outcomes)
    assert {type(outcome.error) for outcome in outcomes} == {ServiceUnreachableError}
    assert min(outcome.polls for outcome in outcomes) >= 10
    assert (statistics.outages, statistics.held) == (0, 0)
    trial.wire(server, exactly=sum(outcome.polls for outcome in outcomes))
