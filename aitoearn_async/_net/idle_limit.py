"""The time for which connections may lie idle and still be used. Pure.

A NAT, a load balancer or a mesh on the way forgets connections that lie idle, after seconds or
minutes, and tells nobody: a request on one of them is never answered. Nobody can ask for that
limit, so it is learned from such a request. A server that closes idle connections says when.

A reset teaches nothing. What it meets goes out again at once, and costs no poll; and a server that
is restarted resets connections, too: each poll would have a handshake for ever after.
"""

from __future__ import annotations

from collections.abc import Mapping

from .headers import keep_alive

_SHORTEST = 1.0
"""Seconds. Nothing forgets sooner, and a handshake a second is no burden."""
_MARGIN = 1.0
"""Seconds before a server closes, with which a request is still likely to arrive."""


class IdleLimit:
    """The limit on the way to one server.

    It never rises again. To find out that it may would cost a whole `request_timeout` each time
    that it may not; and a limit that is too low costs a handshake now and then.

    Args:
        seconds: The limit until something is learned.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds: float = seconds
        self._unanswered: tuple[str, float] | None = None

    def note_failure(self, path: str, idle: float | None) -> None:
        """Note a request that has failed.

        Args:
            path: What was asked for.
            idle: Seconds for which its connection had lain idle, if nothing was heard on it at
                all; None for any other failure: nobody is to blame for that but the service.
        """
        if idle is None:
            self._unanswered = None
        elif min(self.seconds, idle) >= 2 * _SHORTEST:
            self._unanswered = _question(path), idle

    def note_answer(self, path: str, headers: Mapping[str, str]) -> None:
        """Note the answer to a request on a fresh connection.

        Args:
            path: What was asked for. A silence before it was for nobody else's sake: some
                questions are never answered, on any connection.
            headers: Those of the answer.
        """
        if self._unanswered is not None and self._unanswered[0] == _question(path):
            # It may have been forgotten long before.
            self.seconds = min(self.seconds, self._unanswered[1]) / 2
            self._unanswered = None
        if (closes := keep_alive(headers)) is not None:
            self.seconds = min(self.seconds, max(closes - _MARGIN, closes / 2))


def _question(path: str) -> str:
    """Return a path without its query, in which every request may have a number of its own."""
    return path.partition("?")[0]
