"""The commands that follow tasks: `wait` and `download`."""

from __future__ import annotations

from typing import Any

import click

from ..options import types
from ..options.groups import (
    ListOptions,
    MediaOptions,
    RateOptions,
    ServiceOptions,
    WaitOptions,
    takes,
)
from ..report.exit_status import ExitStatus

_WAIT_EXAMPLES = """\
\b
Examples:
  aitoearn-async wait image:66f0a1b2c3d4e5f601020304 --save .
  aitoearn-async wait --file refs.txt --out outcomes.jsonl --rate 20"""
_DOWNLOAD_EXAMPLE = """\
\b
Example:
  aitoearn-async download image:66f0a1b2c3d4e5f601020304 --save results"""


@click.command(epilog=_WAIT_EXAMPLES)
@click.argument("refs", metavar="[REF]...", type=types.REF, nargs=-1)
@takes(lists=ListOptions)
@click.option("--save", type=types.PLACE, help="Save the files of tasks that succeed there.")
@takes(limits=WaitOptions, rates=RateOptions, media=MediaOptions, service=ServiceOptions)
def wait(**values: Any) -> ExitStatus:
    """Wait until tasks have ended, all of them at once. REF is image:ID or video:ID.

    Up to 20 tasks named as REF: a terminal shows a line for each task, a pipe gets a line for
    each change of status, and --json prints a line for each outcome.

    More than 20 tasks, or --file, or --out: a terminal shows a bar, a pipe gets a line for each
    outcome, and stderr gets a line every ten seconds. In a FILE of tasks, blank lines and
    comments after a # are skipped. The whole FILE is read before anything starts.

    With --out, outcomes go to that file and not to stdout. The same command, started again,
    goes on where it was, however it ended. It does not ask again for tasks that succeeded or
    failed; it does for those that were given up or refused. If a task has several lines, the
    last one counts. The exit status is that of the whole list, earlier runs included.

    With --save, a task has ended when its files are in DIR. With --out as well, a task that
    succeeded in an earlier run is asked for again if its files are not there.

    Interrupting the wait does not stop the tasks.
    """
    from ..run import wait as wait_run

    return wait_run.wait(**values)


@click.command(epilog=_DOWNLOAD_EXAMPLE)
@click.argument("refs", metavar="REF...", type=types.REF, nargs=-1, required=True)
@click.option("--save", type=types.PLACE, default=".", help="Save here.  [default: .]")
@click.option(
    "--timeout",
    type=types.DURATION,
    default="10m",
    help="The time that saving a task may stand still: 90, 1.5s, 10m, 1h30m, or none.  "
    "[default: 10m]",
)
@takes(rates=RateOptions, media=MediaOptions, service=ServiceOptions)
def download(**values: Any) -> ExitStatus:
    """Save the files of tasks that have succeeded. REF is image:ID or video:ID.

    It prints where they are, a path a line. Files are called image-ID-1.png, image-ID-2.png and
    so on, or video-ID.mp4. A file that is there is left alone; one that is incomplete is
    completed. A task that still runs is not waited for: see wait --save.
    """
    from ..run import fetch

    return fetch.download(**values)
