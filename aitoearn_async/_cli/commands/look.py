"""The commands that ask for something and show it: `get`, `videos`, `models`."""

from __future__ import annotations

import click

from ..options import types
from ..options.groups import ServiceOptions, takes
from .work import does


@click.command(epilog="\b\nExample:\n  aitoearn-async get image:66f0a1b2c3d4e5f601020304")
@click.argument("ref", metavar="REF", type=types.REF)
@takes(service=ServiceOptions)
@does("look.get")
def get() -> None:
    """Ask once how a task stands. REF is image:ID or video:ID."""


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
@does("look.videos")
def videos() -> None:
    """List your own video tasks, newest first.

    On a terminal it is a table, in a pipe a line for each task. A task that the service cannot
    show is named on stderr by its place, and the exit status is 4. Image tasks are not listed.
    """


@click.command(epilog="\b\nExample:\n  aitoearn-async models video")
@click.argument(
    "kind",
    metavar="[image|edit|video]",
    type=click.Choice(["image", "edit", "video"]),
    required=False,
)
@takes(service=ServiceOptions)
@does("look.models")
def models() -> None:
    """List the models, and what each accepts. It works without a key.

    On a terminal it is a table, in a pipe a line for each model.
    """
