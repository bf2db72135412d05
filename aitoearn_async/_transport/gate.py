"""The way in of requests: let in by the service's health, in its turn, with a key to go out with.

What a request says, and what becomes of it on the wire, is not known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from .._resilience.limiter import RequestLimiter
from .._resilience.monitor import ServiceMonitor
from .._resilience.scopes import Admission
from .._runtime.lifetime import Lifetime, Timeout
from .._verdict import NO_TURN
from ..errors import NotAskedError, RequestTimeoutError, TransportError
from .credentials import Credentials
from .request import OutgoingRequest


class Gate:
    """Lets the requests of one client in.

    Args:
        monitor: Knows whether the service is well.
        limiter: Lets so many in at a time.
        credentials: Have the key, or wait for it.
        lifetime: The client's, for its clock and its end.
    """

    def __init__(
        self,
        monitor: ServiceMonitor,
        limiter: RequestLimiter,
        credentials: Credentials,
        lifetime: Lifetime,
    ) -> None:
        self._monitor = monitor
        self._limiter = limiter
        self._credentials = credentials
        self._lifetime = lifetime

    def enter(
        self, request: OutgoingRequest, deadline: float
    ) -> Admission | Coroutine[Any, Any, Admission | TransportError]:
        """Return the admission of a request; or what to await for it, or for why it is not sent.

        Nearly every request goes in at once, so this is no coroutine. An admission is for a place,
        which has to be given back.
        """
        is_final = request.is_final
        # A request that spends credits is no probe: it had better not get lost.
        admission = self._monitor.admit(
            request.route, probe=request.data is None, is_final=is_final
        )
        if isinstance(admission, NotAskedError):
            return self._held(admission)
        is_in = self._limiter.try_acquire(admission.route.pace, is_final=is_final)
        if is_in and not self._credentials.awaited:
            return admission
        return self._wait(admission, request, deadline, is_in=is_in)

    async def _held(self, error: TransportError) -> TransportError:
        # Nothing was awaited, perhaps: others have their turn before the next one is held.
        await asyncio.sleep(0)
        return error

    async def _wait(
        self, admission: Admission, request: OutgoingRequest, deadline: float, *, is_in: bool
    ) -> Admission | TransportError:
        found = admission if is_in else await self._turn(admission, request, deadline)
        if isinstance(found, Admission) and self._credentials.awaited:
            found = await self._key(found, request, deadline)
        return found if isinstance(found, Admission) else await self._held(found)

    async def _turn(
        self, admission: Admission, request: OutgoingRequest, deadline: float
    ) -> Admission | TransportError:
        """Wait for a place. Return what `ServiceMonitor.admit` returned last."""
        try:
            with Timeout(self._lifetime, deadline):
                await self._limiter.acquire(admission.route.pace, is_final=request.is_final)
        except BaseException as exc:
            self._monitor.record_ignored(admission)
            if not isinstance(exc, TimeoutError):
                raise
            text = f"still waiting for its turn ({self._limiter})"
            return RequestTimeoutError(text, request.request_id, label=NO_TURN)
        if self._monitor.is_current(admission):
            return admission
        self._monitor.record_ignored(admission)
        again = self._monitor.admit(
            request.route, probe=request.data is None, is_final=request.is_final
        )
        if isinstance(again, NotAskedError):
            self._limiter.release_unsent()
        return again

    async def _key(
        self, admission: Admission, request: OutgoingRequest, deadline: float
    ) -> Admission | TransportError:
        """Wait for the first key, or for the next one, in the place that a request has."""
        try:
            late = await self._credentials.ready(deadline)
        except BaseException:
            self._leave_unsent(admission)
            raise
        if late is None:
            return admission
        self._leave_unsent(admission)
        return RequestTimeoutError(f"not sent: {late}", request.request_id, label="no key")

    def _leave_unsent(self, admission: Admission) -> None:
        self._limiter.release_unsent()
        self._monitor.record_ignored(admission)

    def note_failure(
        self,
        admission: Admission,
        request: OutgoingRequest,
        error: TransportError | None,
        *,
        had_little_time: bool,
    ) -> None:
        """Tell the monitor of a request without a response. Its reader tells of a response."""
        if error is None or (isinstance(error, RequestTimeoutError) and had_little_time):
            self._monitor.record_ignored(admission)  # broken off by the caller, or by his deadline
        elif isinstance(error, NotAskedError):
            self._monitor.record_ignored(admission)
            self._limiter.begun -= 1
        else:
            self._monitor.record_failure(admission, request.subject, error)
