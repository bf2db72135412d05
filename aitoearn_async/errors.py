"""Every way a call can end badly.

    AiToEarnError
    ├── ApiError                     the service answered: no
    │   ├── AuthenticationError        the key is missing, wrong or not allowed to
    │   ├── TaskNotFoundError          no such task
    │   ├── InvalidRequestError        the service finds the request invalid
    │   ├── RateLimitError             too many requests
    │   └── ServerError                the service, or a proxy before it, is in trouble
    ├── TransportError               no usable answer came
    │   ├── ConnectionFailedError      no connection, or it broke
    │   ├── RequestTimeoutError        no answer in time                   (also a TimeoutError)
    │   ├── UnexpectedResponseError    an answer that is not the service's
    │   └── NotAskedError              not sent: the service is down, or wants to be left alone
    ├── ContractError                an answer that breaks the service's own contract
    ├── SubmitUncertainError         a submit whose fate is open: it may have made a task
    ├── TaskFailedError              the task itself failed
    ├── WaitTimeoutError             the wait's deadline passed            (also a TimeoutError)
    ├── ServiceUnreachableError      the wait's patience ran out
    ├── DownloadError                a succeeded task's files could not be saved
    │   └── MediaAddressError          one of them stands where nothing is fetched from
    └── ClientClosedError            the client was closed                 (also a RuntimeError)

Wrong arguments are not in the tree: they are a `ValueError` or `TypeError` at the call.

The type says who is to blame, the attributes carry the facts. Errors pickle. None of them
holds the API key, nor an exception that does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from .contract.models import AnyTask
    from .contract.refs import AnyRef
    from .contract.requests import TaskRequest


class AiToEarnError(Exception):
    """Root of the tree. Never raised itself.

    Attributes:
        transient: Whether the same call may well succeed a little later.
        ref: The task, if the error ended a wait for it. Else None.
    """

    transient: bool = False
    ref: AnyRef | None = None

    @property
    def label(self) -> str:
        """The error in two or three words, as it stands in a count of what was seen."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with `args` again, which fits no class that has more to
        # say than a message.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(
    cls: type[AiToEarnError], args: tuple[Any, ...], state: dict[str, Any]
) -> AiToEarnError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class ApiError(AiToEarnError):
    """The service answered, and its answer is no.

    Raised itself for business codes that have no class of their own.

    Attributes:
        code: The service's business code (`code`); the HTTP status where a proxy answered
            without one.
        message: The service's own words (`message`). Their language follows `language=`.
        request_id: The id the request went out with, to quote to the service's support. All
            polls of one wait have the same.
        http_status: The real HTTP status. The service says no with a 200 most of the time.
        retry_after: How long the service asks to be left alone, in seconds, if it does. After
            a 429 that does not say it, how long the client leaves it alone.
    """

    def __init__(
        self,
        code: int,
        message: str = "",
        request_id: str | None = None,
        http_status: int = 200,
        *,
        retry_after: float | None = None,
        transient: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.request_id = request_id
        self.http_status = http_status
        self.retry_after = retry_after
        if transient is not None:
            self.transient = transient

    @property
    def label(self) -> str:
        return _code(self.code) if self.http_status == 200 else f"HTTP {self.http_status}"

    def __str__(self) -> str:
        words = self.message or "the service gave no reason"
        return f"{words} ({self.label}{_quoted(self.request_id)})"


class AuthenticationError(ApiError):
    """The API key is missing, wrong, or its account is closed (code 401, 403 or 19000)."""


class TaskNotFoundError(ApiError):
    """The service has no such task of this kind (code 404 or 12302)."""


class InvalidRequestError(ApiError):
    """The service finds the request invalid (code 400 or 10002)."""


class RateLimitError(ApiError):
    """Too many requests (429): from a proxy before the service, which has no limit itself."""

    transient: bool = True


class ServerError(ApiError):
    """The service failed to answer (code 500), or a proxy before it did (HTTP 502, 503, 504).

    Code 500 can be there to stay for a single task while all others are fine.
    """

    transient: bool = True


class TransportError(AiToEarnError):
    """No usable answer came. Whether the service saw the request is not known.

    Attributes:
        message: What happened.
        request_id: The id the request went out with.
        http_status: The HTTP status, where one came.
        retry_after: How long the service asks to be left alone, in seconds, if it does.
    """

    transient: bool = True

    def __init__(
        self,
        message: str,
        request_id: str | None = None,
        http_status: int | None = None,
        *,
        label: str | None = None,
        retry_after: float | None = None,
        transient: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.request_id = request_id
        self.http_status = http_status
        self.retry_after = retry_after
        self._label = label
        if transient is not None:
            self.transient = transient

    @property
    def label(self) -> str:
        return self._label or type(self).__name__

    def __str__(self) -> str:
        quoted = _quoted(self.request_id)
        return f"{self.message} ({quoted.removeprefix(', ')})" if quoted else self.message


class ConnectionFailedError(TransportError):
    """No connection to the service could be made, or it broke before the answer was whole."""


class RequestTimeoutError(TransportError, TimeoutError):
    """The answer was not there within `request_timeout`, or within what was left of a wait."""


class UnexpectedResponseError(TransportError):
    """Something answered that is not the service, or not to this request.

    A proxy's HTML page, a redirect (never followed: the key stays here), an answer for
    another task, an answer that is too large.
    """


class NotAskedError(TransportError):
    """The request was not sent, because of what others of this client have just met.

    The service is down, as the answers to many tasks say, and is asked by a probe now and then
    until it is back; or it has asked to be left alone for a while (429, `Retry-After`), and
    then `retry_after` says for how long still. The last trouble there was is the `__cause__`.
    """

    @property
    def label(self) -> str:
        return "not asked"


class ContractError(AiToEarnError):
    """The service answered with JSON that breaks its own contract.

    Attributes:
        message: What is wrong, with the path of the field (`$.data.status`).
        request_id: The id the request went out with.
    """

    def __init__(self, message: str, request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.request_id = request_id

    @property
    def label(self) -> str:
        return "broken answer"

    def __str__(self) -> str:
        return f"the answer breaks the contract: {self.message}{_quoted(self.request_id)}"


class SubmitUncertainError(AiToEarnError):
    """A submit was sent, and no answer says what became of it. It is not sent again.

    It may have made a task, which then runs and costs credits. The trouble itself is the
    `__cause__`. A video can be looked for with `client.list_videos()`: newest first, with the
    prompt in `input` and the time in `submitted_at`. The service has no such list of images.

    Attributes:
        request: What was sent, files as data URIs.
        reason: What happened, in words.
        request_id: The id the request went out with.
        sent_at: When, by this machine's clock.
    """

    def __init__(
        self,
        request: TaskRequest[Any],
        reason: str,
        request_id: str | None = None,
        sent_at: datetime | None = None,
    ) -> None:
        super().__init__(reason)
        self.request = request
        self.reason = reason
        self.request_id = request_id
        self.sent_at = sent_at

    def __str__(self) -> str:
        at = f" at {self.sent_at:%Y-%m-%d %H:%M:%S} UTC" if self.sent_at else ""
        return (
            f"the submit was sent{at} and may have made a task: {self.reason}. "
            f"It is not sent again. {_LOOK_FOR[self.request.kind]} Sent: {self.request!r}"
        )


_LOOK_FOR = {
    "image": "The service has no list of images: look at your account before you repeat it.",
    "video": "Look for it with client.list_videos() before you repeat it.",
}


class TaskFailedError(AiToEarnError):
    """The task ended in failure.

    Attributes:
        task: The failed task, whole.
    """

    def __init__(self, task: AnyTask) -> None:
        super().__init__()
        self.task = task
        self.ref: AnyRef = task.ref  # pyright: ignore[reportIncompatibleVariableOverride]

    def __str__(self) -> str:
        return (
            f"{self.task.ref} failed: {_brief(self.task.failure) or 'the service gave no reason'}"
        )


class _WaitError(AiToEarnError):
    """What the two errors share that end a wait before its task ended."""

    _reason: ClassVar[str]

    def __init__(
        self,
        ref: AnyRef,
        latest: AnyTask | None,
        elapsed: float,
        polls: int,
        seen: Mapping[str, int],
    ) -> None:
        super().__init__()
        self.ref: AnyRef = ref  # pyright: ignore[reportIncompatibleVariableOverride]
        self.latest = latest
        self.elapsed = elapsed
        self.polls = polls
        self.seen: dict[str, int] = dict(seen)

    def __str__(self) -> str:
        times = "once" if self.polls == 1 else f"{self.polls} times"
        asked = f"asked {times}" if self.polls else "never asked"
        counts = ", ".join(f"{_brief(what)} ×{count}" for what, count in self.seen.items())
        saw = f" and saw {counts}" if counts else ""
        reason = self._reason.format(elapsed=_duration(self.elapsed))
        return f"{self.ref} {reason}: {asked}{saw}. The task may still be running."


class WaitTimeoutError(_WaitError, TimeoutError):
    """The task had not ended when the wait's `timeout` had passed. It may still be running.

    Attributes:
        ref: The task.
        latest: The task as of the last good poll that read more than its status; None if
            there was no good poll.
        elapsed: How long the wait lasted, in seconds.
        polls: How often the service was asked.
        seen: What came back, and how often: `{"InProgress": 12, "HTTP 502": 3}`.
    """

    _reason = "had not ended after {elapsed}"


class ServiceUnreachableError(_WaitError):
    """The service stayed unreachable, or kept failing for this task, for all of `patience`.

    The task may still be running. The last error of the service is the `__cause__`.

    Attributes:
        ref: The task.
        latest: The task as of the last good poll that read more than its status; None if
            there was no good poll.
        elapsed: How long the wait lasted, in seconds.
        polls: How often the service was asked.
        seen: What came back, and how often: `{"generating": 2, "no connection": 31}`.
    """

    _reason = "was given up after {elapsed}, because the service gave no good answer"


class DownloadError(AiToEarnError):
    """The task succeeded, but a file it made could not be saved. The task is as good as before.

    Files that were complete stay, and what there is of another one is gone on with by the next
    call, where the media host allows it.

    Attributes:
        message: What happened. Of an address it names the host, and nothing else.
        task: The succeeded task, as of when its addresses were last asked for.
        retry_after: How long the media host asks to be left alone, in seconds, if it does.
    """

    def __init__(
        self,
        message: str,
        task: AnyTask,
        *,
        retry_after: float | None = None,
        transient: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.task = task
        self.ref: AnyRef = task.ref  # pyright: ignore[reportIncompatibleVariableOverride]
        self.retry_after = retry_after
        if transient is not None:
            self.transient = transient

    def __str__(self) -> str:
        return f"{self.ref} could not be saved: {self.message}"


class MediaAddressError(DownloadError):
    """A file stands at an address that nothing is fetched from, or a redirect leads to one.

    Into an internal network (`private_media=True` allows it), to plain http from a service
    that is https, with a login in it, or to no http address at all. Nothing was sent there.
    """


class ClientClosedError(AiToEarnError, RuntimeError):
    """The client was closed before the call, or under it."""

    def __str__(self) -> str:
        return "the client is closed; make a new Client, and close it when all its calls ended"


_MOST_SHOWN = 200
"""Characters. All of it is in the task, and in `seen`."""


def _brief(text: str | None) -> str:
    """The service's own words, of any length and kind, as part of a line."""
    line = " ".join((text or "")[:1000].split())
    line = line if len(line) <= _MOST_SHOWN else line[: _MOST_SHOWN - 1] + "…"
    return "".join(character if character.isprintable() else "?" for character in line)


def _code(code: int) -> str:
    """A business code as part of a line: JSON has numbers of any length."""
    bits = code.bit_length()
    return f"code {code}" if bits <= 64 else f"code of {bits} bits"


def _quoted(request_id: str | None) -> str:
    return f", request {request_id}" if request_id else ""


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
