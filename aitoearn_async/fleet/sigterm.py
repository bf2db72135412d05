"""SIGTERM: it stops all workers of this process, where the program does not handle it itself."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Generator

_stops: set[asyncio.Event] = set()
"""The workers of this process that stop on SIGTERM."""


@contextlib.contextmanager
def stopped_by_sigterm(stop: asyncio.Event) -> Generator[None]:
    """Set the event on SIGTERM, where nobody else handles that."""
    loop = asyncio.get_running_loop()
    main = threading.current_thread() is threading.main_thread()
    if not main or not (_stops or signal.getsignal(signal.SIGTERM) is signal.SIG_DFL):
        yield
        return
    _stops.add(stop)
    try:
        loop.add_signal_handler(signal.SIGTERM, _stop_all)
    except (NotImplementedError, RuntimeError):
        _stops.discard(stop)
        yield
        return
    try:
        yield
    finally:
        _stops.discard(stop)
        if not _stops:
            loop.remove_signal_handler(signal.SIGTERM)


def _stop_all() -> None:
    for stop in _stops:
        stop.set()
