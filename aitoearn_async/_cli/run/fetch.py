"""`download`: save the files of tasks that have ended, and report each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aitoearn_async import AiToEarnError, AnyRef, AnyTask, Client, Outcome, TaskState

from ..language import tr
from ..options.groups import RateOptions, WaitOptions
from ..options.types import check_one_file
from ..report import words
from ..report.echo import echo, echo_error
from ..report.exit_status import ExitStatus, worst
from ..report.reporters import report_error
from ..report.snapshot import exit_status_of, failure_of
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
        outcome = await _fetch(client, ref, settings)
        left.remove(ref)
        return _report(outcome, settings)

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


async def _fetch(client: Client, ref: AnyRef, settings: Settings) -> Outcome[AnyTask]:
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
    return Outcome(ref=ref, task=task, error=error, polls=1, elapsed=elapsed, paths=tuple(paths))


def _report(outcome: Outcome[AnyTask], settings: Settings) -> ExitStatus:
    if settings.service.as_json:
        echo(outcome.to_json())
    else:
        for path in outcome.paths:
            echo(shown_path(path))
    report_error(outcome)
    task = outcome.task
    if task is None or task.done or outcome.error is not None:
        return exit_status_of(outcome.error)
    note = tr("{ref}: nothing to save yet, it is {state}")
    echo_error(note.format(ref=outcome.ref, state=words.state_word(task)))
    return ExitStatus.GAVE_UP
