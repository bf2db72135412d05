"""Run a coroutine to its end, and turn what ends it early into an exit status.

Ctrl-C, SIGTERM, a closed terminal, and a closed pipe are dealt with here, and in no other place.
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
from ..report.echo import discard_output, echo_error, report_unusable_file
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
        when_interrupted: Called if the work was interrupted. It writes what has not been done.
    """
    status = ExitStatus.BROKEN_PIPE
    try:
        status = asyncio.run(_until_stopped(work))
    except* KeyboardInterrupt:
        status = ExitStatus.INTERRUPTED
    except* AiToEarnError as group:
        error = _first(group)
        echo_error(words.error_line(error.ref, error))
        status = exit_status_of(error)
    except* BrokenPipeError:
        discard_output(sys.stdout)
    except* OSError as group:
        status = report_unusable_file(_first(group))
    return when_interrupted() if status is ExitStatus.INTERRUPTED else status


async def _until_stopped(work: Coroutine[Any, Any, ExitStatus]) -> ExitStatus:
    """Do the work until a signal stops it. asyncio handles SIGINT in the same way."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    is_stopped = False

    def stop() -> None:
        nonlocal is_stopped
        is_stopped = True
        task.cancel()

    with _handling(loop, stop):
        try:
            return await work
        except (asyncio.CancelledError, OSError, BaseExceptionGroup):
            # If the terminal is gone, closing the views on it fails too.
            if not is_stopped:
                raise
            return ExitStatus.INTERRUPTED


@contextmanager
def _handling(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> Generator[None]:
    # The loop's own handlers wake it for every signal, SIGINT too, at whatever moment that comes.
    # A signal that is ignored, as by `nohup`, stays ignored.
    handled = [each for each in _STOPPING if signal.getsignal(each) is not signal.SIG_IGN]
    with suppress(NotImplementedError):  # on Windows, where nobody sends them
        for number in handled:
            loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            for number in handled:
                loop.remove_signal_handler(number)


def _first(group: BaseExceptionGroup[E]) -> E:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
