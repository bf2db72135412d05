"""The drawings for a terminal: tables, a bar, one task. Data in, renderables out. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aitoearn_async import (
    AnyTask,
    DownloadError,
    ServiceUnreachableError,
    TaskState,
    WaitTimeoutError,
)

from ..language import tr
from . import words
from .exit_status import ExitStatus
from .progress import Progress, estimate, latest_end, poll_rate, time_left_words
from .snapshot import WaitSnapshot
from .text import shown

_STYLES = {
    ExitStatus.SUCCEEDED: "green",
    ExitStatus.FAILED: "red",
    ExitStatus.GAVE_UP: "yellow",
    ExitStatus.SERVICE: "red",
    ExitStatus.NOT_SAVED: "yellow",
}
_LATEST_FAILURES = 4
_LONGEST_ROW = 1000


def wait_table(snapshots: Sequence[WaitSnapshot], room: int) -> RenderableType:
    """Return one frame of the live table. If not all rows fit, those still waiting come first."""
    first = snapshots
    if len(snapshots) > room:
        first = sorted(snapshots, key=lambda snapshot: snapshot.ended)[:room]
    table = empty_table(tr("task"), "~" + tr("status"), ">" + tr("polls"), ">" + tr("time"))
    for snapshot in first:
        table.add_row(str(snapshot.ref), status_text(snapshot), *_polls_and_time(snapshot))
    parts: list[RenderableType] = [table]
    if hidden := len(snapshots) - len(first):
        parts.append(Text(tr("and {number} more").format(number=hidden), style="dim"))
    left = latest_end(snapshot.time_left for snapshot in snapshots if not snapshot.ended)
    last = summary(words.count_ends(snapshots), len(snapshots))
    if left is not None:
        last.append(" · ", style="dim").append(time_left_words(left))
    return Group(*parts, "", last)


def status_text(snapshot: WaitSnapshot) -> Text:
    """Return how a wait stands in a few words, on one line however narrow it gets."""
    return _one_line(*_status(snapshot))


def _status(snapshot: WaitSnapshot) -> tuple[str, str]:
    if snapshot.ended:
        return _end_text(snapshot), _STYLES[snapshot.status]
    task = snapshot.task
    if task is not None and task.done:
        return tr("saving"), ""
    if snapshot.trouble:
        trouble = shown(snapshot.trouble)
        return tr("{trouble}, trying again").format(trouble=trouble), "yellow"
    return (tr("asking"), "dim") if task is None else (words.state_word(task), "")


def _end_text(snapshot: WaitSnapshot) -> str:
    error, task = snapshot.error, snapshot.task
    if isinstance(error, WaitTimeoutError):
        return tr("given up: out of time")
    if isinstance(error, ServiceUnreachableError):
        return tr("given up: no good answer")
    if isinstance(error, DownloadError):
        return tr("not saved: {reason}").format(reason=_shortened(error.message))
    if task is None or not task.done:
        return _shortened(words.reason(error)) if error else ""
    if error and task.failure:
        return tr("failed: {reason}").format(reason=_shortened(task.failure))
    return words.state_word(task)


def _shortened(text: str) -> str:
    """Return the beginning of a text for a row: rows are drawn eight times a second."""
    return shown(text[:_LONGEST_ROW])


def summary(ends: Counter[ExitStatus], total: int) -> Text:
    """Return how many of all have ended, and how, in a line."""
    phrases = [
        Text(phrase, _STYLES[end] if end is not None else "")
        for phrase, end in words.summary(ends, total)
    ]
    return Text(" · ", style="dim").join(phrases)


def ends_table(snapshots: Sequence[WaitSnapshot], met: Sequence[str]) -> Table:
    """Return a table of the ends of waits, and of what each of them met before."""
    table = empty_table(
        *(tr("kind"), tr("id"), tr("ended"), ">" + tr("polls"), ">" + tr("time")),
        "~" + tr("met on the way"),
    )
    for snapshot, trouble in zip(snapshots, met, strict=True):
        ref, end = snapshot.ref, re.split("[:：]", _end_text(snapshot))[0]
        styled = Text(end, _STYLES[snapshot.status])
        table.add_row(ref.kind, ref.id, styled, *_polls_and_time(snapshot), Text(trouble))
    return table


def _polls_and_time(snapshot: WaitSnapshot) -> tuple[str, str]:
    return str(snapshot.polls), words.duration(snapshot.elapsed)


def task_card(task: AnyTask) -> Text:
    """Return a task in a few lines."""
    style = {TaskState.SUCCEEDED: "green", TaskState.FAILED: "red"}.get(task.state, "")
    text = Text.assemble((str(task.ref), "bold"), "  ", (words.state_word(task), style))
    for label, value in words.labelled_facts(task):
        text.append(f"\n  {label} ", style="dim")
        text.append(value)
    return text


def progress_bar(progress: Progress) -> RenderableType:
    """Return one frame of the live view of a long list."""
    speed = [*poll_rate(progress), words.duration(progress.elapsed)]
    parts: list[RenderableType] = [
        _bar(progress),
        summary(progress.ends, progress.total),
        _one_line(" · ".join(speed), "dim"),
        _one_line(estimate(progress), "dim"),
    ]
    if progress.failures:
        parts.append(_one_line(tr("latest failures"), "dim"))
        latest = progress.failures[-_LATEST_FAILURES:]
        parts += [_one_line(f"  {shown(failure)}", "red") for failure in latest]
    return Group(*parts)


def _bar(progress: Progress) -> Table:
    share = progress.ends.total() / progress.total if progress.total else 1.0
    bar = Table.grid(padding=(0, 1, 0, 0), expand=True)
    bar.add_column(ratio=1)
    # Rounded down, so that 100 % means that nothing is left.
    bar.add_row(ProgressBar(total=1, completed=share), f"{int(share * 100)} %")
    return bar


def _one_line(text: str, style: str) -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def text_table(headings: Sequence[str], found: Iterable[Sequence[str]]) -> Table:
    """Return a table of texts. Its headings are marked as for `empty_table`."""
    table = empty_table(*headings)
    for row in found:
        cells = zip(headings, row, strict=True)
        table.add_row(
            *(Text(cell, no_wrap=mark[0] != "~", overflow="ellipsis") for mark, cell in cells)
        )
    return table


def empty_table(*headings: str) -> Table:
    """Return a table without lines.

    The first character of a heading may be a mark: `>` for a column of numbers, and, on a narrow
    terminal, `~` for a column that wraps and `<` for one that is cut.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        table.add_column(
            heading.lstrip(">~<"),
            justify="right" if heading[0] == ">" else "left",
            no_wrap=heading[0] not in "~<",
            overflow="ellipsis",
        )
    return table
