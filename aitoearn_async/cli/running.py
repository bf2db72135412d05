"""How a command runs: its coroutine to the end, and what ends it early to an exit status.

Ctrl-C, SIGTERM, a reader who has left: they are dealt with here and in no other place. What
the options are called that several commands share stands here too.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, NamedTuple, NoReturn, TextIO

import typer

from .arguments import BASE_URL, PRIVATE_MEDIA
from .screens import complain
from .standing import Exit

BaseUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", envvar=BASE_URL, help="The service's address."),
]
Language = Annotated[
    str | None, typer.Option(metavar="TAG", help="Of the service's messages, such as zh-CN.")
]
PrivateMedia = Annotated[
    bool,
    typer.Option(
        "--private-media", envvar=PRIVATE_MEDIA, help="Fetch files from internal networks too."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, an object a line.")]


Timeout = Annotated[
    str,
    typer.Option(metavar="DURATION", help="For each task: 90, 1.5s, 10m, 1h30m, or none."),
]
Patience = Annotated[
    str,
    typer.Option(metavar="DURATION", help="How long there may be no good answer."),
]


class Limits(NamedTuple):
    """What a wait may take."""

    timeout: float | None
    patience: float | None


def interrupted() -> Exit:
    """Say no more than that."""
    complain("interrupted")
    return Exit.INTERRUPTED


def run_to_exit(work: Coroutine[Any, Any, Exit], when_interrupted: Callable[[], Exit]) -> NoReturn:
    """Do a command's work, and exit.

    Args:
        work: What it does; its result is the exit status.
        when_interrupted: Says how things stand when the user has had enough.
    """
    status = Exit.BROKEN_PIPE
    try:
        status = asyncio.run(_until_told(work))
    except* KeyboardInterrupt:
        status = Exit.INTERRUPTED
    except* BrokenPipeError:
        _hush(sys.stdout)
    except* OSError as group:
        # What is left of them by here is of stdout: a disk that is full, mostly.
        status = unwritable(_first(group))
    raise typer.Exit(when_interrupted() if status is Exit.INTERRUPTED else status)


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


def unwritable(error: OSError) -> Exit:
    """Say that stdout cannot be written to, and have nothing more written there."""
    complain(f"stdout cannot be written to: {error.strerror}")
    _hush(sys.stdout)
    return Exit.USAGE


def _first(group: BaseExceptionGroup[OSError]) -> OSError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, OSError)
    return error


def leave_quietly() -> None:
    """See to it that complaints nobody could be told do not change the exit status."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except OSError:
        _hush(sys.stderr)


def _hush(stream: TextIO | None) -> None:
    # What is still buffered would be tried once more at exit, and complained about.
    if stream is not None:  # there is none where a shell has closed it
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
