"""Run a coroutine to its end, and turn what ends it early into an exit status.

Ctrl-C, SIGTERM, a terminal that is closed, a reader who has left: they are dealt with here and
in no other place.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from aitoearn_async import AiToEarnError

from ..language import tr
from ..report import words
from ..report.echo import echo_error, hush, unusable
from ..report.exit_status import ExitStatus
from ..report.snapshot import exit_status_of

E = TypeVar("E", bound=Exception)

_STOPPING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def interrupted() -> ExitStatus:
    """Write that the command was interrupted, and no more."""
    echo_error(tr("interrupted"))
    return ExitStatus.INTERRUPTED


def execute(
    work: Coroutine[Any, Any, ExitStatus],
    when_interrupted: Callable[[], ExitStatus] = interrupted,
) -> ExitStatus:
    """Run the work of a command to its exit status.

    Args:
        work: The work; its result is the exit status.
        when_interrupted: Called where it was interrupted: writes how things stand.
    """
    status = ExitStatus.BROKEN_PIPE
    try:
        status = asyncio.run(_until_told(work))
    except* KeyboardInterrupt:
        status = ExitStatus.INTERRUPTED
    except* AiToEarnError as group:
        error = _first(group)
        echo_error(words.error_line(error.ref, error))
        status = exit_status_of(error)
    except* BrokenPipeError:
        hush(sys.stdout)
    except* OSError as group:
        status = unusable(_first(group))
    return when_interrupted() if status is ExitStatus.INTERRUPTED else status


async def _until_told(work: Coroutine[Any, Any, ExitStatus]) -> ExitStatus:
    """Do the work until a signal stops it. asyncio handles SIGINT in the same way."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    told = False

    def stop() -> None:
        nonlocal told
        told = True
        task.cancel()

    with _handling(loop, stop):
        try:
            return await work
        except (asyncio.CancelledError, OSError, BaseExceptionGroup):
            # Where the terminal is gone, leaving its views fails too.
            if not told:
                raise
            return ExitStatus.INTERRUPTED


@contextmanager
def _handling(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> Generator[None]:
    # The loop's own handlers wake it for every signal, SIGINT too, at whatever moment that comes.
    heeded = [each for each in _STOPPING if signal.getsignal(each) is not signal.SIG_IGN]  # `nohup`
    with suppress(NotImplementedError):  # on Windows, where nobody sends them
        for number in heeded:
            loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            for number in heeded:
                loop.remove_signal_handler(number)


def _first(group: BaseExceptionGroup[E]) -> E:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
