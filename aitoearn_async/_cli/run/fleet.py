"""`fleet`: add tasks, run a worker, read outcomes, show the status."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from aitoearn_async import AnyRef, AnyTask, Outcome
from aitoearn_async.fleet import Fleet, FleetError, FleetNotFoundError

from ..files import ref_list
from ..files.results_file import ResultsFile, ResultsFileLostError
from ..language import tr
from ..options.groups import (
    FleetOptions,
    FleetReportOptions,
    MediaOptions,
    RateOptions,
    ServiceOptions,
)
from ..report import fleet as report
from ..report import words
from ..report.echo import echo, echo_error, on_terminal
from ..report.exit_status import ExitStatus, worst
from ..report.snapshot import exit_status_of
from ..report.text import shown
from .client import client_from, fleet_from, usage_errors
from .execute import execute, interrupted

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_LOOKS = 2.0


def add(*, refs: Sequence[AnyRef], file: str | None, options: FleetReportOptions) -> ExitStatus:
    """Add tasks, those of a file as they are read."""
    ref_list.require_refs(refs, file)
    fleet = _fleet(options)

    async def run() -> ExitStatus:
        async with fleet:
            new, read, problem = await fleet.add(refs), len(refs), None
            if file is not None:
                source = _RefsOfFile(file)
                new += await fleet.add(source)
                read, problem = read + source.read, source.problem
        counts = {"read": read, "new": new}
        text = tr("{new:,} of {read:,} were new").format(**counts)
        echo(msgspec.json.encode(counts) if options.as_json else text)
        if problem is not None:
            echo_error(problem)
            return ExitStatus.USAGE
        return ExitStatus.SUCCEEDED

    return _execute(run())


def work(
    *,
    place: FleetOptions,
    save: Path | None,
    timeout: float | None,
    max_pending: int,
    rates: RateOptions,
    media: MediaOptions,
    service: ServiceOptions,
) -> ExitStatus:
    """Run a worker until told to stop."""
    client = client_from(service, media, rates)
    existing, new = _fleet(place, create=False), _fleet(place)

    async def run() -> ExitStatus:
        async with _opened(existing, new) as fleet, client:
            view = asyncio.create_task(_keep_showing(fleet, as_json=service.as_json))
            try:
                with usage_errors():
                    await fleet.work(
                        client,
                        max_pending=max_pending,
                        requests_per_second=rates.rate,
                        save=save,
                        max_bytes=media.max_bytes,
                        timeout=timeout,
                    )
            finally:
                view.cancel()
                await asyncio.gather(view, return_exceptions=True)
        return ExitStatus.SUCCEEDED

    def stopped() -> ExitStatus:
        echo_error(tr("stopped; the tasks it waited for are handed over"))
        return ExitStatus.SUCCEEDED

    return _execute(run(), stopped)


@contextlib.asynccontextmanager
async def _opened(existing: Fleet, new: Fleet) -> AsyncGenerator[Fleet]:
    """Open a fleet. Make it if it does not exist, and say so: its name may be mistyped."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            fleet = await stack.enter_async_context(existing)
        except FleetNotFoundError as error:
            echo_error(tr("{reason}; it is made").format(reason=error))
            fleet = await stack.enter_async_context(new)
        yield fleet


async def _keep_showing(fleet: Fleet, *, as_json: bool) -> None:
    """Show how a fleet stands, again and again."""
    with report.view(as_json=as_json) as show:
        while True:
            with contextlib.suppress(FleetError):
                show(await fleet.status())
            pause = _SECONDS_BETWEEN_LOOKS if on_terminal() else _SECONDS_BETWEEN_LINES
            await asyncio.sleep(pause)


def outcomes(
    *, out: str | None, follow: bool, prefetch: int, options: FleetReportOptions
) -> ExitStatus:
    """Read outcomes into a file, or to stdout."""
    if out is None and sys.stdout is None:  # a shell has closed it (`>&-`)
        raise click.UsageError(tr("stdout is closed, and each outcome comes once: give --out"))
    fleet = _fleet(options, create=False)
    ends: Counter[ExitStatus] = Counter()

    async def run() -> ExitStatus:
        async with fleet:
            with contextlib.nullcontext() if out is None else ResultsFile(out) as results:
                if results is not None:
                    results.drop_finished({})
                async with fleet.outcomes(follow=follow, prefetch=prefetch) as reading:
                    async for outcome in reading:
                        ends[exit_status_of(outcome.error)] += 1
                        if results is not None:
                            results.append(outcome.to_json())
                        else:
                            echo(outcome.to_json() if options.as_json else _line(outcome))
                if results is not None:
                    results.check()
        return worst(ends)

    def stopped() -> ExitStatus:
        note = tr("interrupted; {number:,} outcomes were read")
        echo_error(note.format(number=ends.total()))
        return ExitStatus.INTERRUPTED

    return _execute(run(), stopped)


def _line(outcome: Outcome[AnyTask]) -> str:
    if outcome.error is not None:
        return words.error_line(outcome.ref, outcome.error)
    status = outcome.task.status if outcome.task is not None else ""
    return " ".join([str(outcome.ref), shown(status), *words.result_places(outcome)])


def status(*, watch: bool, options: FleetReportOptions) -> ExitStatus:
    """Show how the fleet stands, once or again and again."""
    # Without --watch, an engine that cannot be reached is an error at once.
    patience = {} if watch else {"patience": 0.0}
    fleet = _fleet(options, create=False, **patience)

    async def run() -> ExitStatus:
        async with fleet:
            with report.view(as_json=options.as_json, once=not watch) as show:
                show(await fleet.status())
                while watch:
                    await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
                    show(await fleet.status())
        return ExitStatus.SUCCEEDED

    return _execute(run())


class _RefsOfFile:
    """The refs of a file, as an async iterator: each line is read as it comes.

    Attributes:
        read: The number of refs so far.
        problem: The message about the line at which reading stopped, if it was no ref.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self.read = 0
        self.problem: str | None = None

    async def __aiter__(self) -> AsyncIterator[str]:
        source, number = ref_list.name_of(self._file), 0
        async with contextlib.aclosing(ref_list.lines_of(self._file)) as lines:
            async for line in lines:
                number += 1
                text = line.decode("utf-8-sig", "surrogateescape")
                try:
                    ref = ref_list.ref_in(text, source, number)
                except ValueError as error:
                    self.problem = tr("{reason}; what came before is added").format(reason=error)
                    return
                if ref:
                    self.read += 1
                    yield ref


def _fleet(options: FleetOptions, **more: Any) -> Fleet:
    return fleet_from(options.url, name=options.name, lease=options.lease, **more)


def _execute(
    work: Coroutine[Any, Any, ExitStatus], stopped: Callable[[], ExitStatus] = interrupted
) -> ExitStatus:
    async def explained() -> ExitStatus:
        try:
            return await work
        except ResultsFileLostError as error:
            lost = tr(
                "{reason}. What could not be written comes again; what had been written does not"
            )
            echo_error(lost.format(reason=words.reason(error)))
            return ExitStatus.USAGE
        except FleetNotFoundError as error:
            advice = tr("add tasks first, or name the fleet with --fleet or AITOEARN_FLEET")
            echo_error(f"{error}; {advice}")
            return ExitStatus.USAGE

    return execute(explained(), stopped)
