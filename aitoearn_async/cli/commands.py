"""The commands: arguments in, exit status out. What happens in between is elsewhere.

Each command checks its arguments, then runs one coroutine to its end. Whatever ends it early
(Ctrl-C, a reader who has left) becomes an exit status in `_run`, and in no other place.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, NoReturn

import msgspec
import typer

from aitoearn_async import AiToEarnError, AnyRef, AnyTask, Client, __version__

from . import demo as stage
from .arguments import BASE_URL, KEY, client_of, refs_of, seconds_of
from .screens import Json, complain, console, say, screen_for
from .standing import Exit, exit_of, failure_of, worst
from .view import card, complaint, left
from .watch import Watch

PROGRAM = "aitoearn-async"

_EPILOG = f"""\
The API key is read from the environment variable {KEY}, and from nowhere else: an
option would show it to everyone who lists processes.

\b
Exit status:
  0    every task succeeded
  1    a task failed
  2    the command was not understood, or there is no key
  3    given up: out of time, or no good answer for too long
  4    the service refused, or cannot be reached or understood
  130  interrupted
Of several, the highest up to 4 counts."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EPILOG,
)

BaseUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", envvar=BASE_URL, help="The service's address."),
]
Language = Annotated[
    str | None, typer.Option(metavar="TAG", help="Of the service's messages, such as zh-CN.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, an object a line.")]


def run() -> None:
    """Run the command line, and exit with its status."""
    for stream in (sys.stdout, sys.stderr):
        # Where a locale lacks a character of the service's, a question mark will do.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    app(prog_name=PROGRAM)


def _interrupted() -> Exit:
    complain("interrupted")
    return Exit.INTERRUPTED


def _run(work: Coroutine[Any, Any, Exit], interrupted: Callable[[], Exit]) -> NoReturn:
    status = Exit.BROKEN_PIPE
    try:
        status = asyncio.run(work)
    except* KeyboardInterrupt:
        status = interrupted()
    except* BrokenPipeError:
        _hush()
    raise typer.Exit(status)


def _hush() -> None:
    # What is still buffered would be tried once more at exit, and complained about.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Look at AiToEarn's image and video tasks, and wait for them."""


@app.command()
def get(
    ref: Annotated[str, typer.Argument(metavar="REF", help="The task: image:ID or video:ID.")],
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    language: Language = None,
) -> None:
    """Ask once how a task stands."""
    (asked,) = refs_of([ref])
    _run(_get(client_of(base_url, language), asked, as_json=as_json), _interrupted)


@app.command()
def wait(
    refs: Annotated[
        list[str], typer.Argument(metavar="REF", help="The tasks: image:ID, video:ID.")
    ],
    as_json: AsJson = False,
    timeout: Annotated[
        str,
        typer.Option(metavar="DURATION", help="For each task: 90, 1.5s, 10m, 1h30m, or none."),
    ] = "30m",
    patience: Annotated[
        str,
        typer.Option(metavar="DURATION", help="How long there may be no good answer."),
    ] = "5m",
    base_url: BaseUrl = None,
    language: Language = None,
) -> None:
    """Wait until tasks have ended, all of them at once.

    On a terminal there is a line for each task, in a pipe one for each change of status, with
    --json one for each outcome. Interrupting the wait does not stop the tasks.
    """
    asked = refs_of(refs)
    limits = seconds_of("--timeout", timeout), seconds_of("--patience", patience)
    client = client_of(base_url, language)
    watch = Watch(client.wait_for(ref, timeout=limits[0], patience=limits[1]) for ref in asked)

    def interrupted() -> Exit:
        complain(left(watch.look()))
        return Exit.INTERRUPTED

    _run(_wait(client, watch, as_json=as_json), interrupted)


@app.command()
def demo() -> None:
    """Show it all in a few seconds, without an account."""
    _run(stage.play(), _interrupted)


@app.command()
def emulator(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 0,
    dialect: Annotated[
        stage.Dialect,
        typer.Option(help="What real servers send, or what the published contract says."),
    ] = "observed",
) -> None:
    """Play the service on this machine, until Ctrl-C.

    It has a few tasks to try things on. What it prints can be read by a shell.
    """
    _run(_serve(port, dialect), lambda: Exit.SUCCEEDED)


async def _get(client: Client, ref: AnyRef, *, as_json: bool) -> Exit:
    async with client:
        try:
            task: AnyTask = await client.get(ref)
        except AiToEarnError as error:
            complain(complaint(ref, error))
            return exit_of(error)
    if as_json:
        say(msgspec.json.encode(task))
    else:
        console().print(card(task), soft_wrap=True)
    return exit_of(failure_of(task))


async def _wait(client: Client, watch: Watch, *, as_json: bool) -> Exit:
    async with client:
        with Json() if as_json else screen_for(watch.look) as screen:
            return worst(await watch.run(screen))


async def _serve(port: int, dialect: stage.Dialect) -> Exit:
    try:
        await stage.serve(port, dialect)
    except OSError as error:
        complain(f"no server on port {port}: {os.strerror(error.errno or 0)}")
    return Exit.USAGE  # one that could be started is only ever interrupted
