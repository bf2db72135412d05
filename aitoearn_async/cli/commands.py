"""The commands: arguments in, exit status out. What happens in between is elsewhere.

Each command checks its arguments, then runs one coroutine to its end. Those that look at tasks
are here; those that make some are in `make`, those that find things in `find`.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple, NoReturn

import msgspec
import typer

from aitoearn_async import AiToEarnError, AnyRef, AnyTask, Client, TaskRef, __version__, parse_ref

from . import demo as stage
from . import find, lists, make, progress, record
from .arguments import KEY, client_of, directory_of, refs_of, seconds_of
from .fetch import Fetch, fetched, fetched_json
from .running import (
    AsJson,
    BaseUrl,
    Language,
    Patience,
    PrivateMedia,
    Timeout,
    interrupted,
    leave_quietly,
    run_to_exit,
    unwritable,
)
from .screens import complain, console, say, screen_for, screen_for_list
from .standing import Exit, exit_of, failure_of, worst
from .sweep import Sweep
from .view import card, complaint, left
from .watch import Watch, saver

PROGRAM = "aitoearn-async"
HANDFUL = 20
"""Tasks up to which `wait` shows each of them."""

_EPILOG = f"""\
The API key is read from the environment variable {KEY}, and from nowhere else: an
option would show it to everyone who lists processes.

\b
Exit status:
  0    every task succeeded
  1    a task failed
  2    the command was not understood, there is no key, or a file cannot be used
  3    given up: out of time, or no good answer for too long
  4    the service refused, or cannot be reached or understood
  5    a submit was sent, and it is not known whether it made a task
  6    a task succeeded, but its files could not be saved
  130  interrupted
Of several, the highest up to 6 counts."""

app: typer.Typer = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EPILOG,
)


def run() -> None:
    """Run the command line, and exit with its status."""
    for stream in (sys.stdout, sys.stderr):
        # Where a locale lacks a character of the service's, a question mark will do.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app(prog_name=PROGRAM)
    except OSError as error:
        # Of a help text, or of a complaint that a command was not understood.
        raise SystemExit(unwritable(error)) from None
    finally:
        leave_quietly()


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
    """Make images and videos with AiToEarn, look at its tasks, and wait for them."""


app.add_typer(make.generate, name="generate")
app.add_typer(make.edit, name="edit")
app.command()(find.videos)
app.command()(find.models)


@app.command()
def get(
    ref: Annotated[str, typer.Argument(metavar="REF", help="The task: image:ID or video:ID.")],
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    language: Language = None,
) -> None:
    """Ask once how a task stands."""
    (asked,) = refs_of([ref])
    run_to_exit(_get(client_of(base_url, language), asked, as_json=as_json), interrupted)


@app.command()
def wait(
    refs: Annotated[
        list[str] | None, typer.Argument(metavar="REF", help="The tasks: image:ID, video:ID.")
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            lists.OPTION,
            metavar="FILE",
            help="More tasks, one a line, after those named as REF; - is standard input.",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            record.OPTION,
            metavar="FILE",
            help="Add outcomes to this file, as JSON, and leave out what has ended in it.",
        ),
    ] = None,
    save: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Save the files of tasks that succeed there."),
    ] = None,
    as_json: AsJson = False,
    timeout: Timeout = "30m",
    patience: Patience = "5m",
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at the same time.")] = 64,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Most requests to begin in a second.")
    ] = None,
    max_pending: Annotated[
        int, typer.Option(min=1, help="Tasks of a long list to wait for at the same time.")
    ] = 100_000,
    private_media: PrivateMedia = False,
    base_url: BaseUrl = None,
    language: Language = None,
) -> None:
    """Wait until tasks have ended, all of them at once.

    Up to 20 tasks named as REF: on a terminal there is a line for each task, in a pipe one
    for each change of status, with --json one for each outcome.

    More than 20, or --file, or --out: on a terminal there is a bar, in a pipe a line for each
    outcome, and one on stderr every ten seconds. In a FILE of tasks blank lines and what
    follows a # count for nothing. It is read to its end before anything starts.

    With --out outcomes go to that file and not to stdout. The same command, started again,
    goes on where it was, however it ended: tasks that succeeded or failed are not asked for
    again, those that were given up or refused are, and of several lines for a task the last
    one counts. The exit status is that of the whole list, earlier runs included.

    With --save a task has ended when its files are in DIR. With --out as well, one that
    succeeded in an earlier run is asked for again where they are not.

    Interrupting the wait does not stop the tasks.
    """
    limits = _Limits(
        seconds_of("--timeout", timeout), seconds_of("--patience", patience), max_pending
    )
    directory = directory_of(save)
    if not refs and file is None:
        raise typer.BadParameter("name a task, or a --file of them", param_hint="REF")
    listed = dict.fromkeys(map(str, refs_of(refs or ())))
    few = len(listed) <= HANDFUL and file is None and out is None
    if file is not None:
        listed |= lists.read(file)
    rates = {"concurrency": concurrency, "requests_per_second": rate}
    client = client_of(base_url, language, private_media=private_media, **rates)
    if few:
        _watch(client, listed, limits, directory, as_json=as_json)
    _sweep(client, listed, out, limits, directory, as_json=as_json)


class _Limits(NamedTuple):
    timeout: float | None
    patience: float | None
    max_pending: int


def _watch(
    client: Client,
    listed: lists.Listed,
    limits: _Limits,
    directory: Path | None,
    *,
    as_json: bool,
) -> NoReturn:
    waiters = [
        client.wait_for(parse_ref(text), timeout=limits.timeout, patience=limits.patience)
        for text in listed
    ]
    watch = Watch(waiters, saver(client, directory))

    async def work() -> Exit:
        async with client:
            with screen_for(watch.look, as_json=as_json) as screen:
                return worst(standing.exit for standing in await watch.run(screen))

    def interrupted() -> Exit:
        complain(left(watch.look()))
        return Exit.INTERRUPTED

    run_to_exit(work(), interrupted)


def _sweep(
    client: Client,
    listed: lists.Listed,
    out: str | None,
    limits: _Limits,
    directory: Path | None,
    *,
    as_json: bool,
) -> NoReturn:
    total = len(listed)
    ends: Counter[Exit] = Counter()
    with contextlib.ExitStack() as stack:
        kept = stack.enter_context(record.Record(out)) if out is not None else None
        if kept is not None:
            ends = kept.strike_off(listed, directory)
        refs: Iterator[TaskRef[AnyTask]] = map(parse_ref, listed)
        batch = client.as_completed(refs, save=directory, **limits._asdict())
        sweep = Sweep(batch, total, ends, kept)

        async def work() -> Exit:
            screen = screen_for_list(sweep.look, as_json=as_json, recorded=kept is not None)
            async with client:
                with screen:
                    error = await sweep.run(screen)
            stand = sweep.look()
            if error is not None:
                complain(f"{error}; {progress.left(stand, out)}")
            return worst([*stand.ends, exit_of(error)])

        def interrupted() -> Exit:
            complain(f"interrupted; {progress.left(sweep.look(), out)}")
            return Exit.INTERRUPTED

        run_to_exit(work(), interrupted)


@app.command()
def download(
    refs: Annotated[
        list[str], typer.Argument(metavar="REF", help="The tasks: image:ID, video:ID.")
    ],
    save: Annotated[str, typer.Option(metavar="DIR", help="Where to.")] = ".",
    as_json: AsJson = False,
    timeout: Annotated[
        str,
        typer.Option(metavar="DURATION", help="For each task: 90, 1.5s, 10m, 1h30m, or none."),
    ] = "10m",
    private_media: PrivateMedia = False,
    base_url: BaseUrl = None,
    language: Language = None,
) -> None:
    """Save the files of tasks that have succeeded.

    Prints where they are, a path a line. Files are called image-ID-1.png, image-ID-2.png and
    so on, or video-ID.mp4. Those that are there are left alone, and what there is of others is
    gone on with. A task that still runs is not waited for: see wait --save.
    """
    asked = refs_of(refs)
    seconds = seconds_of("--timeout", timeout)
    client = client_of(base_url, language, private_media=private_media)
    fetch = Fetch(client, asked, directory_of(save) or Path(), seconds)

    def interrupted() -> Exit:
        complain(f"interrupted; not saved: {' '.join(map(str, fetch.left)) or 'none'}")
        return Exit.INTERRUPTED

    run_to_exit(fetch.run(fetched_json if as_json else fetched), interrupted)


@app.command()
def demo(
    save: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Where to put the files; else among temporary ones."),
    ] = None,
) -> None:
    """Show it all in a few seconds, without an account.

    An emulator of the service is started; images and videos are submitted to it, watched and
    saved. Nothing leaves this machine.
    """
    with stage.folder(directory_of(save)) as directory:
        run_to_exit(stage.play(directory), interrupted)


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
    run_to_exit(_serve(port, dialect), lambda: Exit.SUCCEEDED)


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


async def _serve(port: int, dialect: stage.Dialect) -> Exit:
    try:
        await stage.serve(port, dialect)
    except OSError as error:
        complain(f"no server on port {port}: {os.strerror(error.errno or 0)}")
    return Exit.USAGE  # one that could be started is only ever interrupted
