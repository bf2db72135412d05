"""The errors: one tree, whole after a pickle, and readable."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

import aitoearn_async
from aitoearn_async import (
    AiToEarnError,
    ApiError,
    AuthenticationError,
    ClientClosedError,
    ConnectionFailedError,
    ContractError,
    DownloadError,
    GenerateImage,
    GenerateVideo,
    ImageRef,
    ImageTask,
    InvalidRequestError,
    MediaAddressError,
    NotAskedError,
    Outcome,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    ServiceUnreachableError,
    SubmitUncertainError,
    TaskFailedError,
    TaskNotFoundError,
    TransportError,
    UnexpectedResponseError,
    UploadError,
    VideoError,
    VideoRef,
    VideoTask,
    WaitTimeoutError,
    errors,
)
from tests.support.cases import case

LONG = "no \x1b[31mroom\nfor\tit " + "x" * 100_000
IMAGE = ImageTask(log_id="66", status="failed", error_message="the prompt was refused")
DONE = ImageTask(log_id="66", status="success")
VIDEO = VideoTask(id="67", status="FAILURE", error=VideoError(message="no capacity"))
RUNNING = VideoTask(id="67", status="InProgress", model="sora-2")
MAYBE = "The task may still be running."

# Every class, most of them in several moods, and what it says of itself.
SAYS: list[tuple[AiToEarnError, str]] = [
    (AiToEarnError("plain"), "plain"),
    (ApiError(12300, "Invalid model", "r-1"), "Invalid model (code 12300, request r-1)"),
    (ApiError(12300), "the service gave no reason (code 12300)"),
    (
        AuthenticationError(401, "Unauthorized", "r-1"),
        "the API key is refused (check AITOEARN_API_KEY; aitoearn.ai and aitoearn.cn have separate "
        "keys): Unauthorized (code 401, request r-1)",
    ),
    (TaskNotFoundError(404, "任务不存在", "r-1"), "not found: 任务不存在 (code 404, request r-1)"),
    (
        InvalidRequestError(10002, "Validation failed"),
        "the request is not valid: Validation failed (code 10002)",
    ),
    (RateLimitError(429, "slow down", None, 429, retry_after=7.5), "slow down (HTTP 429)"),
    (
        ServerError(500, "Internal", "r-1", transient=False),
        "the service failed: Internal (code 500, request r-1)",
    ),
    (ServerError(502, "bad gateway", "r-1", 502), "bad gateway (HTTP 502, request r-1)"),
    (TransportError("it broke", "r-1", 418), "it broke (request r-1)"),
    (TransportError("it broke"), "it broke"),
    (ConnectionFailedError("refused", label="no connection"), "refused"),
    (RequestTimeoutError("no answer within 30 s", "r-1"), "no answer within 30 s (request r-1)"),
    (UnexpectedResponseError("a page", "r", 302, retry_after=1.0), "a page (request r)"),
    (
        NotAskedError("not asked, because it is down", retry_after=2.0),
        "not asked, because it is down",
    ),
    (
        ContractError("Expected `str`, got `int` - at `$.data.status`", "r-1"),
        "the answer breaks the contract: Expected `str`, got `int` - at `$.data.status`,"
        " request r-1",
    ),
    (
        SubmitUncertainError(
            GenerateVideo(model="m", prompt="a cat"),
            "the connection was lost (request r-1)",
            "r-1",
            datetime(2026, 11, 25, 8, 30, tzinfo=UTC),
        ),
        "the submit was sent at 2026-11-25 08:30:00 UTC and may have made a task: the connection"
        " was lost (request r-1). It is not sent again. Look for it with error.search()"
        " or client.list_videos() before you repeat it. Sent: GenerateVideo(model='m',"
        " prompt='a cat')",
    ),
    (
        SubmitUncertainError(GenerateImage(model="m", prompt="a cat"), "no answer"),
        "the submit was sent and may have made a task: no answer. It is not sent again."
        " Look for it with error.search() or client.list_images() before you repeat it. Sent:"
        " GenerateImage(model='m', prompt='a cat')",
    ),
    (TaskFailedError(IMAGE), "image:66 failed: the prompt was refused"),
    (TaskFailedError(VIDEO), "video:67 failed: no capacity"),
    (
        TaskFailedError(VideoTask(id="67", status="FAILURE", error=VideoError(message=""))),
        "video:67 failed: the service gave no reason",
    ),
    (
        TaskFailedError(VideoTask(id="67", status="FAILURE", error=VideoError(message=LONG))),
        f"video:67 failed: no ?[31mroom for it {'x' * 179}…",
    ),
    (
        WaitTimeoutError(VideoRef("67"), RUNNING, 1800.0, 12, {"InProgress": 11, "HTTP 502": 1}),
        "video:67 had not ended after 30 min: asked 12 times and saw InProgress ×11,"
        f" HTTP 502 ×1. {MAYBE}",
    ),
    (
        WaitTimeoutError(ImageRef("66"), None, 1.0, 2, {"x" * 100_000: 1, "a\n\x1bb": 1}),
        f"image:66 had not ended after 1.0 s: asked 2 times and saw {'x' * 199}… ×1, a ?b ×1."
        " The task may still be running.",
    ),
    (
        WaitTimeoutError(ImageRef("66"), None, 0.0, 0, {}),
        f"image:66 had not ended after 0.0 s: never asked. {MAYBE}",
    ),
    (
        WaitTimeoutError(ImageRef("66"), None, 1.25, 1, {"code 500": 1}),
        f"image:66 had not ended after 1.2 s: asked once and saw code 500 ×1. {MAYBE}",
    ),
    (
        ServiceUnreachableError(ImageRef("66"), None, 119.0, 31, {"no connection": 31}),
        "image:66 was given up after 119.0 s, because the service gave no good answer:"
        f" asked 31 times and saw no connection ×31. {MAYBE}",
    ),
    (DownloadError("disk full", DONE, transient=False), "image:66 could not be saved: disk full"),
    (
        DownloadError("media.example answered HTTP 503", DONE, retry_after=7.0, transient=True),
        "image:66 could not be saved: media.example answered HTTP 503",
    ),
    (MediaAddressError("it is inside", DONE), "image:66 could not be saved: it is inside"),
    (
        UploadError("cat.png: HTTP 503", transient=True),
        "a file could not be uploaded: cat.png: HTTP 503. Nothing was submitted",
    ),
    (
        ClientClosedError(),
        "the client is closed; make a new Client, and close it when all its calls have ended",
    ),
]
ERRORS = [error for error, _ in SAYS]
each_error = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)


def drawn() -> dict[str, str]:
    """Class -> base class, as the docstring of the module draws them."""
    assert errors.__doc__ is not None
    bases: dict[str, str] = {}
    above = {0: "AiToEarnError"}
    for line in errors.__doc__.splitlines():
        if found := re.match(r"    ((?:│   |    )*)[├└]── (\w+)", line):
            depth = len(found[1]) // 4 + 1
            above[depth] = found[2]
            bases[found[2]] = above[depth - 1]
            for other in re.findall(r"\(also an? (\w+)\)", line):
                bases[f"{found[2]} also"] = other
    return bases


def public_base(cls: type) -> type:
    """The nearest first base class that has a public name."""
    base: type = cls.__bases__[0]
    return public_base(base) if base.__name__.startswith("_") else base


def test_the_tree_is_as_drawn() -> None:
    """The tree in the docstring is the tree of classes, and all of it is public."""
    real: dict[str, str] = {}
    for name in aitoearn_async.__all__:
        cls = getattr(aitoearn_async, name)
        if isinstance(cls, type) and issubclass(cls, AiToEarnError) and cls is not AiToEarnError:
            real[name] = public_base(cls).__name__
            for other in cls.__mro__:
                if other in (TimeoutError, RuntimeError):
                    real[f"{name} also"] = other.__name__
    assert drawn() == real
    assert {type(error).__name__ for error in ERRORS} == {"AiToEarnError", *drawn()} - {
        name for name in drawn() if name.endswith(" also")
    }


def test_all_errors_are_public() -> None:
    """No class of the module is left out of the package's front door."""
    own = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, AiToEarnError) and name[0] != "_"
    }
    assert own <= set(aitoearn_async.__all__)


@pytest.mark.parametrize(("error", "text"), SAYS, ids=[type(error).__name__ for error, _ in SAYS])
def test_what_an_error_says(error: AiToEarnError, text: str) -> None:
    """An error reads as a sentence, and its repr is the class with that sentence."""
    assert str(error) == text
    assert repr(error) == f"{type(error).__name__}({text!r})"


def check_same(found: AiToEarnError, error: AiToEarnError) -> None:
    assert type(found) is type(error)
    assert found is not error
    assert found.args == error.args
    assert vars(found) == vars(error)
    assert str(found) == str(error)
    assert repr(found) == repr(error)
    assert found.label == error.label
    assert found.transient == error.transient


@each_error
def test_pickle(error: AiToEarnError) -> None:
    """An error comes back from a pickle with all its attributes."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with case(protocol):
            check_same(pickle.loads(pickle.dumps(error, protocol)), error)


@each_error
def test_copy(error: AiToEarnError) -> None:
    """An error comes back from a copy with all its attributes."""
    check_same(copy.copy(error), error)
    check_same(copy.deepcopy(error), error)


@each_error
def test_notes_and_attributes_of_others_travel_along(error: AiToEarnError) -> None:
    """Notes, and what a user hung onto an error, survive pickles and copies."""
    error = copy.copy(error)
    error.add_note("while waiting for the poster")
    vars(error)["job"] = 7
    for found in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        check_same(found, error)
        assert found.__notes__ == ["while waiting for the poster"]
        assert vars(found)["job"] == 7


class OutOfCreditsError(ApiError):
    """A user's own, with arguments of its own."""

    def __init__(self, needed: int, *, owned: int) -> None:
        super().__init__(12001, f"{needed - owned} credits short")
        self.needed = needed


class SlowError(WaitTimeoutError):
    """A user's own that takes what its base takes."""


class GaveUpError(RequestTimeoutError):
    """A user's own that is a TimeoutError too, and takes keywords alone."""

    def __init__(self, *, after: int) -> None:
        super().__init__(f"gave up after {after}", "r-1", label="given up")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_subclasses_of_users_pickle(protocol: int) -> None:
    """A subclass pickles and copies without a line of its own, whatever its arguments."""
    for error in (
        OutOfCreditsError(9, owned=4),
        SlowError(VideoRef("67"), RUNNING, 3.0, 2, {"InProgress": 2}),
        GaveUpError(after=5),
    ):
        check_same(pickle.loads(pickle.dumps(error, protocol)), error)
        check_same(copy.copy(error), error)
    assert str(OutOfCreditsError(9, owned=4)) == "5 credits short (code 12001)"


@each_error
def test_raised_and_caught(error: AiToEarnError) -> None:
    """An error can be raised, caught as the root, and keeps its cause."""
    cause = OSError("the cable")
    with pytest.raises(AiToEarnError) as caught:
        raise copy.copy(error) from cause
    assert caught.value.__cause__ is cause
    check_same(caught.value, error)


def test_also() -> None:
    """Timeouts are caught as timeouts, and a closed client is an error of the program."""
    for error in ERRORS:
        timeouts = (RequestTimeoutError, WaitTimeoutError)
        assert isinstance(error, TimeoutError) is isinstance(error, timeouts)
        assert isinstance(error, RuntimeError) is isinstance(error, ClientClosedError)
        assert not isinstance(error, ConnectionError)


def test_transient() -> None:
    """Trouble is worth another try, a definite answer is not, and one error may differ."""
    assert {type(error).__name__ for error in ERRORS if type(error).transient} == {
        *("RateLimitError", "ServerError", "TransportError", "ConnectionFailedError"),
        *("RequestTimeoutError", "UnexpectedResponseError", "NotAskedError"),
    }
    assert ServerError(500).transient
    assert not ServerError(500, transient=False).transient
    assert not ConnectionFailedError("expired certificate", transient=False).transient
    assert ServerError.transient


def test_labels() -> None:
    """An error has a name of two or three words, for a count of what was seen."""
    assert [error.label for error in ERRORS if type(error) not in (AiToEarnError, ApiError)] == [
        *("code 401", "code 404", "code 10002", "HTTP 429", "code 500", "HTTP 502"),
        *("TransportError", "TransportError", "no connection", "RequestTimeoutError"),
        *("UnexpectedResponseError", "not asked", "broken answer"),
        *("SubmitUncertainError", "SubmitUncertainError"),
        *["TaskFailedError"] * 4,
        *["WaitTimeoutError"] * 4,
        "ServiceUnreachableError",
        "DownloadError",
        "DownloadError",
        "MediaAddressError",
        "UploadError",
        "ClientClosedError",
    ]


def test_a_timeout_has_no_errno() -> None:
    """An error that is a TimeoutError does not mistake its facts for those of the system."""
    error = RequestTimeoutError("no answer", "r-1", 504)
    assert (error.errno, error.strerror, error.filename) == (None, None, None)
    again = RequestTimeoutError(*error.args)
    assert (again.errno, again.strerror, again.filename) == (None, None, None)


def test_what_was_seen_is_a_copy() -> None:
    """The counts in an error do not change when the wait that made it goes on counting."""
    seen = {"InProgress": 1}
    error = WaitTimeoutError(VideoRef("67"), None, 1.0, 1, seen)
    seen["InProgress"] = 2
    assert error.seen == {"InProgress": 1}


def as_json_keeps(args: tuple[object, ...]) -> list[object]:
    """What a store that writes JSON gives back of an error's `args`."""
    return list(json.loads(json.dumps(args)))


@pytest.mark.parametrize("keep", [list, as_json_keeps])
def test_an_error_is_rebuilt_of_its_args(
    keep: Callable[[tuple[object, ...]], list[object]],
) -> None:
    """`cls(*args)` is what stores of results do. It has the text, the ref and the facts."""
    for error, text in SAYS:
        with case(error):
            again = type(error)(*keep(error.args))
            assert type(again) is type(error)
            assert (str(again), again.ref) == (text, error.ref)
            assert again.transient == error.transient
            assert again.label == error.label
            assert set(vars(error)) <= set(vars(again))
            for name in ("code", "http_status", "request_id", "seen", "elapsed", "retry_after"):
                assert getattr(again, name, None) == getattr(error, name, None)
            once_more = pickle.loads(pickle.dumps(type(again)(*keep(again.args))))
            assert (str(once_more), once_more.ref) == (text, error.ref)


@pytest.mark.parametrize("ref", [None, ImageRef("66")])
def test_an_outcome_keeps_an_error(ref: ImageRef | None) -> None:
    """All that JSON can hold of an error comes back with its outcome: text, ref and facts."""
    for original, _ in SAYS:
        with case(original):
            error = copy.copy(original)
            if error.ref is None and ref is not None:
                error.ref = ref
            task = getattr(error, "task", None) or getattr(error, "latest", None)
            of = error.ref or ImageRef("67")
            line = Outcome[Any](ref=of, task=task, error=error, polls=1, elapsed=2.5).to_json()
            outcome = Outcome.from_json(line)
            again = outcome.error
            assert again is not None
            assert type(again) is type(error)
            assert str(again) == str(error)
            assert again.facts() == error.facts()
            assert (again.ref, again.label) == (error.ref, error.label)
            assert set(vars(error)) <= set(vars(again))
            assert getattr(again, "task", None) == getattr(error, "task", None)
            assert getattr(again, "latest", None) == getattr(error, "latest", None)
            assert outcome.to_json() == line


def test_every_class_is_rebuilt() -> None:
    """The table above has every class of the tree."""
    assert {type(error) for error, _ in SAYS} == {
        value
        for value in vars(aitoearn_async.errors).values()
        if isinstance(value, type) and issubclass(value, AiToEarnError) and value.__name__[0] != "_"
    }


def test_a_missing_task_is_named_with_its_kind() -> None:
    """In English first, whatever the language of the service's words."""
    error = TaskNotFoundError(12302, "任务不存在")
    for ref, kind in ((ImageRef("66"), "image"), (VideoRef("67"), "video")):
        error.ref = ref
        assert str(error) == f"{ref}: no such {kind} task: 任务不存在 (code 12302)"


@pytest.mark.parametrize(
    "error",
    [InvalidRequestError(400, "no", "r-1"), TransportError("it broke"), ContractError("bad")],
    ids=lambda error: type(error).__name__,
)
def test_the_text_names_the_task(error: AiToEarnError) -> None:
    """An error that a call for a task ends with says which, in logs too; and keeps it."""
    before = str(error)
    error.ref = ImageRef("66")
    assert str(error) == f"image:66: {before}"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    again = type(error)(*as_json_keeps(error.args))
    assert (str(again), again.ref) == (str(error), ImageRef("66"))


def test_a_ref_that_no_longer_is_one_rebuilds_all_the_same() -> None:
    """What a store has cut or changed is no reason to lose the text."""
    for facts in ({"ref": "imag"}, {"ref": 5}, {}):
        again = WaitTimeoutError("image:66 had not ended", facts)  # type: ignore[call-arg, arg-type]
        assert str(again) == "image:66 had not ended"
        assert vars(again)["ref"] is None
