"""The documented steps for what is new: a kind of task, a submit, an error, a header, a figure.

Each is added here as docs/contributing.md says, and nowhere else; then it does all that the others
do, with a real server.
"""

from __future__ import annotations

import asyncio
import io
import json
import pickle
import wave
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from aitoearn_async import (
    ApiError,
    Client,
    ClientStatistics,
    EditImage,
    ImageRef,
    Outcome,
    Task,
    TaskFailedError,
    TaskNotFoundError,
    TaskRef,
    TaskRequest,
    WaitTimeoutError,
    errors,
    parse_ref,
)
from aitoearn_async._api import refusals
from aitoearn_async._downloads import filenames
from aitoearn_async.contract import endpoints, field_rules, kinds, tasks
from aitoearn_async.contract.drafts import Draft
from aitoearn_async.contract.envelope import Envelope, codec_for
from aitoearn_async.contract.json_limits import LateDecoder
from aitoearn_async.contract.outputs import Result, result_at
from aitoearn_async.contract.task_times import TaskTimes, seconds_of
from aitoearn_async.emulator import Emulator, Fault, pictures
from tests.support.raw_server import Line, RawServer, envelope, good, http, say
from tests.uploads.stores import Server, length_of

# In a file beside contract/video_tasks.py: a ref, its Struct, and its fields, as the rows of the
# table read them. The unions in contract/kinds.py would have the first two.


class AudioRef(TaskRef["AudioTask"], frozen=True, tag="audio"):
    """A sound, by its id."""


class AudioTask(Task, frozen=True, kw_only=True, rename="camel"):
    """A task that makes a sound."""

    id: str
    text: str | None = None
    audio_url: str | None = None
    reason: str | None = None
    made_at: tasks.Moment | None = None
    ended_at: tasks.Moment | None = None

    @property
    def ref(self) -> AudioRef:
        return AudioRef(self.id)

    @property
    def prompt(self) -> str | None:
        return self.text

    @property
    def urls(self) -> list[str]:
        return [self.audio_url] if self.audio_url else []

    @property
    def failure(self) -> str | None:
        return self.reason


def results_of(task: AudioTask) -> list[Result]:
    return [result_at("audio", None, task.audio_url)] if task.audio_url else []


def times_of(task: AudioTask) -> TaskTimes:
    ended = seconds_of(task.ended_at)
    return TaskTimes(None, seconds_of(task.made_at), [] if ended is None else [ended])


def echo_of(task: AudioTask) -> dict[str, Any]:
    return {"prompt": task.text}


def of_draft(id: str, draft: Draft) -> AudioTask:
    return AudioTask(id=id, status=draft.status, reason=draft.error_message)


# In contract/endpoints.py: a row.

ROW = endpoints.Endpoint(
    path="/api/ai/audio/tasks/",
    codec=codec_for(AudioTask, "id"),
    bare=lambda id, status: AudioTask(id=id, status=status),
    results_of=results_of,
    times_of=times_of,
    echo_of=echo_of,
    of_draft=of_draft,
)

# Its media types have their suffixes in _downloads/filenames.py.

# A new submit: a Struct in contract/requests.py, and a row in contract/endpoints.py.


class GenerateAudio(TaskRequest[AudioRef], frozen=True, kw_only=True, omit_defaults=True):
    """Words to be spoken."""

    voice: str | None = None
    sample: Any = None

    ref_type: ClassVar[Any] = AudioRef
    _rules: ClassVar[Any] = {"voice": field_rules.text(), "sample": field_rules.media}
    _files: ClassVar[Any] = {"sample": "audio"}


class AudioReceipt(msgspec.Struct, frozen=True):
    """The answer to it."""

    id: str


MODELS = endpoints.Catalog(path="/api/ai/models/audio", model=endpoints.VIDEO_MODELS.model)
SUBMIT = endpoints.SubmitEndpoint(
    path="/api/ai/audio/generate",
    ref_type=AudioRef,
    decoder=LateDecoder(Envelope[AudioReceipt]),
    catalog=MODELS,
)


@pytest.fixture(autouse=True)
def audio(monkeypatch: pytest.MonkeyPatch) -> None:
    tables: list[tuple[Any, Any, Any]] = [
        (kinds.REF_TYPES, "audio", AudioRef),
        (endpoints.ENDPOINTS, AudioRef, ROW),
        (endpoints.SUBMITS, GenerateAudio, SUBMIT),
        (filenames.SUFFIXES, "audio/wav", ".wav"),
    ]
    for table, name, value in tables:
        monkeypatch.setitem(table, name, value)


def sound() -> bytes:
    """A tenth of a second of silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", ""))
        writer.writeframes(bytes(1600))
    return file.getvalue()


class Studio(Server):
    """A service that makes sounds. Each runs for three polls, or until it was in two lists."""

    def __init__(self, *, lists: bool = False, fails: bool = False) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()
        self.submits: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self._lists = lists
        self._end = {"status": "failed", "reason": "too loud"} if fails else {"status": "success"}

    def client(self, **options: Any) -> Client:
        return super().client(**{"private_media": True, **options})

    def add(self, count: int) -> list[AudioRef]:
        """Make tasks, as another program has."""
        new = [f"{len(self.ids) + number:024x}" for number in range(count)]
        self.ids += new
        return [AudioRef(id) for id in new]

    async def answer(self, head: bytes, line: Line) -> bool:
        path, _, query = head.split(b" ")[1].decode().partition("?")
        if path == SUBMIT.path:
            self.submits.append(json.loads(await line.reader.readexactly(length_of(head))))
            return await line.perform([http(envelope({"id": self.add(1)[0].id}))])
        if path == "/api/ai/logs":
            return await line.perform([http(self._page(query))])
        if path.startswith("/files/"):
            return await line.perform([http(sound())])
        return await line.perform([http(self._task(path.removeprefix(ROW.path)))])

    def _task(self, id: str) -> bytes:
        if id not in self.ids:
            return envelope(code=404, message="no such thing")
        self.asked[id] += 1
        runs = {"id": id, "status": "generating", "text": "Hello"}
        ended = {**runs, **self._end, "audioUrl": f"{self.url}/files/{id}.wav"}
        return envelope(ended if self._lists or self.asked[id] > 3 else runs)

    def _page(self, query: str) -> bytes:
        assert query.startswith("type=audio&")
        self.asked["lists"] += 1
        if not self._lists:
            return envelope(code=404, message="Cannot GET")
        word = "generating" if self.asked["lists"] < 3 else "success"
        rows = [{"id": id, "status": word, "type": "audio"} for id in reversed(self.ids)]
        return envelope({"list": rows, "total": len(rows)})


def test_its_refs_are_refs() -> None:
    """Text, JSON, pickles and order, as of the others."""
    ref: Any = parse_ref("audio:66")
    assert ref == AudioRef("66")
    assert (str(ref), ref.kind) == ("audio:66", "audio")
    assert pickle.loads(pickle.dumps(ref)) == ref
    assert msgspec.json.decode(msgspec.json.encode(ref), type=AudioRef) == ref
    assert sorted([parse_ref("image:1"), ref]) == [ref, parse_ref("image:1")]
    with pytest.raises(ValueError, match="write image:ID or video:ID or audio:ID"):
        parse_ref("text:66")


async def test_it_is_submitted_waited_for_and_saved(tmp_path: Path) -> None:
    """In one call; the file is named after the task, with the ending of what is in it."""
    async with Studio() as studio, studio.client() as client:
        words: list[str] = []
        task = await client.run(
            GenerateAudio(model="m", prompt="Hello", voice="alto"),
            changed=lambda task: words.append(task.status),
            save=tmp_path,
        )
    assert type(task) is AudioTask
    assert (task.text, task.done, words) == ("Hello", True, ["generating", "success"])
    assert studio.submits == [{"model": "m", "prompt": "Hello", "voice": "alto"}]
    assert (tmp_path / f"audio-{task.id}.wav").read_bytes() == sound()


async def test_its_fields_are_checked() -> None:
    """By the rules of its own Struct, before anything is sent."""
    with pytest.raises(ValueError, match="voice="):
        GenerateAudio(model="m", prompt="Hello", voice="")


async def test_it_is_asked_about_once_and_downloaded_by_its_text(tmp_path: Path) -> None:
    async with Studio(lists=True) as studio, studio.client() as client:
        (ref,) = studio.add(1)
        task = await client.get(ref)
        (path,) = await client.download(str(ref), tmp_path)
    assert isinstance(task, AudioTask)
    assert task.urls == [f"{studio.url}/files/{ref.id}.wav"]
    assert path.name == f"audio-{ref.id}.wav"


async def test_its_failure_has_a_reason_and_goes_through_files() -> None:
    async with Studio(fails=True) as studio, studio.client() as client:
        (ref,) = studio.add(1)
        with pytest.raises(TaskFailedError, match="too loud"):
            await client.wait_for(ref)
        (outcome,) = await client.wait_all([ref])
    again: Any = Outcome.from_json(outcome.to_json())
    assert again.ref == ref
    assert again.task == outcome.task
    assert type(again.error) is TaskFailedError


async def test_it_can_be_out_of_time_and_unknown() -> None:
    async with Studio() as studio, studio.client() as client:
        (ref,) = studio.add(1)
        with pytest.raises(WaitTimeoutError) as caught:
            await client.wait_for(ref, timeout=0)
        with pytest.raises(TaskNotFoundError):
            await client.get(AudioRef("7" * 24))
    error: Any = caught.value
    assert error.ref == ref
    assert error.latest == AudioTask(id=ref.id, status="generating", text="Hello")


async def test_many_are_asked_about_by_pages_of_the_list() -> None:
    """The list of the logs is asked for its kind, and each task once, when it has ended."""
    async with Studio(lists=True) as studio, studio.client() as client:
        refs = studio.add(40)
        outcomes = await client.wait_all(refs)
    assert [outcome.ref for outcome in outcomes] == refs
    assert all(outcome.ok for outcome in outcomes)
    lists = studio.asked.pop("lists")
    assert 3 <= lists <= 10
    assert studio.asked.total() <= 44


# A new error: a class in errors.py, and a row in _api/refusals.py.


class QuotaError(ApiError):
    """The quota of the day is used up."""


class BusyError(ApiError):
    """The model is busy."""

    transient = True


@pytest.fixture
def new_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    for code, error in ((777, QuotaError), (778, BusyError)):
        monkeypatch.setattr(errors, error.__name__, error, raising=False)
        monkeypatch.setitem(refusals.CODES, code, error)


@pytest.mark.usefixtures("new_errors")
async def test_an_error_is_raised_and_goes_through_files() -> None:
    """A wait ends with it, since it is not said to pass."""
    ref = ImageRef("66")
    refused = say(http(envelope(code=777, message="come back tomorrow")))
    async with RawServer(refused) as server, server.client() as client:
        (outcome,) = await client.wait_all([ref])
    assert server.count <= 2
    again = Outcome.from_json(outcome.to_json())
    for error in (outcome.error, again.error, pickle.loads(pickle.dumps(outcome.error))):
        assert type(error) is QuotaError
        assert (error.code, error.message) == (777, "come back tomorrow")


@pytest.mark.usefixtures("new_errors")
async def test_an_error_that_passes_is_met_with_another_attempt() -> None:
    """`transient` says so, and nothing else has to."""
    busy, done = say(http(envelope(code=778))), good("success", id="66")
    async with RawServer(busy, busy, done, busy) as server, server.client(attempts=3) as client:
        assert (await client.get(ImageRef("66"))).done
        with pytest.raises(BusyError):
            await client.get(ImageRef("66"))
    assert server.count == 6


# A header that is sent: set in _transport/request.py, for requests of every kind.

OF_ALL = {"host", "x-api-key", "x-request-id", "accept", "accept-encoding", "user-agent"}
OF_SOME = {"content-type", "content-length", "connection", "cache-control"}


async def test_all_requests_to_the_service_have_the_same_headers(tmp_path: Path) -> None:
    """A header set in one place is on all of them, and none of ours is on a request for a file."""
    picture = tmp_path / "cat.png"
    picture.write_bytes(pictures.png("a cat"))
    edit = EditImage(model="gpt-image-2", prompt="at night", image=picture)
    async with (
        Emulator() as service,
        Client(service.api_key, base_url=service.url, private_media=True) as client,
    ):
        image = await client.run(edit, check=True, save=tmp_path)
        await client.wait_all(service.add_image() for _ in range(40))
        [_ async for _ in client.list_videos()]
        [_ async for _ in client.list_images()]
        await client.get(image.ref)
    whole = [
        request
        for request in service.requests
        if not request.media and "If-None-Match" not in request.headers
    ]
    assert len({(request.method, request.route) for request in whole}) >= 6
    for request in whole:
        assert {name.lower() for name in request.headers} - OF_SOME == OF_ALL
    for request in service.requests:
        assert not request.media or "X-Api-Key" not in request.headers


# A figure of statistics(): counted by the part it is about, filled in in _api/statistics.py.


async def test_every_figure_of_the_statistics_is_counted() -> None:
    """In an hour of good answers, trouble and outages, there is none that stays as it was."""
    seen: list[ClientStatistics] = []

    async def look(client: Client) -> None:
        while True:
            seen.append(client.statistics())
            await asyncio.sleep(0.5)

    async with (
        Emulator() as service,
        Client(service.api_key, base_url=service.url, concurrency=2) as client,
    ):
        fresh = client.statistics()
        looking = asyncio.create_task(look(client))
        await client.wait_all(service.add_image() for _ in range(10))
        service.fault(Fault(status=429, headers={"Retry-After": "5"}, delay=1), times=10)
        await client.wait_all(service.add_image() for _ in range(10))
        service.fault(Fault(status=502, delay=1), times=None)
        await client.wait_all((service.add_image() for _ in range(20)), patience=60)
        looking.cancel()
    for figure in msgspec.structs.fields(ClientStatistics):
        before = getattr(fresh, figure.name)
        assert any(getattr(later, figure.name) != before for later in seen), figure.name
