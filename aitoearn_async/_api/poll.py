"""One poll, from a ref to the state of its task.

A response is believed only if it is for the task that was asked for. Nothing here decides when to
poll, or how often.
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
"""Status words that are remembered, so that each unknown one is logged once."""
_MOST_OF_A_WORD = 200
"""Characters of such a word that are kept."""


class Poller:
    """Polls one service.

    Args:
        caller: Calls it.
        turns: Makes requests for the same video wait for each other.
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
        """Return the whole task, after up to `attempts` requests.

        Raises:
            AiToEarnError: None of them brought it.
        """
        return self._caller.repeat(partial(self._ask, ref))

    async def fetch(self, ref: TaskRef[T], deadline: float) -> T:
        """Return the whole task, after one request that ends by a moment of the client's clock.

        Raises:
            AiToEarnError: The request did not bring it.
        """
        result = await self._ask(ref, deadline)
        if isinstance(result, Verdict):
            raise result.error
        return result

    def _ask(self, ref: TaskRef[T], deadline: float) -> Awaitable[T | Verdict]:
        """Ask once for the whole task; in turn, if the service may write when it is asked."""
        endpoint: Endpoint[T] = ENDPOINTS[type(ref)]
        if endpoint.may_write is not None:
            ask = partial(self._ask_now, ref, endpoint, deadline)
            return self._in_turn(ref, self._turns.video(ref.id, deadline), ask)
        return self._ask_now(ref, endpoint, deadline)

    async def _ask_now(
        self, ref: TaskRef[T], endpoint: Endpoint[T], deadline: float
    ) -> T | Verdict:
        question = self._question(ref, self._caller.request_id(), endpoint, is_fresh=True)
        response = await self._http.send(question, deadline)
        result = self._read(question, response)
        if isinstance(result, Verdict) or result.is_copy:
            result = await self._settle(question, result, response, deadline)
        if isinstance(result, Verdict):
            return result
        assert result.task is not None
        return result.task

    def poll(
        self, wait: WaitState[T], deadline: float
    ) -> Coroutine[Any, Any, PollResult[T] | Verdict]:
        """Poll once for a wait, and read only what is new to it.

        A kind of task for which the service may write when it is polled is polled in turn.
        """
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
        # All polls of a wait send the same id. The service echoes it in the body, and the ETag is
        # that of the body.
        request_id = f"{self._caller.id_prefix}-{ref.id}"
        etag = self._conditional.etag_for(wait.validator) if known is not None else None
        if is_final or is_check or wait.last_error is not None:
            # A poll that is to confirm an answer must not get a copy of that answer.
            request_id, etag = self._caller.request_id(), None
        question = self._question(ref, request_id, endpoint, etag, is_final=is_final)
        response = await self._http.send(question, deadline)
        if isinstance(response, Response) and known is not None:
            if self._accept_unchanged(wait, known, question, response):
                return PollResult(
                    known,
                    None,
                    response.validator,
                    response.sent,
                    response.is_copy,
                    response.retry_after,
                    response.status == 304,
                )
            if response.status == 304 and etag is not None:
                # The 304 is about another response than the one this wait has seen.
                question.etag = None
                response = await self._http.send(question, deadline)
        result = self._read(question, response)
        if isinstance(result, Verdict) or result.is_copy:
            result = await self._settle(question, result, response, deadline)
        if isinstance(result, Verdict):
            ended = await self._drafts.look_up_if_due(ref, result, deadline)
            return result if ended is None else PollResult(sys.intern(ended.status), ended)
        if wait.last_error is not None:
            self._drafts.note_good(ref)
        return self._compared(result, wait) if is_check else result

    def _accept_unchanged(
        self,
        wait: WaitState[T],
        known: str,
        question: PollQuestion[T],
        response: Response,
    ) -> bool:
        """Accept a response that says no more than the wait knows. Return whether it was one."""
        ref, etag = question.ref, question.etag
        if response.is_copy:
            self._cache.note(response)
        if response.status == 304 and etag is not None:
            if not matches(etag, response.headers):
                self._http.monitor.record_ignored(response.admission)
                self._conditional.note_spoiled()
                return False
            self._conditional.note_good()
        else:
            if response.status != 200:
                return False
            try:
                head = decode_head(response.body, question.codec)
            except MemoryError:
                return False
            if head is None or head.status != known or not is_for(ref, head.id):
                return False
            if wait.last_error is not None:
                self._drafts.note_good(ref)
        self._caller.accept(response, ref.id)
        return True

    def _compared(self, result: PollResult[T], wait: WaitState[T]) -> PollResult[T]:
        """Return the result of a poll that checks whether what a wait knows is still true."""
        if result.status == wait.status:
            # The check had an id of its own, so the ETag of its answer fits no later poll.
            return msgspec.structs.replace(result, task=None, validator=wait.validator)
        if result.validator is not None and result.validator == wait.validator:
            self._conditional.note_wrong()
        return result

    async def _in_turn(
        self, ref: TaskRef[Any], turn: VideoTurn, ask: Callable[[], Awaitable[R | Verdict]]
    ) -> R | Verdict:
        """Ask in a turn; or return a verdict, if the turn has not come before its deadline."""
        async with turn as is_its_turn:
            if is_its_turn:
                return await ask()
        verdict = self._caller.no_turn(ref.id)
        verdict.error.ref = cast("AnyRef", ref)
        return verdict

    def _question(
        self,
        ref: TaskRef[T],
        request_id: str,
        endpoint: Endpoint[T],
        etag: str | None = None,
        *,
        is_final: bool = False,
        is_fresh: bool = False,
    ) -> PollQuestion[T]:
        question = PollQuestion(
            path=endpoint.path + ref.id,
            route=endpoint.path,
            subject=ref.id,
            request_id=request_id,
            seconds=self._caller.request_timeout,
            etag=etag,
            is_final=is_final,
            decode=endpoint.codec.decode,
            ref=ref,
            codec=endpoint.codec,
            check=self._check,
            is_fresh=is_fresh,
        )
        if self._cache.is_seen and self._goes_past(question):
            question.path = self._caller.path_past_caches(question.path)
        return question

    def _goes_past(self, question: PollQuestion[T]) -> bool:
        """Return whether to go past a cache now. What no further poll follows does so always."""
        return question.is_final or question.is_fresh or self._cache.is_passable()

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
        is_copy = response.is_copy if question.is_copy is None else question.is_copy
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
        """Note a status word when it first comes, and log it if it is not a known one."""
        beginning = word[:_MOST_OF_A_WORD]
        if beginning in self._seen_words or len(self._seen_words) >= _MOST_WORDS:
            return
        self._seen_words.add(beginning)
        if is_known(word):
            return
        shown = self._http.credentials.shown(word)
        logger.warning("unknown status %.60r: taken to mean that the task still runs", shown)

    async def _settle(
        self,
        question: PollQuestion[T],
        result: PollResult[T] | Verdict,
        response: Response | TransportError,
        deadline: float,
    ) -> PollResult[T] | Verdict:
        """Return what comes of a poll that has failed, or that a cache has answered.

        A key that was refused is replaced. A poll that a cache has answered is sent again, with a
        query that no cache has seen. If something on the way refuses that query, the cache's answer
        is better than none, and the polls of waits have no query for a while.
        """
        refresh = self._http.credentials.refresh_if_rejected
        result = await refresh(result, response, deadline)
        path = question.route + question.ref.id
        if question.path == path:
            is_copy = isinstance(result, PollResult) and result.is_copy
            if not is_copy or not self._goes_past(question):
                return result
            path_past = self._caller.path_past_caches(path)
            second, response = await self._ask_again(question, path_past, deadline)
            if not _is_refused(question, second, response):
                return second
            self._cache.note_refused()
            return result
        if not _is_refused(question, result, response):
            return result
        second, _ = await self._ask_again(question, path, deadline)
        if isinstance(second, PollResult):  # in an outage the query is not to blame
            self._cache.note_refused()
        return second

    async def _ask_again(
        self, question: PollQuestion[T], path: str, deadline: float
    ) -> tuple[PollResult[T] | Verdict, Response | TransportError]:
        """Send the question of a poll along another path. Return the result and the response."""
        question.path, question.etag, question.is_copy = path, None, None
        response = await self._http.send(question, deadline)
        result = self._read(question, response)
        refresh = self._http.credentials.refresh_if_rejected
        return await refresh(result, response, deadline), response


def _is_refused(
    question: PollQuestion[T], result: PollResult[T] | Verdict, response: Response | TransportError
) -> bool:
    """Return whether a response is a refusal that may come from something before the service."""
    if not isinstance(result, Verdict) or not isinstance(response, Response):
        return False
    said = refusal(response.body)
    return said is None or said.code is None or said.request_id != question.request_id
