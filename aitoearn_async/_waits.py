"""The waits of one client: for a task, or for many.

A wait gets the parts of the client that it needs. Its numbers have been checked.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Generator, Iterable
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ._arguments import hooks, not_async, telemetry_asked
from ._polling.cadence.rhythm import Rhythm
from ._polling.single.single_waits import SingleWaits
from ._polling.single.waiter import Waiter
from ._polling.wait.settings import Evidence, WaitLimits, settings_by_kind, settings_for
from ._polling.wait.step import Poll
from .contract.endpoints import ref_of
from .contract.tasks import Task, TaskRef
from .errors import AiToEarnError

if TYPE_CHECKING:
    from ._assembly import Parts
    from ._polling.batch.batch import Batch
    from ._polling.batch.save_queue import Save
    from ._polling.batch.statistics import BatchStatistics
    from ._polling.wait.resume import Resume
    from .telemetry import Observer
    from .telemetry.watcher import Watcher

T = TypeVar("T", bound=Task)


class Waits:
    """Makes the waits of one client.

    Args:
        parts: The parts of the client.
        rhythm: What the client has learned.
        telemetry: The observers of the waits, and of all else that the client does.

    Raises:
        TypeError: An observer is something else.
        ValueError: The environment names an observer that is not known.
        ImportError: The package of an observer is not installed.
    """

    def __init__(
        self,
        parts: Parts,
        rhythm: Rhythm,
        telemetry: Observer | Iterable[Observer] | None,
    ) -> None:
        self._parts = parts
        self._monitor = parts.http.monitor
        self._rhythm = rhythm
        self._single = SingleWaits(parts.pages, parts.lifetime)
        parts.lifetime.on_move(self._single.leave_loop)
        self._poll: Poll[Any] = parts.poller.poll
        self._waiter_type: Callable[..., Waiter[Any]] = Waiter
        self._watched_batch_type: Callable[..., Batch[Any]] | None = None
        self._watcher: Watcher | None = None
        observers: Observer | Iterable[Observer] | str | None = telemetry_asked(telemetry)
        if observers:
            self._watcher = self._start_watching(observers)

    def _start_watching(self, observers: Observer | Iterable[Observer] | str) -> Watcher:
        """Tell observers of all that the client does. A client without any imports no telemetry."""
        from .telemetry.watched import WatchedBatch, WatchedWaiter
        from .telemetry.watcher import Watcher, observers_from

        parts, monitor = self._parts, self._monitor
        watcher = Watcher(
            observers_from(observers),
            monitor.address,
            parts.lifetime.now,
            self._rhythm.clock,
            lambda: monitor.state.value,
        )
        monitor.on_change = watcher.note_breaker
        parts.submitter.watch, parts.downloader.watch = watcher.submit, watcher.download
        self._waiter_type = partial(WatchedWaiter, watch=watcher)
        self._watched_batch_type = partial(WatchedBatch, watch=watcher)
        return watcher

    async def aclose(self) -> None:
        """Note that the client is closed, and wait until no round runs any more."""
        await self._single.aclose()
        if self._watcher is not None:
            self._watcher.close()

    def batch(
        self,
        refs: Iterable[TaskRef[T] | str] | AsyncIterable[TaskRef[T] | str],
        limits: WaitLimits,
        *,
        max_pending: int,
        admitted: Callable[[TaskRef[T]], None] | None = None,
        progress: Callable[[BatchStatistics], object] | None,
        save: Save[T] | None,
        resume: Callable[[TaskRef[T]], Resume | None] | None = None,
    ) -> Batch[T]:
        """Return the wait for many tasks, with the arguments of `Client.as_completed`.

        `admitted` is called with each ref that the wait takes in.
        """
        hooks(progress=progress)
        not_async("resume", resume)
        batch_type = self._watched_batch_type or self._parts.batch_type
        return batch_type(
            refs,
            settings_by_kind(limits, self._new_evidence(), self._rhythm),
            timeout=limits.timeout,
            max_pending=max_pending,
            concurrency=self._parts.limiter.places.count,
            poll=self._poll,
            lifetime=self._parts.lifetime,
            admitted=admitted,
            progress=progress,
            save=save,
            resume=resume,
            pages=self._parts.pages,
        )

    def waiter(
        self, given: TaskRef[T] | str, limits: WaitLimits, raise_on_failure: bool
    ) -> Waiter[T]:
        """Return the wait for one task."""
        evidence = self._new_evidence()
        ref = ref_of(given)
        return self._waiter_type(
            ref,
            settings_for(ref.kind, limits, evidence, self._rhythm),
            raise_on_failure=raise_on_failure,
            poll=self._poll,
            lifetime=self._parts.lifetime,
            others=self._single,
        )

    def _new_evidence(self) -> Evidence:
        return Evidence(self._parts.just_submitted, self._monitor)


@contextmanager
def naming(ref: TaskRef[Any]) -> Generator[None]:
    """Name a task that was submitted in every error that is raised inside."""
    try:
        yield
    except BaseException as exc:
        exc.add_note(f"{ref} was submitted and goes on")
        if isinstance(exc, AiToEarnError):
            exc.ref = ref  # type: ignore[assignment]
        raise
