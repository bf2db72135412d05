"""One poll, from a ref to the state of its task.

A response is believed only if it is for the task that was asked for. When to poll, and how
often, is not known here.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar, cast

import msgspec

from .._net.headers import matches
from .._polling.wait.state import OWED, PollResult, WaitState
from .._transport.response import Response
from .._verdict import Verdict
from ..contract.endpoints import ENDPOINTS, Endpoint
from ..contract.envelope import decode_head
from ..contract.kinds import AnyRef
from ..contract.refusal import refusal
from ..contract.status import is_known
from ..contract.tasks import Task, TaskRef
from ..errors import NotAskedError, TransportError
from .caller import ApiCaller
from .conditional_polls import ConditionalPolls
from .draft_lookup import DraftLookup
from .provenance import CacheWatch, PollQuestion, RefusalCheck, is_for
from .turns import Turns, VideoTurn

T = TypeVar("T", bound=Task)
R = TypeVar("R")

logger: logging.Logger = logging.getLogger("aitoearn_async")

_MOST_WORDS = 100
_MOST_OF_A_WORD = 200
"""Characters of a status that are kept."""


class Poller:
    """Polls one service.

    Args:
        caller: Calls it.
        turns: Has requests for the same video go one after the other.
        drafts: Looks up tasks whose own route fails.
    """

    def __init__(self, caller: ApiCaller, turns: Turns, drafts: DraftLookup) -> None:
        self._caller = caller
        self._turns = turns
        self._http = caller.http
        self._seen_words: set[str] = set()
        self._conditional = ConditionalPolls(caller.lifetime)
        self._check = RefusalCheck(caller.http.credentials.shown)
        self._cache = CacheWatch(caller.lifetime)
        self._drafts = drafts

    def get(self, ref: TaskRef[T]) -> Coroutine[Any, Any, T]:
        """Ask, when awaited, up to `attempts` times, and read the response whole.

        Raises:
            AiToEarnError: No task came of it.
        """
        return self._caller.repeat(partial(self._ask, ref))

    async def fetch(self, ref: TaskRef[T], deadline: float) -> T:
        """Ask once, and read the response whole; over by `deadline`, on the client's clock.

        Raises:
            AiToEarnError: No task came of it.
        """
        result = await self._ask(ref, deadline)
        if isinstance(result, Verdict):
            raise result.error
        return result

    def _ask(self, ref: TaskRef[T], deadline: float) -> Awaitable[T | Verdict]:
        endpoint: Endpoint[T] = ENDPOINTS[type(ref)]
        if endpoint.may_write is not None:
            self._caller.lifetime.enter()  # before another thread takes turns
            ask = partial(self._ask_now, ref, endpoint, deadline)
            return self._in_turn(ref, self._turns.video(ref.id, deadline), ask)
        return self._ask_now(ref, endpoint, deadline)

    async def _in_turn(
        self, ref: TaskRef[Any], turn: VideoTurn, ask: Callable[[], Awaitable[R | Verdict]]
    ) -> R | Verdict:
        async with turn as is_its_turn:
            if is_its_turn:
                return await ask()
        verdict = self._caller.no_turn(ref.id)
        verdict.error.ref = cast("AnyRef", ref)
        return verdict

    async def _ask_now(
        self, ref: TaskRef[T], endpoint: Endpoint[T], deadline: float
    ) -> T | Verdict:
        question = self._question(ref, self._caller.request_id(), endpoint)
        question.is_fresh = True
        response = await self._http.send(question, deadline)
        result = self._read(question, response)
        if isinstance(result, Verdict) or result.stored:
            result = await self._read_past(question, result, response, deadline)
        if isinstance(result, Verdict):
            return result
        assert result.task is not None
        return result.task

    def _question(
        self,
        ref: TaskRef[T],
        request_id: str,
        endpoint: Endpoint[T],
        etag: str | None = None,
        *,
        is_final: bool = False,
    ) -> PollQuestion[T]:
        path = endpoint.path + ref.id
        if self._cache.is_seen and self._cache.is_passable():
            path = self._caller.path_past_caches(path)
        return PollQuestion(
            path=path,
            route=endpoint.path,
            subject=ref.id,
            request_id=request_id,
            etag=etag,
            is_final=is_final,
            decode=endpoint.decode,
            ref=ref,
            codec=endpoint.codec,
            check=self._check,
        )

    def poll(
        self, wait: WaitState[T], deadline: float
    ) -> Coroutine[Any, Any, PollResult[T] | Verdict]:
        """Poll once for a wait, and read only what is new to it."""
        endpoint: Endpoint[T] = ENDPOINTS[type(wait.ref)]
        may_write = endpoint.may_write
        if may_write is not None:
            writes = wait.latest is None or may_write(wait.latest)
            ask = partial(self._poll_now, wait, endpoint, deadline)
            turn = self._turns.video(wait.ref.id, deadline, writes=writes)
            return self._in_turn(wait.ref, turn, ask)
        return self._poll_now(wait, endpoint, deadline)

    async def _poll_now(
        self, wait: WaitState[T], endpoint: Endpoint[T], deadline: float
    ) -> PollResult[T] | Verdict:
        ref = wait.ref
        # The final poll reads the task whole, for the error of a wait that is given up.
        is_final = wait.final_poll_for is not None and wait.final_poll_for != OWED
        is_check = not is_final and wait.status is not None and self._conditional.is_check_due()
        known = None if is_final or is_check else wait.status
        # All polls of a wait have the same: it is part of the response's bytes, and so of its ETag.
        request_id = f"{self._caller.id_prefix}-{ref.id}"
        etag = self._conditional.etag_for(wait.validator) if known is not None else None
        if is_final or is_check or wait.last_error is not None:
            # A poll that confirms another one must not be answered by a copy of its answer.
            request_id, etag = self._caller.request_id(), None
        question = self._question(ref, request_id, endpoint, etag, is_final=is_final)
        response = await self._http.send(question, deadline)
        if isinstance(response, Response) and known is not None:
            if self._is_unchanged(wait, known, question, response):
                return PollResult(
                    known,
                    None,
                    response.validator,
                    response.sent,
                    response.is_stored,
                    response.retry_after,
                    response.status == 304,
                )
            if response.status == 304 and etag is not None:
                # It is unchanged since another response than ours: that says nothing.
                question.etag = None
                response = await self._http.send(question, deadline)
        result = self._read(question, response)
        if isinstance(result, Verdict) or result.stored:
            result = await self._read_past(question, result, response, deadline)
        if isinstance(result, Verdict):
            settled = await self._drafts.look_up_if_due(ref, result, deadline)
            return result if settled is None else PollResult(sys.intern(settled.status), settled)
        if wait.last_error is not None:
            self._drafts.note_good(ref)
        return self._checked(result, wait) if is_check else result

    def _checked(self, result: PollResult[T], wait: WaitState[T]) -> PollResult[T]:
        """Return the result of a poll that was asked afresh to check what a wait knows."""
        if result.status == wait.status:  # the tag of another request id fits no later answer
            return msgspec.structs.replace(result, task=None, validator=wait.validator)
        if result.validator is not None and result.validator == wait.validator:
            self._conditional.note_wrong()
        return result

    async def _read_past(
        self,
        question: PollQuestion[T],
        result: PollResult[T] | Verdict,
        response: Response | TransportError,
        deadline: float,
    ) -> PollResult[T] | Verdict:
        """Return the result of a poll that a cache has answered, or that has been refused.

        Where a cache has answered, it is gone past. Where something on the way refuses the query
        that this takes, a cache's answer is better than none, and the query is not tried each time.
        """
        refreshed = self._http.credentials.refresh_if_rejected
        result = await refreshed(result, response, deadline)
        plain = question.route + question.ref.id
        is_plain = question.path == plain
        if is_plain:
            is_copy = isinstance(result, PollResult) and result.stored
            if not is_copy or not self._cache.is_passable():
                return result
            question.path = self._caller.path_past_caches(plain)
        else:
            if not _is_refused(question, result, response):
                return result
            question.path = plain
        question.etag, question.is_copy = None, None
        again = await self._http.send(question, deadline)
        second = await refreshed(self._read(question, again), again, deadline)
        if is_plain:
            if not _is_refused(question, second, again):
                return second
            self._cache.note_refused()
            return result
        if isinstance(second, PollResult):  # in an outage the query is not to blame
            self._cache.note_refused()
        return second

    def _is_unchanged(
        self,
        wait: WaitState[T],
        known: str,
        question: PollQuestion[T],
        response: Response,
    ) -> bool:
        """Return whether a response says what the wait knows, and no more."""
        ref, etag = question.ref, question.etag
        if response.is_stored:
            self._cache.note(response)
        if response.status == 304 and etag is not None:
            if not matches(etag, response.headers):
                self._http.monitor.record_ignored(response.admission)
                self._conditional.note_spoiled()
                return False
            self._conditional.note_good()
        else:
            try:
                is_good = response.status == 200
                head = decode_head(response.body, question.codec) if is_good else None
            except MemoryError:
                return False
            if head is None or head.status != known or not is_for(ref, head.id):
                return False
            if wait.last_error is not None:
                self._drafts.note_good(ref)
        self._caller.accept(response, ref.id)
        return True

    def _read(
        self, question: PollQuestion[T], response: Response | TransportError
    ) -> PollResult[T] | Verdict:
        """Read the whole task of a response."""
        task = self._caller.read(response, question)
        if isinstance(task, Verdict):
            if not isinstance(task.error, NotAskedError):
                task.error.ref = cast("AnyRef", question.ref)
            return task
        assert isinstance(response, Response)
        is_copy = response.is_stored if question.is_copy is None else question.is_copy
        if is_copy:
            self._cache.note(response)
        elif self._cache.pause and "?" in question.path:
            self._cache.note_passed()
        if task.status not in self._seen_words:
            self._note_word(task.status)
        return PollResult(
            sys.intern(task.status),  # one copy of a word for all the waits that hold it
            task,
            response.validator,
            response.sent,
            is_copy,
            response.retry_after,
        )

    def _note_word(self, word: str) -> None:
        """Log a status word that is not known, the first time that it comes."""
        known_by = word[:_MOST_OF_A_WORD]
        if known_by in self._seen_words or len(self._seen_words) >= _MOST_WORDS:
            return
        self._seen_words.add(known_by)
        if is_known(word):
            return
        shown = self._http.credentials.shown(word)
        logger.warning("unknown status %.60r: taken to mean that the task still runs", shown)


def _is_refused(
    question: PollQuestion[T], result: PollResult[T] | Verdict, response: Response | TransportError
) -> bool:
    """Return whether a response refuses, and may not be the service's own."""
    if not isinstance(result, Verdict) or not isinstance(response, Response):
        return False
    no = refusal(response.body)
    return no is None or no.code is None or no.request_id != question.request_id
