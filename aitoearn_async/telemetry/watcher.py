"""The watcher of one client: it sees waits, submits and downloads, and tells observers.

It never disturbs what it watches: an observer that raises is logged once. A client without
observers has none.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import logging
import math
import time
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .._polling.wait.settings import WaitSettings
from .._polling.wait.state import PollResult, WaitState
from .._polling.wait.step import Decision, step
from .._polling.wait.step import Poll as PollOnce
from .._verdict import NO_TURN, Verdict
from ..contract.endpoints import endpoint_of
from ..contract.kinds import AnyRef, AnyTask
from ..contract.requests import TaskRequest
from ..contract.status import TaskState
from ..contract.tasks import Task, TaskRef
from ..errors import (
    AiToEarnError,
    ApiError,
    ClientClosedError,
    NotAskedError,
    ServiceUnreachableError,
    SubmitUncertainError,
    TransportError,
    WaitTimeoutError,
)
from .observer import Observer
from .operations import BreakerChange, Download, Operation, OperationOutcome, Poll, Submit, Wait

if TYPE_CHECKING:
    from .._polling.cadence.service_clock import ServiceClock

T = TypeVar("T", bound=Task)
R = TypeVar("R", bound=TaskRef[Any])

logger: logging.Logger = logging.getLogger("aitoearn_async")

_OUTCOMES: tuple[tuple[type[BaseException], OperationOutcome], ...] = (
    (WaitTimeoutError, "timed_out"),
    (SubmitUncertainError, "uncertain"),
    (ClientClosedError, "closed"),
    (ApiError, "refused"),
    (ServiceUnreachableError, "unreachable"),
    (TransportError, "unreachable"),
    (asyncio.CancelledError, "cancelled"),
    (GeneratorExit, "abandoned"),
)
"""Types of errors -> the outcome. The first that fits counts. Any other error is a failure."""
_CLASS_NAMES = {"otel": "OpenTelemetry", "prometheus": "Prometheus", "structlog": "Structlog"}
"""The words of `AITOEARN_TELEMETRY` -> the names of the observers' classes."""
_METHODS = [name for name in vars(Observer) if not name.startswith("_")]


def observers_from(given: Observer | Iterable[Observer] | str) -> list[Observer]:
    """Return the observers that a client was given, or that `AITOEARN_TELEMETRY` names.

    Raises:
        TypeError: One of them is no observer, or has a method that is async.
        ValueError: The variable holds another word.
        ImportError: A package is not installed.
    """
    found: list[Any]
    if isinstance(given, str):
        found = [_named(word.strip().lower()) for word in given.split(",")]
    else:
        found = [*given] if isinstance(given, Iterable) else [given]
    for each in found:
        if not isinstance(each, Observer):
            raise TypeError(
                f"telemetry={each!r:.60}: give an Observer, such as OpenTelemetry(), or several"
            )
        for name in _METHODS:
            if inspect.iscoroutinefunction(getattr(each, name)):
                raise TypeError(
                    f"{type(each).__qualname__}.{name} is called where nothing can be awaited: "
                    "make it a method that is not async"
                )
    return [*{id(each): each for each in found}.values()]  # one that is named twice is told once


@functools.cache
def _named(word: str) -> Observer:
    """Return the one observer of a process that a word stands for."""
    if word not in _CLASS_NAMES:
        raise ValueError(
            f"AITOEARN_TELEMETRY={word!r:.60}: set it to {', '.join(_CLASS_NAMES)}, or not at all"
        )
    observer: Observer = getattr(importlib.import_module(__package__ or ""), _CLASS_NAMES[word])()
    return observer


class Watcher:
    """The watcher of one client.

    Args:
        observers: The observers that it tells. Of each, only the methods that it overrides are
            called.
        address: The service's.
        now: Tells the time, by the client's clock.
        clock: The service's clock.
        breaker: Tells the state of the client's breaker, in a word.
    """

    def __init__(
        self,
        observers: Iterable[Observer],
        address: str,
        now: Callable[[], float],
        clock: ServiceClock,
        breaker: Callable[[], Any],
    ) -> None:
        self._overridden = {
            name: [
                (observer, getattr(observer, name))
                for observer in observers
                if getattr(type(observer), name) is not getattr(Observer, name)
            ]
            for name in _METHODS
        }
        self._logged: set[int] = set()  # by id, as an observer may have no hash
        self._address = address
        self._now = now
        self._clock = clock
        self._breaker = breaker
        self._state: Any = None
        # By `id()` of a wait's state: that state, which keeps the id its own, and the operation.
        self._open: dict[int, tuple[WaitState[Any], Wait]] = {}
        self.note_breaker()

    def _tell(self, name: str, *facts: object) -> None:
        """Call a method of all observers that override it."""
        for observer, method in self._overridden[name]:
            try:
                method(*facts)
            except Exception:
                if id(observer) not in self._logged:
                    self._logged.add(id(observer))
                    kind = type(observer).__qualname__
                    logger.exception("the observer %s failed, and may again", kind)

    # The breaker.

    def note_breaker(self) -> None:
        """Tell observers the state of the breaker, if it has changed."""
        before, self._state = self._state, self._breaker()
        if self._state != before:
            change = BreakerChange(address=self._address, before=before, after=self._state)
            self._tell("breaker_changed", change)

    def close(self) -> None:
        """Note that the client is closed: whatever its breaker does from now on is not told."""
        self._breaker = lambda: None
        self.note_breaker()

    # Waits.

    def polling(self, poll: PollOnce[T]) -> PollOnce[T]:
        """Return a poll function that tells observers when a poll is entered and left."""

        async def seen(wait: WaitState[T], deadline: float) -> PollResult[T] | Verdict:
            with self.working_for(wait):
                return await poll(wait, deadline)

        return seen

    def working_for(self, wait: WaitState[Any]) -> AbstractContextManager[None]:
        """Tell observers that the running task works for a wait. The first time begins the wait."""
        known = self._open.get(id(wait))
        operation = self._begin(wait) if known is None else known[1]
        return self._entered(operation)

    @contextmanager
    def _entered(self, operation: Operation) -> Generator[None]:
        self._tell("entered", operation)
        try:
            yield
        finally:
            self._tell("left", operation)

    def step(
        self,
        wait: WaitState[T],
        settings: WaitSettings,
        response: PollResult[T] | Verdict,
        asked: float,
        now: float,
    ) -> Decision[T]:
        """Tell observers of a poll, and return what `step` decides on it."""
        _, operation = self._open[id(wait)]  # begun before its poll
        if isinstance(response, Verdict):
            self._note_failure(operation, response.error, now - asked)
        else:
            self._note_answer(operation, response, asked, now)
        return step(wait, settings, response, asked, now)

    def _begin(self, wait: WaitState[Any]) -> Wait:
        since = 0.0 if math.isnan(wait.started) else self._now() - wait.started
        ref = cast("AnyRef", wait.ref)
        operation = Wait(address=self._address, began=time.time() - since, ref=ref)
        self._open[id(wait)] = wait, operation
        self._tell("began", operation)
        return operation

    def _note_answer(
        self, operation: Wait, result: PollResult[Any], asked: float, now: float
    ) -> None:
        changed = result.status != operation.status
        what = "not_modified" if result.not_modified else "changed" if changed else "unchanged"
        operation.polls += 1
        told = Poll(result=what, seconds=now - asked, status=result.status)  # type: ignore[arg-type]
        self._tell("polled", operation, told)
        operation.status, operation.trouble = result.status, None

    def _note_failure(self, operation: Wait, error: AiToEarnError, seconds: float) -> None:
        # A poll that was not sent is not counted. It is told of only where the wait has no trouble
        # of its own: what held it back was the trouble of other waits.
        was_sent = not isinstance(error, NotAskedError) and error.label != NO_TURN
        if not was_sent and operation.trouble is not None:
            return
        operation.polls += was_sent
        told = Poll(result="failed" if was_sent else "held", seconds=seconds, error=error)
        self._tell("polled", operation, told)
        operation.trouble = error.label

    def end(self, wait: WaitState[Any], task: Task | None, error: BaseException | None) -> None:
        """Note the end of a wait: its task or its error; neither where it was abandoned."""
        if (known := self._open.pop(id(wait), None)) is None:
            return
        operation, now = known[1], self._now()
        if task is not None and task.done:
            operation.task = cast("AnyTask", task)
            operation.status, operation.trouble = task.status, None
            operation.noticed_after = self._noticed_after(wait, task, now)
            has_failed = task.state is not TaskState.SUCCEEDED
            outcome: OperationOutcome = "failed" if has_failed else "succeeded"
            error = None
        else:
            outcome = "abandoned" if error is None else _outcome_of(error)
        self._end(operation, outcome, error, now - wait.started)

    def end_unseen(
        self, wait: WaitState[Any], task: Task | None, error: BaseException | None
    ) -> None:
        """Note the end of a wait that may have had no poll of its own."""
        if id(wait) not in self._open and not math.isnan(wait.started):
            self._begin(wait)
        self.end(wait, task, error)

    def _noticed_after(self, wait: WaitState[Any], task: Any, now: float) -> float | None:
        """Return the seconds since the task ended, by the first plausible one of its dates."""
        if not self._clock.known:
            return None
        for moment in endpoint_of(wait.ref).times_of(task).ended:
            ago = now - (moment - self._clock.offset)
            if -1.0 <= ago <= now - wait.started:
                return max(ago, 0.0)
        return None

    def _end(
        self,
        operation: Operation,
        outcome: OperationOutcome,
        error: BaseException | None,
        seconds: float,
    ) -> None:
        operation.outcome, operation.error, operation.seconds = outcome, error, seconds
        self._tell("ended", operation)

    # Submits and downloads.

    async def submit(self, request: TaskRequest[R], work: Awaitable[R]) -> R:
        """Await a submit, and tell observers of it."""
        operation = Submit(address=self._address, began=time.time(), request=request)
        with self._begun(operation):
            ref = await work
            operation.ref = cast("AnyRef", ref)
            return ref

    async def download(self, task: AnyTask, work: Awaitable[list[Path]]) -> list[Path]:
        """Await the saving of one task's files, and tell observers of it."""
        operation = Download(address=self._address, began=time.time(), ref=task.ref)
        with self._begun(operation):
            paths = await work
            operation.paths = tuple(paths)
            return paths

    @contextmanager
    def _begun(self, operation: Operation) -> Generator[None]:
        """Tell observers of the beginning and the end of an operation that takes this block."""
        began = self._now()
        self._tell("began", operation)
        error: BaseException | None = None
        try:
            with self._entered(operation):
                yield
        except BaseException as exc:
            error = exc
            raise
        finally:
            outcome = "succeeded" if error is None else _outcome_of(error)
            self._end(operation, outcome, error, self._now() - began)


def _outcome_of(error: BaseException) -> OperationOutcome:
    """Return the outcome of an operation that an error has ended."""
    for kind, outcome in _OUTCOMES:
        if isinstance(error, kind):
            return outcome
    return "failed"
