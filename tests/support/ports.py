"""Ports on which nobody listens: for servers in processes of their own, and for none at all."""

from __future__ import annotations

import contextlib
import random
import socket

_given: set[int] = set()


def free_port() -> int:
    """Return a port that nobody listens at, below those that a system gives out itself.

    One of these may be another test's before the server is there, or while it is killed; and who
    connects to a closed one may meet itself. No port is returned twice: a server with eight of
    them would have two that are the same, once in seven hundred times.
    """
    while True:
        port = random.SystemRandom().randrange(10_000, 30_000)
        if port in _given:
            continue
        with contextlib.suppress(OSError), socket.socket() as free:
            free.bind(("127.0.0.1", port))
            _given.add(port)
            return port
