"""One request that is no poll: its bounds, its repetition, and what its answer comes to.

`session` and `contract` meet here for everything but polls, which are `poller`'s. What is
asked for, and what is done about a no, is decided in `submitter` and `finder`.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from .contract.envelope import Broken, Envelope, Refusal, read_plain, refusal
from .errors import (
    AiToEarnError,
    ContractError,
    NotAskedError,
    TransportError,
    UnexpectedResponseError,
)
from .session.answer import Answer
from .session.breaker import BreakerState
from .session.connection import Body
from .session.http import Http
from .session.lifetime import Bound, Lifetime
from .session.retry import Budget, persist

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aitoearn_async")


class Exchange:
    """Asks one service, a request at a time."""

    def __init__(self, http: Http, lifetime: Lifetime, attempts: int, budget: Budget) -> None:
        self.http = http
        self._lifetime = lifetime
        self._attempts = attempts
        self._budget = budget
        self._numbers = itertools.count(1)

    def now(self) -> float:
        """Loop time.

        Raises:
            ClientClosedError: The client is closed.
        """
        return self._lifetime.enter().time()

    def life(self) -> Bound:
        """What is inside ends when the client closes, with `ClientClosedError`."""
        return Bound(self._lifetime)

    def request_id(self) -> str:
        """An id for one request; polls have others."""
        return f"{self.http.name}-x{next(self._numbers)}"

    async def persist(self, attempt: Callable[[float], Awaitable[T]], *, seconds: float) -> T:
        """Make attempts, as long as the trouble looks passing.

        Args:
            attempt: Makes one; it is over by the given loop time.
            seconds: What one of them may take.
        """
        before = self.now() + self._attempts * seconds
        return await persist(
            lambda: attempt(before),
            attempts=self._attempts,
            before=before,
            budget=self._budget,
            lifetime=self._lifetime,
        )

    async def get(
        self,
        path: str,
        decoder: msgspec.json.Decoder[Envelope[T]],
        *,
        final: Callable[[AiToEarnError], bool] | None = None,
    ) -> T:
        """Ask for something that can be asked for again.

        Args:
            path: The path, with its query.
            decoder: Of the answer.
            final: Tells what is not to be repeated, though it looks passing.

        Raises:
            AiToEarnError: It did not come.
        """

        async def attempt(before: float) -> T:
            request_id = self.request_id()
            answer = await self.http.send("GET", path, request_id, before)
            result = self.read(path, answer, decoder, request_id)
            if isinstance(result, AiToEarnError):
                self.note(path, result)
                await self.http.keys.reconsider(result, answer, before)
                if final is not None and final(result):
                    result.transient = False
                raise result
            return result

        return await self.persist(attempt, seconds=self.http.time_for(None))

    async def probe(
        self, path: str, decoder: msgspec.json.Decoder[Envelope[Any]], before: float
    ) -> None:
        """Where the service is down, ask it for something that costs nothing: is it still?

        Raises:
            AiToEarnError: It is, or it is not to be asked now.
        """
        if self.http.health.state is not BreakerState.OPEN:
            return
        request_id = self.request_id()
        answer = await self.http.send("GET", path, request_id, before)
        result = self.read(path, answer, decoder, request_id)
        if isinstance(result, AiToEarnError):
            self.note(path, result)
            if self.http.health.state is BreakerState.OPEN:
                raise result

    def read(
        self,
        path: str,
        answer: Answer | AiToEarnError,
        decoder: msgspec.json.Decoder[Envelope[T]],
        request_id: str,
    ) -> T | AiToEarnError:
        """What an answer comes to; the client's other requests profit from it too."""
        if isinstance(answer, AiToEarnError):
            return answer
        result = self._read(answer, decoder, request_id)
        if isinstance(result, AiToEarnError):
            # Whatever the query: a page that cannot be had is no sign of more than itself.
            self.http.health.bad(answer.term, path.partition("?")[0], result)
        else:
            self.http.health.good(answer.term, answer.sent)
        return result

    def _read(
        self, answer: Answer, decoder: msgspec.json.Decoder[Envelope[T]], request_id: str
    ) -> T | AiToEarnError:
        if not 200 <= answer.status < 300:
            no = refusal(answer.body)
            if no is None:
                return self.http.trouble.rejection(answer, request_id)
            return self.http.trouble.refused(no.code, no.message, answer, request_id)
        result = read_plain(self.http.keys.cut_from(answer.body), decoder)
        if isinstance(result, Broken):
            if result.is_json:
                return ContractError(self.http.trouble.scrubbed(result.reason), request_id)
            return self.http.trouble.rejection(answer, request_id)
        echoed = result.request_id
        if echoed != request_id and (echoed or "").startswith(self.http.name):
            # A late answer to another request of ours, on a connection that is shared.
            self.http.drop(answer)
            return UnexpectedResponseError(
                "the answer is for another request, not ours", request_id, 200, label="stray answer"
            )
        if isinstance(result, Refusal):
            return self.http.trouble.refused(result.code, result.message, answer, request_id)
        return result.data

    def note(self, what: object, error: AiToEarnError) -> None:
        """Count a request that came to nothing."""
        if not isinstance(error, NotAskedError):
            self.http.limits.failed += 1
        logger.debug("%s: %s", what, error)

    async def send(
        self, path: str, body: Body, request_id: str, before: float
    ) -> Answer | TransportError:
        """Send something, once. How far it got is noted on the body."""
        return await self.http.send("POST", path, request_id, before, body=body)
