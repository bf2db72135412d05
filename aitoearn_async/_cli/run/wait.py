"""`wait`: for a handful of tasks, each of which is shown, or for a long list."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aitoearn_async import AnyRef, AnyTask, Client, TaskRef, TaskState, parse_ref

from ..files import ref_list
from ..files.ref_list import Listed
from ..files.results_file import ResultsFile, ResultsFileLostError
from ..language import tr
from ..options.groups import ListOptions, RateOptions
from ..options.types import check_one_file
from ..report import words
from ..report.choice import list_reporter_for
from ..report.echo import echo_error
from ..report.exit_status import ExitStatus, worst
from ..report.progress import unfinished_text
from ..report.snapshot import exit_status_of
from .batch_run import BatchRun
from .client import client_from, usage_errors
from .execute import execute
from .settings import Settings
from .watch import Watch

HANDFUL = 20
"""Tasks up to which `wait` shows each of them."""

_STATUSES = {
    TaskState.SUCCEEDED: ExitStatus.SUCCEEDED,
    TaskState.FAILED: ExitStatus.FAILED,
}


def wait(
    *,
    refs: Sequence[AnyRef],
    lists: ListOptions,
    save: Path | None,
    rates: RateOptions,
    **more: Any,
) -> ExitStatus:
    """Wait for the tasks that are named, and those on a list."""
    ref_list.require_refs(refs, lists.file)
    listed = dict.fromkeys(map(str, refs))
    few = len(listed) <= HANDFUL and lists.file is None and lists.out is None
    if lists.file is not None:
        listed |= ref_list.read(lists.file)
    settings = Settings(**more, directory=save)
    client = client_from(settings.service, settings.media, rates)
    check_one_file(save, several=not few or len(listed) > 1)
    if few:
        return wait_for_a_few(client, listed, settings)
    return wait_for_many(client, listed, lists, settings)


def wait_for_a_few(client: Client, listed: Listed, settings: Settings) -> ExitStatus:
    """Wait for tasks, and report each status of each of them."""
    watch = Watch(client, map(parse_ref, listed), settings)

    async def work() -> ExitStatus:
        async with client:
            return await watch.report()

    return execute(work(), watch.interrupted)


def wait_for_many(
    client: Client, listed: Listed, lists: ListOptions, settings: Settings
) -> ExitStatus:
    """Wait for the tasks of a long list, and report the end of each."""
    total = len(listed)
    out, ends = lists.out, Counter[ExitStatus]()
    with contextlib.nullcontext() if out is None else ResultsFile(out) as results:
        if results is not None:
            for state, number in results.drop_finished(listed, settings.directory).items():
                ends[_STATUSES[state]] = number
        refs: Iterator[TaskRef[AnyTask]] = map(parse_ref, listed)
        with usage_errors():
            batch = client.as_completed(
                refs,
                save=settings.directory,
                save_timeout=settings.limits.save_timeout,
                max_bytes=settings.media.max_bytes,
                timeout=settings.limits.timeout,
                patience=settings.limits.patience,
                max_pending=lists.max_pending,
            )
        run = BatchRun(batch, total, ends, results)

        async def work() -> ExitStatus:
            recorded = results is not None
            reporter = list_reporter_for(
                run.progress, as_json=settings.service.as_json, recorded=recorded
            )
            async with client:
                with reporter:
                    error = await run.run(reporter)
            now = run.progress()
            if isinstance(error, ResultsFileLostError):
                again = tr(
                    "{reason}. Start the same command again: it asks again for the tasks whose "
                    "outcomes are missing"
                )
                echo_error(again.format(reason=words.reason(error)))
            elif error is not None:
                echo_error(f"{words.reason(error)}; {unfinished_text(now, out)}")
            return worst([*now.ends, exit_status_of(error)])

        def interrupted() -> ExitStatus:
            note = unfinished_text(run.progress(), out)
            echo_error(tr("interrupted; {note}").format(note=note))
            return ExitStatus.INTERRUPTED

        return execute(work(), interrupted)
