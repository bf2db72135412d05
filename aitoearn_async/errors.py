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
    ├── UploadError                  a file for a submit could not be uploaded
    └── ClientClosedError            the client was closed                 (also a RuntimeError)

Wrong arguments are not in the tree: they are a `ValueError` or `TypeError` at the call.

The type says who is to blame, the attributes carry the facts. Errors pickle. None of them
holds the API key, nor an exception that does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from ._error_base import Rebuildable, brief, code_text, duration, meaning_of, quoted
from .contract.kinds import AnyRef, AnyTask
from .contract.requests import TaskRequest


class AiToEarnError(Rebuildable):
    """Root of the tree. Never raised itself.

    Task queues store an error's `args`, some of them as JSON, and rebuild it as `cls(*args)`. So
    `args` are its text, and a dict of its facts that JSON can hold. A rebuilt error has the text,
    the ref and those facts; its objects, such as `task`, are None.

    Attributes:
        transient: True if the same call may well succeed a little later.
        ref: The task, if the error ended a call or a wait for it. Else None.
    """

    transient: bool = False
    ref: AnyRef | None = None

    def __init__(self, *args: object, transient: bool | None = None) -> None:
        super().__init__(*args)
        if transient is not None:
            self.transient = transient

    @property
    def label(self) -> str:
        """The error in two or three words. It is counted under them in `seen`."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # By default, pickle calls the class with `args`. That fits only a class that takes nothing
        # but a message.
        return _restore, (type(self), self.raw_args, self.__dict__)


def _restore(
    cls: type[AiToEarnError], args: tuple[Any, ...], state: dict[str, Any]
) -> AiToEarnError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class ApiError(AiToEarnError):
    """The service answered, and its answer is no.

    It is raised itself for business codes that have no class of their own.

    Attributes:
        code: The service's business code (`code`); the HTTP status where a proxy answered
            without one.
        message: The service's own words (`message`). Their language follows `language=`.
        request_id: The service's own id of the request (`requestId`), to quote to its support;
            the id that the request went out with, where the answer has none.
        sent_request_id: The id that the request went out with. All polls of one wait have the
            same.
        http_status: The real HTTP status. The service says no with a 200 most of the time.
        retry_after: Seconds for which the service asks to be left alone, if it does. After a
            429 that does not say it, those for which the client leaves it alone.
        host: The address that was asked, where it may be the wrong one: for an
            `AuthenticationError`, and for an answer in a gateway's own form. Else None.
        host_is_doubtful: True if that address is most likely wrong: nothing good has come from
            there yet, or a gateway has no such route.
    """

    host: str | None = None
    host_is_doubtful: bool = False

    def __init__(
        self,
        code: int,
        message: str = "",
        request_id: str | None = None,
        http_status: int = 200,
        *,
        retry_after: float | None = None,
        transient: bool | None = None,
        sent_request_id: str | None = None,
    ) -> None:
        super().__init__(message, transient=transient)
        self.code = code
        self.message = message
        self.request_id = request_id
        self.sent_request_id: str | None = sent_request_id or request_id
        self.http_status = http_status
        self.retry_after = retry_after

    @property
    def label(self) -> str:
        if self.http_status != 200 or self.code == 200:  # a gateway's answer, without a code
            return f"HTTP {self.http_status}"
        return code_text(self.code)

    def _text_without_ref(self) -> str:
        words = self.message or "the service gave no reason"
        return f"{meaning_of(self)}{words} ({self.label}{quoted(self.request_id)})"


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

    A single task can get code 500 for good, while all others are fine.
    """

    transient: bool = True


class TransportError(AiToEarnError):
    """No usable answer came. Whether the service saw the request is not known.

    Attributes:
        message: The event, in words.
        request_id: The id the request went out with.
        http_status: The HTTP status, where one came.
        retry_after: Seconds for which the service asks to be left alone, if it does.
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
        super().__init__(message, transient=transient)
        self.message = message
        self.request_id = request_id
        self.http_status = http_status
        self.retry_after = retry_after
        self._label = label

    @property
    def label(self) -> str:
        return self._label or type(self).__name__

    def _text_without_ref(self) -> str:
        request = quoted(self.request_id).removeprefix(", ")
        return f"{self.message} ({request})" if request else self.message


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
    """The request was not sent, because of what other requests of this client have just met.

    Either the service is down, as the answers about many tasks say: then it gets a probe now and
    then, until it is back. Or it has asked to be left alone for a while (429, `Retry-After`): then
    `retry_after` says how much longer. The `__cause__` is the last trouble there was.
    """

    @property
    def label(self) -> str:
        return "not asked"


class ContractError(AiToEarnError):
    """The service answered with JSON that breaks its own contract.

    Attributes:
        message: The mistake, with the path of the field (`$.data.status`); and the beginning of
            the answer, where nothing in it is of a task.
        request_id: The id the request went out with.
        is_foreign: True if the answer has no `code`, and so is most likely not the service's.
    """

    is_foreign: bool = False

    def __init__(self, message: str, request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.request_id = request_id

    @property
    def label(self) -> str:
        return "broken answer"

    def _text_without_ref(self) -> str:
        return f"the answer breaks the contract: {self.message}{quoted(self.request_id)}"


_NOT_PICKLED = ("_search_of", "_sent")
"""The attributes by which a `SubmitUncertainError` reaches its client."""
Search = Callable[[TaskRequest[Any], Any], Awaitable[tuple[Any, bool, str]]]
"""Searches for a task. Returns its ref, whether that is certain, and what was looked at."""


class SubmitUncertainError(AiToEarnError):
    """A submit was sent, and no answer says what became of it. It is not sent again.

    It may have made a task, or several where a proxy repeats requests; they run and cost credits.
    The trouble itself is the `__cause__`. The service's logs were read for a task that fits, where
    it has them; `reason` says what was looked at. `search()` looks again.

    Attributes:
        request: The request that was sent, files as addresses or data URIs.
        reason: The event, in words.
        request_id: The id the request went out with.
        sent_at: The moment when it was sent, by this machine's clock.
    """

    _search_of: Callable[[], Search | None] | None = None
    _sent: Any = None

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

    def searchable(self, search_of: Callable[[], Search | None], sent: Any) -> None:
        """Let `search()` use the client, as long as somebody holds it. Not for callers."""
        self._search_of, self._sent = search_of, sent

    async def search(self) -> AnyRef | None:
        """Look once more for the task that the submit may have made.

        Returns:
            The task, if exactly one of the account's newest tasks fits and no other submit of
            this process has made it, or may have; None if none fits.

        Raises:
            SubmitUncertainError: Several fit, one may be another submit's, or the service's logs
                could not be read.
            RuntimeError: The client that sent the submit is gone: the error came out of a
                pickle, or the client is no longer held.
        """
        search = None if self._search_of is None else self._search_of()
        if search is None:
            raise RuntimeError(
                "the client that sent this submit is gone; look at client.list_images() or "
                "client.list_videos() of a new one"
            )
        ref: AnyRef | None
        ref, is_settled, summary = await search(self.request, self._sent)
        if ref is None and not is_settled:
            again = SubmitUncertainError(self.request, summary, self.request_id, self.sent_at)
            again._search_of, again._sent = self._search_of, self._sent
            raise again from self
        return ref

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the client behind: it holds the API key, and does not go through pickles."""
        restore, (kind, args, state) = super().__reduce__()
        return restore, (kind, args, {n: v for n, v in state.items() if n not in _NOT_PICKLED})

    def _full_text(self) -> str:
        at = f" at {self.sent_at:%Y-%m-%d %H:%M:%S} UTC" if self.sent_at else ""
        return (
            f"the submit was sent{at} and may have made a task: {self.reason}. "
            f"It is not sent again. Look for it with error.search() or client.list_"
            f"{self.request.kind}s() before you repeat it. Sent: {self.request!r}"
        )


class TaskFailedError(AiToEarnError):
    """The task ended in failure.

    Attributes:
        task: The failed task, whole.
    """

    def __init__(self, task: AnyTask) -> None:
        super().__init__()
        self.task = task
        self.ref: AnyRef = task.ref  # pyright: ignore[reportIncompatibleVariableOverride]

    def _full_text(self) -> str:
        return f"{self.task.ref} failed: {brief(self.task.failure) or 'the service gave no reason'}"


class _WaitError(AiToEarnError):
    """The base of the two errors that end a wait before its task ended."""

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

    def _full_text(self) -> str:
        times = "once" if self.polls == 1 else f"{self.polls} times"
        asked = f"asked {times}" if self.polls else "never asked"
        counts = ", ".join(f"{brief(what)} ×{count}" for what, count in self.seen.items())
        saw = f" and saw {counts}" if counts else ""
        reason = self._reason.format(elapsed=duration(self.elapsed))
        return f"{self.ref} {reason}: {asked}{saw}. The task may still be running."


class WaitTimeoutError(_WaitError, TimeoutError):
    """The task had not ended when the wait's `timeout` had passed. It may still be running.

    Attributes:
        ref: The task.
        latest: The task as of the last good poll that read more than its status; None if
            there was no good poll.
        elapsed: Seconds that the wait lasted.
        polls: The number of polls.
        seen: The results of polls, and their numbers: `{"InProgress": 12, "HTTP 502": 3}`.
    """

    _reason = "had not ended after {elapsed}"


class ServiceUnreachableError(_WaitError):
    """The service stayed unreachable, or kept failing for this task, for all of `patience`.

    The task may still be running. The last error of the service is the `__cause__`. Where the
    client has never had a good answer, and nobody or another server is at the service's address, it
    is raised after some seconds, and names the address.

    Attributes:
        ref: The task.
        latest: The task as of the last good poll that read more than its status; None if
            there was no good poll.
        elapsed: Seconds that the wait lasted.
        polls: The number of polls.
        seen: The results of polls, and their numbers: `{"generating": 2, "no connection": 31}`.
        address: The address at which the service was looked for and not found; None where it
            has answered before.
    """

    _reason = "was given up after {elapsed}, because the service gave no good answer"
    address: str | None = None
    _found: str | None = None
    """The text of the cause, in an error out of a pickle."""

    def _full_text(self) -> str:
        whole = super()._full_text()
        if self.address is None:
            return whole
        seen = self._found or brief(str(self.__cause__))
        return f"{whole} The service is not found at {self.address}: {seen}. Is base_url= right?"

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the text of the cause: pickles and copies have no `__cause__`."""
        restore, (kind, args, state) = super().__reduce__()
        found = self._found or brief(str(self.__cause__))
        return restore, (kind, args, {**state, "_found": found} if self.address else state)


class DownloadError(AiToEarnError):
    """The task succeeded, but a file it made could not be saved. The task is as good as before.

    Files that were complete stay, and the next call continues an incomplete one, where the media
    host allows it.

    Attributes:
        message: The event, in words. It names no more of an address than the host.
        task: The succeeded task, as of when its addresses were last asked for.
        retry_after: Seconds for which the media host asks to be left alone, if it does.
    """

    def __init__(
        self,
        message: str,
        task: AnyTask,
        *,
        retry_after: float | None = None,
        transient: bool | None = None,
    ) -> None:
        super().__init__(message, transient=transient)
        self.message = message
        self.task = task
        self.ref: AnyRef = task.ref  # pyright: ignore[reportIncompatibleVariableOverride]
        self.retry_after = retry_after

    def _full_text(self) -> str:
        return f"{self.ref} could not be saved: {self.message}"


class MediaAddressError(DownloadError):
    """A file stands at an address that nothing is fetched from, or a redirect leads to one.

    The address leads into an internal network (`private_media=True` allows it), is plain http
    although the service is https, has a login in it, or is no http address at all. Nothing was sent
    there.
    """


class UploadError(AiToEarnError):
    """A file could not be uploaded to the service's store. Nothing was submitted or spent.

    Attributes:
        message: The event, in words. It names no more of an address than the host.
    """

    def __init__(self, message: str, *, transient: bool | None = None) -> None:
        super().__init__(message, transient=transient)
        self.message = message

    def _text_without_ref(self) -> str:
        return f"a file could not be uploaded: {self.message}. Nothing was submitted"


class ClientClosedError(AiToEarnError, RuntimeError):
    """The client was closed before the call, or under it."""

    def _text_without_ref(self) -> str:
        return "the client is closed; make a new Client, and close it when all its calls have ended"
