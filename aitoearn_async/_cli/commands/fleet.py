"""The commands of a fleet: `fleet add`, `fleet work`, `fleet outcomes`, `fleet status`."""

from __future__ import annotations

from typing import Any

import click

from ..options import types
from ..options.groups import (
    FleetOptions,
    FleetReportOptions,
    MediaOptions,
    RateOptions,
    ServiceOptions,
    takes,
)
from ..report.exit_status import ExitStatus
from .group import Group

_ADD_EXAMPLES = """\
\b
Examples:
  aitoearn-async fleet add --file refs.txt
  submit-many | aitoearn-async fleet add --file - --fleet postgresql://fleet@db/fleet"""
_WORK_EXAMPLES = """\
\b
Examples:
  aitoearn-async fleet work
  aitoearn-async fleet work --fleet postgresql://fleet@db/fleet --rate 50 --save results"""
_OUTCOMES_EXAMPLE = "\b\nExample:\n  aitoearn-async fleet outcomes --out outcomes.jsonl --no-follow"


@click.group(cls=Group, epilog="\b\nExample:\n  aitoearn-async fleet add --file refs.txt")
def fleet() -> None:
    """Share tasks among machines; they outlive a process."""


@fleet.command(epilog=_ADD_EXAMPLES)
@click.argument("refs", metavar="[REF]...", type=types.REF, nargs=-1)
@click.option(
    "--file",
    type=types.FILE_NAME,
    help="Add the tasks in this file, one a line; - is standard input.",
)
@takes(options=FleetReportOptions)
def add(**values: Any) -> ExitStatus:
    """Add tasks. They are kept until their outcomes have been read. REF is image:ID or video:ID.

    A task that is there already, or was there in the last seven days, is not added again. A
    FILE is read as it is added, however long it is, and standard input as it comes.
    """
    from ..run import fleet as fleet_run

    return fleet_run.add(**values)


@fleet.command(epilog=_WORK_EXAMPLES)
@click.option("--save", type=types.DIRECTORY, help="Save the files of tasks that succeed there.")
@click.option(
    "--timeout",
    type=types.DURATION,
    default="24h",
    help="The time each task has since it was added: 10m, 1h30m, or none.  [default: 24h]",
)
@click.option(
    "--max-pending",
    metavar="N",
    type=types.WholeIn(min=1),
    default=100_000,
    help="Tasks to wait for at the same time.  [default: 100000]",
)
@takes(place=FleetOptions, rates=RateOptions, media=MediaOptions, service=ServiceOptions)
def work(**values: Any) -> ExitStatus:
    """Run a worker: wait for the tasks of the fleet, until stopped.

    Run it as often as you like, on any machine. --rate is that of the whole fleet. SIGTERM and
    Ctrl-C hand over at once what it holds. A terminal shows the fleet, a pipe gets a line
    every ten seconds on stderr.
    """
    from ..run import fleet as fleet_run

    return fleet_run.work(**values)


@fleet.command(epilog=_OUTCOMES_EXAMPLE)
@click.option("--out", type=types.FILE_NAME, help="Add outcomes to this file.")
@click.option(
    "--follow/--no-follow",
    default=True,
    help="Wait for more, or end when all tasks have been read.  [default: follow]",
)
@click.option(
    "--prefetch",
    metavar="N",
    type=types.WholeIn(1, 1_000),
    default=1,
    help="Outcomes to take at a time; so many may come twice if this dies.  [default: 1]",
)
@takes(options=FleetReportOptions)
def outcomes(**values: Any) -> ExitStatus:
    """Read outcomes, as lines of JSON. Each goes to one reader, of as many as there are.

    An outcome is done when it is written; one that was written as this was killed may come
    again. In a FILE the last line of a task counts.
    """
    from ..run import fleet as fleet_run

    return fleet_run.outcomes(**values)


@fleet.command(epilog="\b\nExample:\n  aitoearn-async fleet status --watch")
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C.")
@takes(options=FleetReportOptions)
def status(**values: Any) -> ExitStatus:
    """Show how the fleet stands: tasks, members, and the rate."""
    from ..run import fleet as fleet_run

    return fleet_run.status(**values)
