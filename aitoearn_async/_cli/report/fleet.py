"""A fleet as lines, as JSON, and as a view on a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

import msgspec

from ..language import tr
from .echo import echo, echo_error, on_terminal
from .text import number, shown

if TYPE_CHECKING:
    from rich.console import RenderableType

    from aitoearn_async.fleet import FleetStatus

_MOST_MEMBERS = 20


@contextlib.contextmanager
def view(*, as_json: bool, once: bool = False) -> Generator[Callable[[FleetStatus], None]]:
    """Show a fleet again and again, or `once`: give a function that does so once.

    In a pipe it writes a line, unless nothing has changed since the last one.
    """
    if as_json:
        yield lambda status: echo(msgspec.json.encode(status))
        return
    if not on_terminal():
        yield _when_new(echo if once else echo_error)
        return
    from .live import console, redrawn

    if once:
        yield lambda status: console().print(frame(status))
        return
    with redrawn(console()) as live:
        yield lambda status: live.update(frame(status), refresh=True)


def _when_new(write: Callable[[str], None]) -> Callable[[FleetStatus], None]:
    last = ""

    def show(status: FleetStatus) -> None:
        nonlocal last
        if (text := line(status)) != last:
            write(text)
            last = text

    return show


def line(status: FleetStatus) -> str:
    """Return a fleet in a line: `3 waiting, 20 held, 1 to read, 44 done, 2 workers, …`."""
    workers = sum(member.kind == "worker" for member in status.members)
    readers = len(status.members) - workers
    parts = [
        tr("{:,} waiting").format(status.waiting),
        tr("{:,} held").format(status.held),
        tr("{:,} to read").format(status.ended),
        tr("{:,} done").format(status.done),
        tr("{} workers").format(workers),
        tr("{} readers").format(readers),
        tr("{rate} polls/s").format(rate=f"{status.polls_per_second:.1f}"),
    ]
    if status.oldest is not None:
        parts.append(tr("oldest {:.0f} s").format(status.oldest))
    parts += [shown(f"{each.name}: {each.trouble}") for each in status.members if each.trouble]
    return ", ".join(parts)


def frame(status: FleetStatus) -> RenderableType:
    """Return a fleet as a table of its members, and a line."""
    from rich.console import Group
    from rich.text import Text

    from .tables import empty_table

    numbers = (tr("held"), tr("polls/s"), tr("share of the rate"))
    table = empty_table("~" + tr("member"), *(f">{each}" for each in numbers), "<" + tr("trouble"))
    for member in status.members[:_MOST_MEMBERS]:
        share = member.requests_per_second
        table.add_row(
            f"{member.kind} {shown(member.name)}",
            f"{member.held:,}",
            f"{member.polls_per_second:.1f}" if member.kind == "worker" else "",
            "" if share is None else f"{number(share)}/s",
            Text(shown(member.trouble), "red"),
        )
    hidden = len(status.members) - _MOST_MEMBERS
    more = [Text(tr("and {number} more").format(number=hidden), "dim")] if hidden > 0 else []
    return Group(table, *more, "", Text(line(status)))
