"""`download`: save the files of tasks that have ended, and report each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aitoearn_async import AiToEarnError, AnyRef, AnyTask, Client, TaskState

from ..language import tr
from ..options.groups import RateOptions, WaitOptions
from ..options.types import check_one_file
from ..report import words
from ..report.echo import echo, echo_error
from ..report.exit_status import ExitStatus, worst
from ..report.reporters import report_error
from ..report.snapshot import WaitSnapshot, failure_of
from ..report.text import shown_path
from .client import client_from
from .execute import execute
from .settings import Settings


def download(
    *, refs: Sequence[AnyRef], save: Path, timeout: float | None, rates: RateOptions, **more: Any
) -> ExitStatus:
    """Save the files of tasks."""
    tasks = list(dict.fromkeys(refs))
    check_one_file(save, several=len(tasks) > 1)
    settings = Settings(WaitOptions(None, None, timeout), **more, directory=save)
    client = client_from(settings.service, settings.media, rates)
    left = list(tasks)

    async def one(ref: AnyRef) -> ExitStatus:
        snapshot = await _fetch(client, ref, settings)
        left.remove(ref)
        return _report(snapshot, settings)

    async def work() -> ExitStatus:
        async with client, asyncio.TaskGroup() as group:
            ends = [group.create_task(one(ref)) for ref in tasks]
        return worst(end.result() for end in ends)

    def interrupted() -> ExitStatus:
        names = " ".join(map(str, left)) or tr("none")
        echo_error(tr("interrupted; not saved: {refs}").format(refs=names))
        settings.tell_how_to_go_on("download", left)
        return ExitStatus.INTERRUPTED

    return execute(work(), interrupted)


async def _fetch(client: Client, ref: AnyRef, settings: Settings) -> WaitSnapshot:
    """Save the files of a task, and return how that went."""
    task: AnyTask | None = None
    error: AiToEarnError | None = None
    paths: list[Path] = []
    began = asyncio.get_running_loop().time()
    try:
        found: AnyTask = await client.get(ref)
        task, error = found, failure_of(found)
        if found.state is TaskState.SUCCEEDED:
            paths = await settings.save(client, found)
    except AiToEarnError as raised:
        error = raised
    elapsed = asyncio.get_running_loop().time() - began
    return WaitSnapshot(
        ref=ref, task=task, error=error, polls=1, elapsed=elapsed, paths=tuple(paths)
    )


def _report(snapshot: WaitSnapshot, settings: Settings) -> ExitStatus:
    if settings.service.as_json:
        echo(snapshot.to_json())
    else:
        for path in snapshot.paths:
            echo(shown_path(path))
    report_error(snapshot)
    task = snapshot.task
    if task is None or task.done or snapshot.error is not None:
        return snapshot.status
    note = tr("{ref}: nothing to save yet, it is {state}")
    echo_error(note.format(ref=snapshot.ref, state=words.state_word(task)))
    return ExitStatus.GAVE_UP
