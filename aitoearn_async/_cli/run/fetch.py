"""`download`: save the files of tasks that have ended, and report each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from aitoearn_async import AiToEarnError, AnyRef, AnyTask, Client, TaskState

from ..language import tr
from ..report import words
from ..report.echo import echo, echo_error
from ..report.exit_status import ExitStatus, worst
from ..report.reporters import report_error
from ..report.snapshot import WaitSnapshot, failure_of
from ..report.text import shown_path
from .execute import execute
from .settings import Settings


def download(client: Client, refs: Sequence[AnyRef], settings: Settings) -> ExitStatus:
    """Save the files of tasks."""
    fetch = _Fetch(client, refs, settings)

    def interrupted() -> ExitStatus:
        left = " ".join(map(str, fetch.left)) or tr("none")
        echo_error(tr("interrupted; not saved: {refs}").format(refs=left))
        settings.tell_how_to_go_on("download", fetch.left)
        return ExitStatus.INTERRUPTED

    return execute(fetch.run(), interrupted)


class _Fetch:
    """A download of several tasks. `left` holds those that have not been reported yet."""

    def __init__(self, client: Client, refs: Sequence[AnyRef], settings: Settings) -> None:
        self.left: list[AnyRef] = list(refs)
        self._client = client
        self._settings = settings

    async def run(self) -> ExitStatus:
        async with self._client, asyncio.TaskGroup() as group:
            ends = [group.create_task(self._one(ref)) for ref in tuple(self.left)]
        return worst(end.result() for end in ends)

    async def _one(self, ref: AnyRef) -> ExitStatus:
        task: AnyTask | None = None
        error: AiToEarnError | None = None
        paths: list[Path] = []
        began = asyncio.get_running_loop().time()
        try:
            found: AnyTask = await self._client.get(ref)
            task, error = found, failure_of(found)
            if found.state is TaskState.SUCCEEDED:
                paths = await self._settings.save(self._client, found)
        except AiToEarnError as raised:
            error = raised
        elapsed = asyncio.get_running_loop().time() - began
        snapshot = WaitSnapshot(
            ref=ref, task=task, error=error, polls=1, elapsed=elapsed, paths=tuple(paths)
        )
        self.left.remove(ref)
        self._report(snapshot)
        if task is not None and not task.done and error is None:
            note = tr("{ref}: nothing to save yet, it is {state}")
            echo_error(note.format(ref=ref, state=words.state_word(task)))
            return ExitStatus.GAVE_UP
        return snapshot.status

    def _report(self, snapshot: WaitSnapshot) -> None:
        if self._settings.service.as_json:
            echo(snapshot.to_json())
        else:
            for path in snapshot.paths:
                echo(shown_path(path))
        report_error(snapshot)
