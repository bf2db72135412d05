"""One poll, from a ref to the state of its task.

A response is believed only if it is for the task that was asked for. When to poll, and how
often, is not known here.
"""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar, cast

from .._net.headers import matches
from .._polling.wait.state import OWED, PollResult, WaitState
from .._transport.response import Response
from .._verdict import Verdict
from ..contract.endpoints import ENDPOINTS, Endpoint
from ..contract.envelope import Codec, decode_head, decode_task
from ..contract.status import is_known
from ..contract.tasks import AnyRef, Task, TaskRef
from ..errors import NotAskedError, TransportError
from .caller import ApiCaller
from .draft_lookup import DraftLookup
from .provenance import CacheWatch, PollQuestion, RefusalCheck, is_for
from .turns import Turns, VideoTurn

T = TypeVar("T", bound=Task)
R = TypeVar("R")

logger: logging.Logger = logging.getLogger("aitoearn_async")

_MOST_WORDS = 100
_MOST_OF_A_WORD = 200
"""Characters of a status that are kept."""
_MOST_UNCONDITIONAL = 1000
"""The most polls without a condition, after 304s in a row that could not be used."""


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
        self._monitor = caller.http.monitor
        self._id_prefix = caller.http.id_prefix
        self._numbers = itertools.count(1)
        self._seen_words: set[str] = set()
        self._conditional = _ConditionalPolls()
        self._check = RefusalCheck(caller.http.id_prefix, caller.http.credentials.shown)
        self._cache = CacheWatch()
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
            ask = partial(self._ask_now, ref, endpoint, deadline)
            return self._in_turn(self._turns.video(ref.id, deadline), ask)
        return self._ask_now(ref, endpoint, deadline)

    async def _in_turn(self, turn: VideoTurn, ask: Callable[[], Awaitable[R]]) -> R:
        async with turn:
            return await ask()

    async def _ask_now(
        self, ref: TaskRef[T], endpoint: Endpoint[T], deadline: float
    ) -> T | Verdict:
        while True:
            request_id = self._fresh_id()
            question = self._question(ref, request_id, endpoint.codec, is_fresh=True)
            path, is_past_caches = endpoint.path + ref.id, self._cache.is_seen
            if is_past_caches:
                path = self._caller.path_past_caches(path)
            response = await self._http.send("GET", path, request_id, deadline, route=endpoint.path)
            task = self._task(question, response)
            # If a cache has answered, with an old state, it is asked past from now on.
            if is_past_caches or not question.is_copy:
                break
        if isinstance(task, Verdict):
            return await self._http.credentials.refresh_if_rejected(task, response, deadline)
        return task

    def _question(
        self, ref: TaskRef[T], request_id: str, codec: Codec[T], *, is_fresh: bool = False
    ) -> PollQuestion[T]:
        return PollQuestion(
            ref.id,
            request_id,
            partial(decode_task, codec=codec),
            self._id_prefix,
            ref=ref,
            id_of=codec.id_of,
            check=self._check,
            is_fresh=is_fresh,
        )

    def _fresh_id(self) -> str:
        return f"{self._id_prefix}-{next(self._numbers)}"

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
            return self._in_turn(turn, ask)
        return self._poll_now(wait, endpoint, deadline)

    async def _poll_now(
        self, wait: WaitState[T], endpoint: Endpoint[T], deadline: float
    ) -> PollResult[T] | Verdict:
        ref, path = wait.ref, endpoint.path + wait.ref.id
        # The final poll reads the task whole, for the error of a wait that is given up.
        is_final = wait.final_poll_for is not None and wait.final_poll_for != OWED
        known = None if is_final else wait.status
        # All polls of a wait have the same: it is part of the response's bytes, and so of its ETag.
        request_id = f"{self._id_prefix}-{ref.id}"
        etag = self._conditional.etag_for(wait.validator) if known is not None else None
        if is_final or wait.last_error is not None:
            # A poll that confirms another one must not be answered by a copy of its answer.
            request_id, etag = self._fresh_id(), None
        if self._cache.is_seen:
            path = self._caller.path_past_caches(path)  # which no cache has an answer to
        route = endpoint.path
        response = await self._http.send(
            "GET", path, request_id, deadline, route=route, etag=etag, is_final=is_final
        )
        if isinstance(response, Response) and known is not None:
            if self._is_unchanged(wait, known, endpoint, response, etag):
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
                response = await self._http.send("GET", path, request_id, deadline, route=route)
        question = self._question(ref, request_id, endpoint.codec)
        task = self._task(question, response)
        if question.is_copy or isinstance(task, Verdict):
            task, response = await self._ask_again(question, task, response, path, route, deadline)
        if isinstance(task, Verdict):
            settled = await self._drafts.look_up_if_due(ref, task, deadline)
            if settled is None:
                return task
            return PollResult(sys.intern(settled.status), settled)
        assert isinstance(response, Response)
        if wait.last_error is not None:
            self._drafts.note_good(ref)
        return PollResult(
            sys.intern(task.status),  # one copy of a word for all the waits that hold it
            task,
            response.validator,
            response.sent,
            bool(question.is_copy),
            response.retry_after,
        )

    async def _ask_again(
        self,
        question: PollQuestion[T],
        task: T | Verdict,
        response: Response | TransportError,
        path: str,
        route: str,
        deadline: float,
    ) -> tuple[T | Verdict, Response | TransportError]:
        """Repeat a poll that a cache has answered, or that something on the way has refused.

        After a copy, it is repeated past the cache. If that brings nothing, something on the way
        refuses the query: better a cache's answer than none. Any other result stays as it is.
        """
        credentials = self._http.credentials
        if isinstance(task, Verdict):
            task = await credentials.refresh_if_rejected(task, response, deadline)
        is_refused = isinstance(task, Verdict) and isinstance(response, Response)
        plain = route + question.ref.id
        if not (question.is_copy if path == plain else is_refused):
            return task, response
        other = self._caller.path_past_caches(plain) if path == plain else plain
        response = await self._http.send("GET", other, question.request_id, deadline, route=route)
        question.is_copy = None
        task = self._task(question, response)
        if isinstance(task, Verdict):
            task = await credentials.refresh_if_rejected(task, response, deadline)
        return task, response

    def _is_unchanged(
        self,
        wait: WaitState[T],
        known: str,
        endpoint: Endpoint[T],
        response: Response,
        etag: str | None,
    ) -> bool:
        """Return whether a response says what the wait knows, and no more."""
        ref = wait.ref
        if response.is_stored:
            self._cache.note(response)
        if response.status == 304 and etag is not None:
            if not matches(etag, response.headers):
                self._monitor.record_ignored(response.admission)
                self._conditional.note_spoiled()
                return False
            self._conditional.note_good()
        else:
            try:
                is_good = response.status == 200
                head = decode_head(response.body, endpoint.codec) if is_good else None
            except MemoryError:
                return False
            if head is None or head.status != known or not is_for(ref, head.id):
                return False
            if wait.last_error is not None:
                self._drafts.note_good(ref)
        self._caller.accept(response, ref.id)
        return True

    def _task(self, question: PollQuestion[T], response: Response | TransportError) -> T | Verdict:
        """Return the whole task of a response, or the verdict on it."""
        result = self._caller.read(response, question)
        if isinstance(result, Verdict):
            if not isinstance(result.error, NotAskedError):
                result.error.ref = cast("AnyRef", question.ref)
            return result
        assert isinstance(response, Response)
        if question.is_copy is None:
            question.is_copy = response.is_stored
        if question.is_copy:
            self._cache.note(response)
        if result.status not in self._seen_words:
            self._note_word(result.status)
        return result

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


class _ConditionalPolls:
    """Decides whether a poll asks for a 304: some proxies spoil them.

    A spoiled 304 costs a second request. After one, some polls ask without a condition, and twice
    as many after the next one.
    """

    def __init__(self) -> None:
        self._left = self._next = 0  # polls without a condition

    def etag_for(self, validator: str | None) -> str | None:
        """Return the tag to send as `If-None-Match`."""
        if not self._left or validator is None:
            return validator
        self._left -= 1
        return None

    def note_good(self) -> None:
        """Note a 304 that could be used."""
        self._next = 0

    def note_spoiled(self) -> None:
        """Note a 304 that had to be asked again."""
        self._next = min(2 * self._next + 1, _MOST_UNCONDITIONAL)
        self._left = self._next
