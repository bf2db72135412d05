"""One poll, from a ref to what is to be said of its task.

Here `session` and `contract` meet: bytes that came over the wire are read, and believed only
if they are for the task that was asked for. When to poll, and how often, is not known here.
"""

from __future__ import annotations

import itertools
import logging
import re
import sys
from typing import Any, TypeVar

import msgspec

from .contract.endpoints import Endpoint, endpoint_of
from .contract.envelope import Broken, Refusal, glance, read, refusal
from .contract.models import Task
from .contract.refs import TaskRef
from .contract.status import is_known
from .errors import (
    AiToEarnError,
    ContractError,
    NotAskedError,
    TransportError,
    UnexpectedResponseError,
)
from .polling.step import PollError, Reply, Wait
from .session.answer import Answer
from .session.breaker import BreakerState
from .session.http import Http

T = TypeVar("T", bound=Task)

logger: logging.Logger = logging.getLogger("aitoearn_async")

_MOST_STRANGE_WORDS = 100
_MOST_UNCONDITIONAL = 1000
"""Polls that do not ask for a 304, after some 304s in a row that could not be used."""
_ETAG = re.compile(r'(W/)?"([!#-~]{1,200})"')


class ClientStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a client has done and is doing, at one moment."""

    requests: int
    """Requests begun."""
    failures: int
    """Requests that brought nothing: refused, broken off, unreadable, or out of time, which may be
    over before they begin."""
    in_flight: int
    """Requests under way now."""
    queued: int
    """Requests waiting now for a place among `concurrency`, or for their turn."""
    breaker: BreakerState
    """Whether the service is down, as far as all the client's requests can tell."""
    outages: int
    """How often it has been down."""
    held: int
    """Requests that were not sent, because it was down or had asked to be left alone."""
    paused_for: float
    """Seconds for which it has asked to be left alone, from now (429, `Retry-After`)."""


class Poller:
    """Polls one service."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._limits = http.limits
        self._health = http.health
        self._name = http.name
        self._numbers = itertools.count(1)
        self._echoes_request_ids = False
        self._strange_words: set[str] = set()
        self._unconditional = self._unconditional_next = 0  # polls

    def statistics(self) -> ClientStatistics:
        """What was polled so far, and is being polled now."""
        return ClientStatistics(
            requests=self._limits.begun,
            failures=self._limits.failed,
            in_flight=self._limits.in_flight,
            queued=self._limits.queued,
            breaker=self._health.state,
            outages=self._health.outages,
            held=self._health.held,
            paused_for=self._health.paused_for(),
        )

    async def fetch(self, ref: TaskRef[T], before: float) -> T:
        """Ask once, and read the answer whole; over by `before`, in loop time.

        Raises:
            AiToEarnError: No task came of it.
        """
        endpoint = endpoint_of(ref)
        request_id = f"{self._name}-{next(self._numbers)}"
        answer = await self._http.send("GET", endpoint.path + ref.id, request_id, before)
        task = self._task(ref, endpoint, request_id, answer)
        if isinstance(task, AiToEarnError):
            await self._http.keys.reconsider(task, answer, before)
            raise task
        return task

    async def poll(self, wait: Wait[T], before: float) -> Reply[T] | PollError:
        """Ask once for a wait, and read no more than what is news to it."""
        ref, known = wait.ref, wait.known
        endpoint = endpoint_of(ref)
        # The same all through a wait: it is part of the answer's bytes, so of its ETag.
        request_id = f"{self._name}-{ref.id}"
        etag = self._etag(wait) if known is not None else None
        path = endpoint.path + ref.id
        answer = await self._http.send("GET", path, request_id, before, etag=etag)
        if isinstance(answer, Answer) and known is not None:
            if answer.status == 304 and etag is not None:
                if _same(etag, answer.headers.get("ETag")):
                    self._unconditional_next = 0
                    self._health.good(answer.term, answer.sent)
                    return Reply(known, None, etag, answer.sent)
                # Unchanged since some other answer: that says nothing of the one we have.
                self._health.neither(answer.term)
                self._ask_less_for_304()
                answer = await self._http.send("GET", path, request_id, before)
            elif answer.status == 200:
                seen = glance(answer.body, endpoint)
                if seen is not None and seen.status == known and _is_for(ref, seen.id):
                    self._health.good(answer.term, answer.sent)
                    return Reply(known, None, _memo(answer, etag), answer.sent)
        task = self._task(ref, endpoint, request_id, answer)
        if isinstance(task, AiToEarnError):
            await self._http.keys.reconsider(task, answer, before)
            return task
        assert isinstance(answer, Answer)
        # One copy of a word for all the waits that hold it.
        return Reply(sys.intern(task.status), task, _memo(answer, etag), answer.sent)

    def _etag(self, wait: Wait[Any]) -> str | None:
        """What to ask for a 304 with."""
        if not self._unconditional or wait.memo is None:
            return wait.memo
        self._unconditional -= 1
        return None

    def _ask_less_for_304(self) -> None:
        """One came that had to be asked again: so may the next, behind a proxy that spoils all."""
        self._unconditional_next = min(2 * self._unconditional_next + 1, _MOST_UNCONDITIONAL)
        self._unconditional = self._unconditional_next

    def _task(
        self,
        ref: TaskRef[T],
        endpoint: Endpoint[T],
        request_id: str,
        answer: Answer | TransportError,
    ) -> T | PollError:
        """What came of asking, of which all is told that have to know."""
        if isinstance(answer, TransportError):
            if not isinstance(answer, NotAskedError):
                self._note(ref, answer)
            return answer
        result = self._read(ref, endpoint, request_id, answer)
        if isinstance(result, AiToEarnError):
            self._health.bad(answer.term, ref.id, result)
            self._note(ref, result)
            return result
        self._health.good(answer.term, answer.sent)
        if not is_known(result.status):
            self._notice(result.status)
        return result

    def _read(
        self, ref: TaskRef[T], endpoint: Endpoint[T], request_id: str, answer: Answer
    ) -> T | PollError:
        if not 200 <= answer.status < 300:
            no = refusal(answer.body)
            if no is None:
                return self._http.trouble.rejection(answer, request_id)
            return self._refused(no, request_id, answer)
        result = read(self._http.keys.cut_from(answer.body), endpoint)
        if isinstance(result, Refusal):
            return self._refused(result, request_id, answer)
        if isinstance(result, Broken):
            if result.is_json:
                return ContractError(self._http.trouble.scrubbed(result.reason), request_id)
            return self._http.trouble.rejection(answer, request_id)
        echoed = endpoint.id_of(result.data)
        if not _is_for(ref, echoed):
            self._http.drop(answer)
            echoed = self._http.trouble.scrubbed(echoed)
            return _stray(f"the answer is for the task {echoed!r:.60}", request_id)
        self._echoes_request_ids = result.request_id == request_id
        return result.data

    def _refused(self, no: Refusal, request_id: str, answer: Answer) -> PollError:
        # A refusal names no task. Where the service echoes our request ids, one with another
        # id is somebody else's.
        if self._echoes_request_ids and no.request_id not in (None, request_id):
            self._http.drop(answer)
            return _stray("the refusal is for another request", request_id)
        return self._http.trouble.refused(no.code, no.message, answer, request_id)

    def _note(self, ref: TaskRef[Any], error: AiToEarnError) -> None:
        self._limits.failed += 1
        error.add_note(f"asked for {ref}")
        logger.debug("%s: %s", ref, error)

    def _notice(self, word: str) -> None:
        known_by = word[:200]  # they are kept
        if known_by in self._strange_words or len(self._strange_words) >= _MOST_STRANGE_WORDS:
            return
        self._strange_words.add(known_by)
        shown = self._http.trouble.scrubbed(word)
        logger.warning("unknown status %.60r: taken to mean that the task still runs", shown)


def _is_for(ref: TaskRef[Any], echoed: str) -> bool:
    return echoed == ref.id or echoed.lower() == ref.id.lower()


def _stray(what: str, request_id: str) -> UnexpectedResponseError:
    return UnexpectedResponseError(f"{what}, not ours", request_id, 200, label="stray answer")


def _memo(answer: Answer, sent: str | None) -> str | None:
    """An answer's ETag, if it is fit to be sent back."""
    etag = answer.headers.get("ETag")
    return etag if etag is None or etag == sent or _ETAG.fullmatch(etag) else None


def _same(one: str, other: str | None) -> bool:
    return other is not None and one.removeprefix("W/") == other.removeprefix("W/")
