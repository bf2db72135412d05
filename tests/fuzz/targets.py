"""What must hold of any bytes at all, as one function for each place where they come in.

A target returns if its promise is kept, and raises anything otherwise. No fuzzer is needed to
call one: the corpus goes through them with every run of the tests.
"""

from __future__ import annotations

import math
import pickle
import unicodedata
import warnings
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from aitoearn_async import (
    INTERNATIONAL,
    AiToEarnError,
    ApiError,
    ImageRef,
    ImageTask,
    TaskState,
    TransportError,
    VideoRef,
    VideoTask,
    parse_ref,
)
from aitoearn_async._api.caller import ApiCaller
from aitoearn_async._api.draft_lookup import DraftLookup
from aitoearn_async._api.poll import Poller
from aitoearn_async._api.refusals import error_for
from aitoearn_async._api.turns import Turns
from aitoearn_async._net.headers import (
    MOST_RETRY_AFTER,
    condition_of,
    retry_after,
    stored_by,
)
from aitoearn_async._net.urls import checked_base_url, checked_header, proxy_objection
from aitoearn_async._polling.wait.state import WaitState
from aitoearn_async._resilience.limiter import RequestLimiter
from aitoearn_async._resilience.monitor import ServiceMonitor
from aitoearn_async._resilience.scopes import Admission
from aitoearn_async._runtime.lifetime import Lifetime
from aitoearn_async._transport.credentials import Credentials, Key, checked
from aitoearn_async._transport.http import Http
from aitoearn_async._transport.request import OutgoingRequest
from aitoearn_async._transport.response import Response
from aitoearn_async.contract.endpoints import endpoint_of
from aitoearn_async.contract.envelope import Envelope, Malformed, decode_head
from aitoearn_async.contract.refusal import Refusal, refusal

T = TypeVar("T")

ID = "6b02e6e1d971ff8d14238fad"
REFS = (ImageRef(ID), VideoRef(ID))
KEY = "sk-marker-key"


def body(data: bytes) -> None:
    """A body is a Struct, a refusal or broken, never an exception; its readers do not disagree."""
    no = refusal(data)
    for ref in REFS:
        endpoint = endpoint_of(ref)
        result, seen = endpoint.codec.decode(data), decode_head(data, endpoint.codec)
        match result:
            case Envelope(code, task):
                assert code == 0
                assert no is None
                assert isinstance(task, ImageTask | VideoTask)
                check_task(task)
                assert seen is None or (seen.id, seen.status) == (task.id, task.status)
            case Refusal(code, message):
                assert code != 0
                assert no == result
                assert seen is None
                assert len(message) <= 500
                assert code is None or issubclass(error_for(code), ApiError)
            case Malformed(reason):
                assert 0 < len(reason) <= 200


def check_task(task: ImageTask | VideoTask) -> None:
    assert isinstance(task.state, TaskState)
    assert task.done is (task.state is not TaskState.RUNNING)
    assert repr(task)
    copy = msgspec.json.decode(msgspec.json.encode(task), type=type(task))
    assert msgspec.json.encode(copy) == msgspec.json.encode(task)


class Timeless(Lifetime):
    """No loop runs here, and no time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.time = lambda: 0.0

    def enter(self) -> None:
        pass


class Canned(Http):
    """Gives one answer, to whatever is asked. Nothing else of its parent is changed."""

    answer: Response

    async def send(self, request: OutgoingRequest, deadline: float) -> Response:
        assert request.data is None
        assert request.etag is None or (request.etag.isascii() and request.etag.isprintable())
        return self.answer


def answer(data: bytes) -> None:
    """Status, headers and body, whatever they are, are a task or one of our errors.

    The bytes are `STATUS\\nName: value\\n...\\n\\nBODY`.
    """
    limiter = RequestLimiter(64, None, lambda: 0.0)
    monitor = ServiceMonitor("127.0.0.1", limiter, lambda: 0.0)
    lifetime = Timeless()
    http = Canned(
        base_url=URL("http://127.0.0.1"),
        credentials=Credentials(Key(KEY), None, lifetime, 30.0),
        headers={},
        session=None,
        proxy_for=lambda url: None,
        ssl=None,
        most_bytes=64 * 1024 * 1024,
        lifetime=lifetime,
        limiter=limiter,
        monitor=monitor,
    )
    admission = monitor.admit("/")
    assert isinstance(admission, Admission)
    http.answer = answer_of(data, admission)
    caller = ApiCaller(http, lifetime, 30.0, 1)
    poller = Poller(caller, Turns(lifetime), DraftLookup(caller))
    for ref in REFS:
        check_end(poller.fetch(ref, math.inf))
        for known in ("success", "generating"):
            wait: WaitState[Any] = WaitState(
                0.0, ref, started=0.0, polls=1, status=known, validator='"e"'
            )
            check_end(poller.poll(wait, math.inf))


def answer_of(data: bytes, admission: Admission) -> Response:
    head, _, content = data.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    status = int(first[:3]) if first[:3].isdigit() else 200
    # aiohttp decodes headers like this, and lets none of these through.
    text = [line.decode("utf-8", "surrogateescape") for line in lines]
    pairs = [line.replace("\r", "").replace("\0", "").partition(":") for line in text]
    headers = CIMultiDict((name.strip(), value.strip()) for name, _, value in pairs)
    response = Response(status, CIMultiDictProxy(headers), content, None, admission, 0.0)
    response.is_copy = stored_by(response.headers) is not None
    response.retry_after = retry_after(response.headers)
    response.validator = condition_of(response.headers, None)
    return response


def check_end(call: Coroutine[Any, Any, object]) -> None:
    """The call comes to its end, and an error is one of ours, and sound."""
    try:
        error = finish(call)
    except AiToEarnError as raised:
        error = raised
    if isinstance(error, AiToEarnError):
        assert isinstance(error, ApiError | TransportError) or not error.transient
        check_error(error)


def finish(call: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that waits for nothing."""
    try:
        call.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits")


def check_error(error: AiToEarnError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    for text in (str(error), repr(error), *getattr(error, "__notes__", ()), str(again)):
        assert KEY not in text
        assert len(text) < 2000
    assert str(error).isprintable()
    wait = getattr(error, "retry_after", None)
    assert wait is None or 0 <= wait <= MOST_RETRY_AFTER


def ref(data: bytes) -> None:
    """A text is a ref's own, to the letter, or a ValueError in short printable ASCII."""
    text = data.decode("utf-8", "surrogateescape")
    for make in (parse_ref, ImageRef, VideoRef):
        try:
            found = make(text)
        except ValueError as error:
            assert str(error).isascii()
            assert str(error).isprintable()
            assert len(str(error)) < 800
        else:
            assert text == (str(found) if make is parse_ref else found.id)
            assert parse_ref(str(found)) == found
            assert hash(found) == hash(pickle.loads(pickle.dumps(found)))


def address(data: bytes) -> None:
    """An address, a key or a header's value is sound, or a ValueError; no password is shown."""
    text = data.decode("utf-8", "surrogateescape")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for url in accepted(checked_base_url, text):
            assert url.scheme in ("http", "https")
            assert url.host
            assert (url.user, url.password, url.query_string, url.fragment) == (None, None, "", "")
            target = str(url) + "/api/ai/image/task/" + ID
            asked = URL(target, encoded=True)
            assert (asked.scheme, asked.host, asked.port) == (url.scheme, url.host, url.port)
            assert target.isascii()
            assert target.isprintable()
    for proxy in accepted(checked_proxy, text):
        assert URL(proxy).host
    key = checked(text)
    if isinstance(key, Key):
        assert key.isascii()
        assert key.isprintable()
        assert repr(key) == "<API key>"
    else:
        assert len(str(key)) < 1000
    for value in accepted(lambda value: checked_header("language", value), text):
        assert value.isascii()
        assert value.isprintable()


def checked_proxy(text: str) -> str:
    if (error := proxy_objection(text)) is not None:
        raise error
    return text


def accepted(check: Callable[[str], T | None], text: str) -> Iterator[T]:
    try:
        value = check(text)
    except ValueError as error:
        assert len(str(error)) < 1000
        assert check not in (checked_base_url, checked_proxy) or shows_no_password(text, error)
    else:
        assert value is not None
        yield value


def shows_no_password(text: str, error: Exception) -> bool:
    before, _, _ = unicodedata.normalize("NFKC", text).rpartition("@")
    password = before.rpartition(":")[2]
    # What to write instead stands in the message too.
    return len(password) < 8 or password in INTERNATIONAL or password not in str(error)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "body": body,
    "answer": answer,
    "ref": ref,
    "address": address,
}
