"""A command as a process: whatever ends it early becomes an exit status here, and nowhere else.

Ctrl-C, SIGTERM, a reader of its output who has left. What a command does is not known here.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import typer

from .screens import complain
from .standing import Exit


def interrupted() -> Exit:
    """Say no more than that it was."""
    complain("interrupted")
    return Exit.INTERRUPTED


def run_to_its_end(work: Coroutine[Any, Any, Exit], interrupted: Callable[[], Exit]) -> NoReturn:
    """Run a command, and exit with its status.

    Args:
        work: The command.
        interrupted: Says what it leaves behind when it is interrupted.
    """
    status = Exit.BROKEN_PIPE
    try:
        status = asyncio.run(_until_told(work))
    except* KeyboardInterrupt:
        status = Exit.INTERRUPTED
    except* BrokenPipeError:
        _hush()
    raise typer.Exit(interrupted() if status is Exit.INTERRUPTED else status)


async def _until_told(work: Coroutine[Any, Any, Exit]) -> Exit:
    """Do the work, until SIGTERM says no. asyncio itself sees to SIGINT in the same way."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    told = False

    def stop(*_: object) -> None:
        nonlocal told
        told = True
        loop.call_soon_threadsafe(task.cancel)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        return await work
    except asyncio.CancelledError:
        if not told:
            raise
        return Exit.INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)


def _hush() -> None:
    # What is still buffered would be tried once more at exit, and complained about.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
