"""Recorded answers of a real server, over a real socket, through the public client."""

from __future__ import annotations

from typing import Any

import pytest

from aitoearn_async import (
    AiToEarnError,
    ApiError,
    AuthenticationError,
    Client,
    ImageRef,
    ImageTask,
    ServiceUnreachableError,
    TaskFailedError,
    TaskState,
    TransportError,
    VideoTask,
    WaitTimeoutError,
)

from .agreement import TABLES, agree
from .outcomes import NO_IDS, OUTCOMES, No
from .samples import SAMPLES, VALID_ID, Replay, Reply, Sample, replaying

KEY = "sk-test-valid-key"


def named(
    *, tasks: bool | None = None, states: set[TaskState] | None = None
) -> pytest.MarkDecorator:
    """The samples whose outcome is one of these, as parameters of a test."""
    names = [
        name
        for name, outcome in OUTCOMES.items()
        if (tasks is None or isinstance(outcome, TaskState) is tasks)
        and (states is None or outcome in states)
    ]
    return pytest.mark.parametrize("sample", [SAMPLES[name] for name in names], ids=names)


def check_task(task: object, sample: Sample, state: TaskState) -> None:
    json = sample.json["data"]
    assert isinstance(task, ImageTask | VideoTask)
    assert type(task) is (ImageTask if sample.kind is ImageRef else VideoTask)
    agree(task, json)
    assert task.state is state
    assert task.done is (state is not TaskState.RUNNING)
    assert task.ref == sample.ref
    message = json.get("errorMessage") or (json.get("error") or {}).get("message")
    assert task.failure == message


def check_error(error: AiToEarnError, no: No, request_id: str, sample: Sample) -> None:
    assert type(error) is no.error
    assert isinstance(error, ApiError | TransportError)
    if isinstance(error, ApiError):
        assert error.sent_request_id == request_id
        theirs = sample.json.get("requestId") if sample.body.startswith("{") else None
        assert error.request_id == (
            theirs or dict(sample.headers).get("x-request-id") or request_id
        )
    else:
        assert error.request_id == request_id
    assert error.http_status == no.http_status
    if isinstance(error, ApiError):
        assert error.code == no.code
        assert error.message == no.message
    else:
        assert error.message.startswith(no.message)
    assert KEY not in str(error) + repr(error)


def test_every_sample_has_an_outcome() -> None:
    """The table of outcomes and the recorded samples name the same exchanges."""
    assert OUTCOMES.keys() == SAMPLES.keys()
    assert {name for name, s in SAMPLES.items() if not VALID_ID.fullmatch(s.id)} == NO_IDS


def test_every_field_is_compared() -> None:
    """The tables that compare Structs with JSON leave out no attribute of any Struct."""
    for struct, fields in TABLES.items():
        assert {attribute for attribute, _ in fields.values()} == set(struct.__struct_fields__)
        assert {name: attribute for name, (attribute, _) in fields.items()} == dict(
            zip(struct.__struct_encode_fields__, struct.__struct_fields__, strict=True)
        )


def test_the_large_sample_has_its_size() -> None:
    """The source image that is echoed is as large as it was on the wire."""
    assert len(SAMPLES["image-edit-request-echoes-data-uri"].content) == 4_194_704


@pytest.mark.sampled(3)
@named(tasks=True)
async def test_get_tells_the_task(sample: Sample) -> None:
    """A good answer becomes a Struct that says what the JSON says, with one request."""
    state = OUTCOMES[sample.name]
    assert isinstance(state, TaskState)
    async with replaying(Reply.of(sample)) as server, Client(KEY, base_url=server.url) as client:
        task = await client.get(sample.ref)
    check_task(task, sample, state)
    assert [request.path for request in server.requests] == [
        f"{sample.path.rpartition('/')[0]}/{sample.ref.id}"
    ]


@pytest.mark.sampled(3)
@named(tasks=False)
async def test_get_raises_the_right_error(sample: Sample) -> None:
    """A refusal becomes the error of its code, with the service's words and our request id."""
    no = OUTCOMES[sample.name]
    assert isinstance(no, No)
    async with (
        replaying(Reply.of(sample)) as server,
        Client(KEY, base_url=server.url, attempts=1) as client,
    ):
        with pytest.raises(AiToEarnError) as caught:
            await client.get(sample.ref)
    (request,) = server.requests
    check_error(caught.value, no, request.headers["X-Request-Id"], sample)


@pytest.mark.parametrize("name", sorted(NO_IDS))
async def test_what_is_no_id_is_never_sent(name: str) -> None:
    """An id that could change the path is refused when the ref is made, before any request."""
    sample = SAMPLES[name]
    async with replaying(Reply.of(sample)) as server, Client(KEY, base_url=server.url) as client:
        with pytest.raises(ValueError, match="not a task id"):
            await client.get(sample.kind(sample.id))
    assert server.requests == []


@pytest.mark.sampled(3)
@named(states={TaskState.SUCCEEDED})
async def test_wait_for_returns_a_success(sample: Sample) -> None:
    """A wait whose first answer is a success ends with it, awaited or iterated."""
    async with replaying(Reply.of(sample)) as server, Client(KEY, base_url=server.url) as client:
        task = await client.wait_for(sample.ref)
        seen = [task async for task in client.wait_for(sample.ref)]
    check_task(task, sample, TaskState.SUCCEEDED)
    assert seen == [task]
    assert len(server.requests) == 2


@named(states={TaskState.FAILED})
async def test_wait_for_raises_a_failure(sample: Sample) -> None:
    """A wait for a failed task raises it whole, or returns it when asked to."""
    async with replaying(Reply.of(sample)) as server, Client(KEY, base_url=server.url) as client:
        with pytest.raises(TaskFailedError) as caught:
            await client.wait_for(sample.ref)
        returned = await client.wait_for(sample.ref, raise_on_failure=False)
        seen = [task async for task in client.wait_for(sample.ref)]
    check_task(caught.value.task, sample, TaskState.FAILED)
    assert seen == [returned] == [caught.value.task]
    reason = caught.value.task.failure or "the service gave no reason"
    assert str(caught.value) == f"{sample.ref} failed: {reason}"


@pytest.mark.sampled(3)
@named(states={TaskState.RUNNING})
async def test_wait_for_goes_on_while_it_runs(sample: Sample) -> None:
    """A task that runs on is polled until the deadline, and the last answer is kept."""
    async with replaying(Reply.of(sample)) as server, Client(KEY, base_url=server.url) as client:
        with pytest.raises(WaitTimeoutError) as caught:
            await client.wait_for(sample.ref, timeout=20)
    error = caught.value
    check_task(error.latest, sample, TaskState.RUNNING)
    assert error.latest is not None
    assert error.polls == len(server.requests) > 2
    assert error.seen == {error.latest.status: error.polls}


def polls_of(server: Replay) -> list[Any]:
    """The polls alone: of rows that fail, another route of the service is asked too."""
    return [request for request in server.requests if "/draft-generation/" not in request.path]


@pytest.mark.sampled(3)
@named(tasks=False)
async def test_wait_for_tells_definite_from_transient(sample: Sample) -> None:
    """A definite refusal ends a wait at once, one of the key when it is said twice; trouble costs
    all of its patience first."""
    no = OUTCOMES[sample.name]
    assert isinstance(no, No)
    async with replaying(Reply.of(sample)) as server, Client(KEY, base_url=server.url) as client:
        with pytest.raises(AiToEarnError) as caught:
            await client.wait_for(sample.ref, patience=20)
    error = caught.value
    if issubclass(no.error, TransportError) or no.code == 500:
        assert type(error) is ServiceUnreachableError
        assert error.latest is None
        assert error.polls == len(polls_of(server)) > 2
        assert isinstance(error.__cause__, AiToEarnError)
        error = error.__cause__
    else:
        # The service also says that the key is wrong when it fails to look the account up.
        witnesses = 2 if issubclass(no.error, AuthenticationError) else 1
        assert len(polls_of(server)) == witnesses
    check_error(error, no, polls_of(server)[-1].headers["X-Request-Id"], sample)
