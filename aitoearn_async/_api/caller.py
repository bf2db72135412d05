"""One call of the API: it is sent, repeated where that may help, and its response is judged.

The transport's bytes and the contract's words meet here, for polls and for everything else. The
other files of this room decide what to ask for, and what to do about a refusal.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from .._net.headers import DATE, http_date
from .._polling.cadence.service_clock import ServiceClock
from .._resilience.retry import Retrier
from .._runtime.lifetime import Lifetime
from .._transport.http import Http
from .._transport.response import Response
from .._verdict import NO_TURN, Verdict, longer
from ..contract.envelope import Envelope, Malformed, decode
from ..contract.json_limits import LateDecoder
from ..contract.refusal import Refusal, refusal
from ..errors import (
    AiToEarnError,
    AuthenticationError,
    ConnectionFailedError,
    NotAskedError,
    RateLimitError,
    RequestTimeoutError,
    TransportError,
    UnexpectedResponseError,
)
from .provenance import Question
from .refusals import broken, refused, rejected

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aitoearn_async")

_SLOWEST_BYTES_PER_SECOND = 128 * 1024
"""Bytes a second that a line must carry, so that a body arrives in time: a megabit."""
_BEHIND_ANOTHER = (
    "not sent, because another request of this client for the same video, or a page of videos, was "
    "not answered in time"
)


class ApiCaller:
    """Calls one service.

    Args:
        http: Sends requests.
        lifetime: The client's.
        request_timeout: Seconds for one request, from its start on the wire.
        attempts: How often one question is asked in all.
        clock: The service's clock, which each good answer tells; None for one of its own.
    """

    def __init__(
        self,
        http: Http,
        lifetime: Lifetime,
        request_timeout: float,
        attempts: int,
        clock: ServiceClock | None = None,
    ) -> None:
        self.http = http
        self.request_timeout = request_timeout
        self.failed: int = 0
        """Requests that came to nothing."""
        self.clock: ServiceClock = clock or ServiceClock()
        self._retrier = Retrier(lifetime, attempts)
        self.lifetime: Lifetime = lifetime
        self.id_prefix: str = os.urandom(6).hex()
        """The beginning of all request ids of this client."""
        self._numbers = itertools.count(1)
        # The moments until which lists, by their path, want to be left alone.
        self._resting: dict[str, float] = {}
        self._date = ""  # the last `Date` there was
        self._key_refusals = 0  # times that the key was refused since the last good answer

    def request_id(self) -> str:
        """Return an id that no other request has."""
        return f"{self.id_prefix}-x{next(self._numbers)}"

    def path_past_caches(self, path: str) -> str:
        """Return the path with a query that no cache has seen, of any client.

        Servers leave out parameters that they do not know. Some caches ignore the headers of a
        request, and answer with the copy that they made for another client.
        """
        mark = "&" if "?" in path else "?"
        return f"{path}{mark}_={self.id_prefix}-{next(self._numbers)}"

    def rest_of(self, path: str) -> float:
        """Return the seconds for which a list is to be left alone, as its last answer said."""
        until = self._resting.get(path.partition("?")[0], -math.inf)
        return max(until - self.lifetime.time(), 0.0)

    async def leave_alone(self, path: str) -> None:
        """Sleep for as long as a list is to be left alone."""
        if rest := self.rest_of(path):
            await self.lifetime.sleep(rest)

    async def call(
        self,
        path: str,
        decoder: LateDecoder[Envelope[T]],
        *,
        data: bytes | None = None,
        is_list: bool = False,
    ) -> T:
        """Ask, in up to `attempts` requests, for something that spends nothing.

        Args:
            path: The path, with its query.
            decoder: Decodes a good response.
            data: The JSON that is posted; None for a `GET`.
            is_list: It is a page of a list. No cache may answer, not even one that ignores
                headers, and it is left alone first for as long as its last answer said.

        Raises:
            AiToEarnError: It did not come.
        """

        async def attempt(deadline: float) -> T | Verdict:
            return (await self.ask(path, decoder, deadline, data=data, is_list=is_list))[0]

        if is_list:
            await self.leave_alone(path)
        return await self.repeat(attempt, data)

    async def repeat(
        self, attempt: Callable[[float], Awaitable[T | Verdict]], data: bytes | None = None
    ) -> T:
        """Make an attempt, and others as `Retrier.again` does: up to `attempts` in all.

        Args:
            attempt: Sends a request once; it is given the moment of the client's clock at which
                it is over, and after which no further one begins.
            data: The body that is sent. It gives an attempt more time, and what comes of it is
                not confirmed by another one.

        Raises:
            AiToEarnError: The last attempt failed.
        """
        retrier = self._retrier
        deadline = self.lifetime.time() + retrier.attempts * self._seconds_for(data)
        result = await attempt(deadline)
        retrier.calls += 1
        if isinstance(result, Verdict):
            confirm = self._needs_confirmation if data is None else None
            return await retrier.again(attempt, result, deadline, confirm)
        return result

    async def ask(
        self,
        path: str,
        decoder: LateDecoder[Envelope[T]],
        deadline: float,
        *,
        data: bytes | None = None,
        is_list: bool = False,
    ) -> tuple[T | Verdict, Response | TransportError]:
        """Send one request, once. Return what comes of it, and its response.

        Args:
            path: The path, with its query.
            decoder: Decodes a good response.
            deadline: The moment of the client's clock at which this is over.
            data: As in `call`.
            is_list: It is a page of a list: no cache may answer, and what it says of when to ask
                again is kept.
        """
        sent = self.path_past_caches(path) if is_list else path
        question = self.question(sent, partial(decode, decoder=decoder), data=data)
        response = await self.http.send(question, deadline)
        result = await self.settle(response, question, deadline)
        if is_list and isinstance(response, Response):
            rest = result.delay if isinstance(result, Verdict) else response.retry_after
            if rest is not None:
                self._resting[question.route] = self.lifetime.time() + longer(rest)
        return result, response

    def question(
        self,
        path: str,
        decode: Callable[[bytes], Envelope[T] | Refusal | Malformed],
        request_id: str | None = None,
        data: bytes | None = None,
    ) -> Question[T]:
        """Return the question of a call that is no poll. One page that fails is not all of them.

        Args:
            path: The path, with its query.
            decode: Decodes the body.
            request_id: The id of the request; None for a new one.
            data: The JSON that is posted; None for a `GET`.
        """
        route = path.partition("?")[0]
        if request_id is None:
            request_id = self.request_id()
        return Question(
            path=path,
            route=route,
            subject=route,
            request_id=request_id,
            seconds=self._seconds_for(data),
            data=data,
            decode=decode,
        )

    def _seconds_for(self, data: bytes | None) -> float:
        """Return the seconds that a request may take: more with a large body."""
        size = 0 if data is None else len(data)
        return self.request_timeout + size / _SLOWEST_BYTES_PER_SECOND

    async def settle(
        self, response: Response | TransportError, question: Question[T], deadline: float
    ) -> T | Verdict:
        """Read a response, and get another key if this one is refused."""
        result = self.read(response, question)
        return await self.http.credentials.refresh_if_rejected(result, response, deadline)

    def read(self, response: Response | AiToEarnError, question: Question[T]) -> T | Verdict:
        """Return what a response says, and tell the monitor of it."""
        if not isinstance(response, Response):
            return self._note(question.subject, Verdict.on(response))
        try:
            is_good = 200 <= response.status < 300
            said = question.decode(response.body) if is_good else refusal(response.body)
        except MemoryError:
            text = f"there is no memory for the answer, of {len(response.body):,} bytes"
            none = UnexpectedResponseError(text, question.request_id, label="no memory")
            return self._failed(none, response, question.subject)
        why: str | None = None
        if isinstance(said, Envelope):
            why = question.why_stray(said)
            if why is None:
                self.accept(response, question.subject)
                return said.data
        error = self._error_of(said, why, response, question)
        return self._failed(error, response, question.subject)

    def _failed(self, error: AiToEarnError, response: Response, subject: str) -> Verdict:
        """Tell the monitor of a response that is an error."""
        if isinstance(error, AuthenticationError):
            self._key_refusals += 1
            self.http.drop(response)  # the next request must not meet the same node
        pause = self.http.monitor.record_failure(response.admission, subject, error)
        if isinstance(error, RateLimitError) and error.retry_after is None:
            facts = error.code, error.message, error.request_id, error.http_status
            sent = error.sent_request_id
            error = RateLimitError(*facts, retry_after=pause, sent_request_id=sent)
        return self._note(subject, Verdict.on(error, delay=pause))

    def accept(self, response: Response, subject: str) -> None:
        """Note a good response: the service and the key are well, and it tells the time."""
        self._key_refusals = 0
        date = response.headers.get(DATE)
        # Once a second, and not once a poll: the first answer of a second tells most.
        if date is not None and date != self._date and not response.is_copy:
            self._date = date
            if (moment := http_date(date)) is not None:
                self.clock.note(moment.timestamp(), response.sent, self.lifetime.time())
        self.http.monitor.record_success(response.admission, response.sent, subject)

    def _error_of(
        self,
        said: Envelope[T] | Refusal | Malformed | None,
        why: str | None,
        response: Response,
        question: Question[T],
    ) -> AiToEarnError:
        """Return the error of a response. `why`: a good answer is for another request."""
        request_id = question.request_id
        if isinstance(said, Refusal):
            why = question.why_stray(said)
        if why is not None:
            self.http.drop(response)
            # Whoever it is for, whoever says it: it is this address that wants to be left alone.
            rest, label = response.retry_after, "stray answer"
            text = f"{why}, not ours"
            return UnexpectedResponseError(text, request_id, 200, label=label, retry_after=rest)
        if isinstance(said, Refusal):
            return refused(said, response, request_id, self.http)
        if isinstance(said, Malformed) and said.is_json:
            return broken(said, response, request_id, self.http)
        return rejected(response, request_id, self.http)

    def no_turn(self, subject: str) -> Verdict:
        """Return the verdict on a request that has not got its turn among those for videos."""
        return self._note(subject, Verdict.on(RequestTimeoutError(_BEHIND_ANOTHER, label=NO_TURN)))

    def _note(self, subject: str, verdict: Verdict) -> Verdict:
        """Count a request that came to nothing, and log it."""
        if not isinstance(verdict.error, NotAskedError):
            self.failed += 1
        logger.debug("%s: %s", subject, verdict.error)
        return verdict

    def _needs_confirmation(self, verdict: Verdict) -> bool:
        """Return whether another attempt must confirm an error before it ends a call.

        A refused key and an untrusted host are believed after two attempts: one node of many can
        be wrong.
        """
        if isinstance(verdict.error, AuthenticationError):
            return not verdict.retry and self._key_refusals < 2 <= self._retrier.attempts
        return not verdict.retry and isinstance(verdict.error, ConnectionFailedError)
