"""The sessions that requests to the service go out on: the caller's, or two of the client's own.

One of the two keeps its connections for later requests; the other opens one for each request.
What goes out on them is in `http`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import aiohttp
from multidict import istr
from yarl import URL

from .._net.connection import (
    CLOSED_SESSION,
    ConnectionLostError,
    close_sessions,
    forget_sessions,
    idle_before,
    limit_idle,
    open_session,
)
from .._net.idle_limit import IdleLimit

# Below the 65 s after which the service's proxy hangs up, above the 10 s between two polls.
_LONGEST_IDLE = 15.0


class Sessions:
    """The sessions of one client.

    Args:
        theirs: The caller's session, which is used and left open; None for sessions of our own.
        headers: Those of every request on our own. They go to a proxy too.
        base_url: The service.
    """

    def __init__(
        self, theirs: aiohttp.ClientSession | None, headers: Mapping[istr, str], base_url: URL
    ) -> None:
        self.are_ours: bool = theirs is None
        self._headers = headers
        self._base_url = base_url
        self._kept = theirs
        self._fresh: aiohttp.ClientSession | None = None
        self._idle_limit = IdleLimit(_LONGEST_IDLE)

    @property
    def are_closed(self) -> bool:
        """Return whether the session for requests is closed: the caller can close theirs."""
        return self._kept is not None and self._kept.closed

    def kept(self) -> aiohttp.ClientSession:
        """Return the session whose connections are used again.

        Raises:
            RuntimeError: It is the caller's, who has closed it.
        """
        if self._kept is None:
            self._kept = open_session(self._headers, keepalive_timeout=self._idle_limit.seconds)
        elif not self.are_ours and self._kept.closed:
            raise RuntimeError(CLOSED_SESSION)
        return self._kept

    def unused(self) -> aiohttp.ClientSession:
        """Return the session for what goes out once: on a connection of its own, if it is ours."""
        return self.fresh() if self.are_ours else self.kept()

    def fresh(self) -> aiohttp.ClientSession:
        """Return the session that makes a connection for each request."""
        if self._fresh is None:
            self._fresh = open_session(self._headers, force_close=True)
        return self._fresh

    def note_failure(self, path: str, exc: Exception) -> None:
        """Note a request that failed, other than by a deadline of the caller's."""
        idle = idle_before(exc)
        if isinstance(exc, ConnectionLostError) and exc.is_silent:
            idle = exc.idle
        self._idle_limit.note_failure(path, idle)

    def note_first_answer(self, path: str, response: aiohttp.ClientResponse) -> None:
        """Note the first answer on a connection of our own."""
        self._idle_limit.note_answer(path, response.headers)
        limit_idle(self._kept, self._idle_limit.seconds)

    def _own(self) -> list[aiohttp.ClientSession]:
        kept = self._kept if self.are_ours else None
        return [session for session in (kept, self._fresh) if session is not None]

    def __del__(self) -> None:
        if any(not session.closed for session in self._own()):
            warnings.warn(
                f"a Client of {self._base_url} was dropped without being closed: use "
                "`async with Client()`, or call aclose()",
                ResourceWarning,
                stacklevel=2,
            )

    def leave_loop(self) -> None:
        """Forget the connections: they live on a loop that is closed.

        Raises:
            RuntimeError: They are those of the caller's session.
        """
        if not self.are_ours:
            raise RuntimeError(
                "session= is in use on another event loop, which is closed. Make one Client per "
                "event loop"
            )
        forget_sessions(*self._own())
        self._kept = self._fresh = None

    async def aclose(self) -> None:
        """Close our own sessions; a caller's stays open."""
        await close_sessions(*self._own())
