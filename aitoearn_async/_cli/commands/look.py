"""The commands that ask for something and show it: `get`, `videos`, `models`."""

from __future__ import annotations

from typing import Any

import click

from ..options import types
from ..options.groups import ServiceOptions, takes
from ..report.exit_status import ExitStatus


@click.command(epilog="\b\nExample:\n  aitoearn-async get image:66f0a1b2c3d4e5f601020304")
@click.argument("ref", metavar="REF", type=types.REF)
@takes(service=ServiceOptions)
def get(**values: Any) -> ExitStatus:
    """Ask once how a task stands. REF is image:ID or video:ID."""
    from ..run import look
    from ..run.execute import execute

    return execute(look.get(**values))


@click.command(epilog="\b\nExample:\n  aitoearn-async videos --limit 5")
@click.option(
    "--limit",
    metavar="N",
    type=types.WholeIn(min=0),
    default=20,
    help="The number of tasks to show; 0: all.  [default: 20]",
)
@click.option(
    "--page-size",
    metavar="N",
    type=types.WholeIn(1, 1000),
    default=100,
    help="The number of tasks to ask for at a time.  [default: 100]",
)
@takes(service=ServiceOptions)
def videos(**values: Any) -> ExitStatus:
    """List your own video tasks, newest first.

    On a terminal it is a table, in a pipe a line for each task. A task that the service cannot
    show is named on stderr by its place, and the exit status is 4. Image tasks are not listed.
    """
    from ..run import look
    from ..run.execute import execute

    return execute(look.videos(**values))


@click.command(epilog="\b\nExample:\n  aitoearn-async models video")
@click.argument(
    "kind",
    metavar="[image|edit|video]",
    type=click.Choice(["image", "edit", "video"]),
    required=False,
)
@takes(service=ServiceOptions)
def models(**values: Any) -> ExitStatus:
    """List the models, and what each accepts. It works without a key.

    On a terminal it is a table, in a pipe a line for each model.
    """
    from ..run import look
    from ..run.execute import execute

    return execute(look.models(**values))
