"""`generate` and `edit`: one submit, and the wait for its task.

A submit spends credits. So the ref is written as soon as there is one, and whatever ends the
command early says whether there may be a task.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec

from aitoearn_async import (
    AiToEarnError,
    AuthenticationError,
    Client,
    EditImage,
    GenerateImage,
    GenerateVideo,
    TaskRef,
    TaskRequest,
)
from aitoearn_async.fleet import Fleet, FleetError, FleetNotFoundError

from ..language import tr
from ..options.groups import EditFields, ImageFields, SubmitOptions, VideoFields
from ..options.names import in_option_names
from ..options.types import check_one_file
from ..report import words
from ..report.echo import echo, echo_error, spinner
from ..report.exit_status import ExitStatus
from ..report.snapshot import exit_status_of
from ..report.text import number
from .client import client_from, fleet_from, usage_errors
from .execute import execute
from .settings import Settings
from .watch import Watch

_KINDS: dict[type[Any], type[TaskRequest[Any]]] = {
    ImageFields: GenerateImage,
    EditFields: EditImage,
    VideoFields: GenerateVideo,
}
_Opening = contextlib.AbstractAsyncContextManager[Fleet]

_LEAST_BYTES = 100_000
"""Bytes that a new fleet takes on its disk."""
_CHECK_SECONDS = 1.5
"""The time that the list of models has, if nobody has asked for the check."""


def submit(*, prompt: str, fields: object, options: SubmitOptions, **more: Any) -> ExitStatus:
    """Submit a request, which the class of its fields tells, and wait for its task."""
    if options.save is not None and options.fleet:
        problem = tr("with --fleet it is a worker that saves: see the command `fleet work`")
        raise click.BadParameter(problem, param_hint="'--save'")
    if options.save is not None and not options.wait:
        problem = tr("with --no-wait there is nothing to save yet: see the command `download`")
        raise click.BadParameter(problem, param_hint="'--save'")
    check_one_file(options.save, several=(getattr(fields, "n", None) or 1) > 1)
    request = _request(_KINDS[type(fields)], prompt, vars(fields))
    settings = Settings(**more, directory=options.save)
    client = client_from(settings.service, settings.media)
    fleets = (fleet_from(create=False), fleet_from()) if options.fleet else None
    submission = _Submission(client, request, options, settings, fleets)
    return execute(submission.work(), submission.interrupted)


def _request(kind: type[TaskRequest[Any]], prompt: str, fields: dict[str, Any]) -> TaskRequest[Any]:
    given = {name: value for name, value in fields.items() if value not in (None, ())}
    if len(given.get("image", ())) == 1:
        (given["image"],) = given["image"]
    with usage_errors():
        return kind(prompt=prompt, **given)


@dataclass(repr=False)
class _Submission:
    """One submit and its wait, and how far they have got."""

    client: Client
    request: TaskRequest[Any]
    options: SubmitOptions
    settings: Settings
    fleets: tuple[Fleet, Fleet] | None
    """The fleet to add to, twice: the first must exist, the second is made if it does not. None
    without `--fleet`."""
    watch: Watch | None = None
    note: str = ""
    """The message if it is interrupted now. Empty: nothing was submitted."""

    async def work(self) -> ExitStatus:
        async with self.client, contextlib.AsyncExitStack() as stack:
            fleet = None
            try:
                with spinner(tr("submitting …")) as show:
                    check = await self._show_price()
                    # Before the submit: what cannot be kept is not to be paid for.
                    if self.fleets is not None:
                        fleet = await _fleet_to_open(*self.fleets, stack)
                    ref = await self._submit(show, check=check)
            except (AiToEarnError, ValueError, OSError) as error:
                note = "; " + tr("nothing was submitted") if isinstance(error, FleetError) else ""
                echo_error(words.reason(error) + note)
                return exit_status_of(error)
            if fleet is not None:
                return await self._add_to(fleet, ref)
            return await self._wait_for(ref) if self.options.wait else self._print_ref(ref)

    async def _add_to(self, fleet: _Opening, ref: TaskRef[Any]) -> ExitStatus:
        try:
            self._print_ref(ref)
        finally:  # whether or not it can be printed
            note = tr("{ref} was submitted, and may not be in the fleet: see `fleet add`")
            self.note = note.format(ref=ref)
            status = await _added(fleet, ref)
        return status

    async def _show_price(self) -> bool:
        """Write what it may cost, if that is known. Return whether the request can be checked.

        Both take the list of models, which the client keeps. If nobody has asked for the check,
        a list that cannot be had does not hold up the submit.
        """
        if self.options.check is False:
            return False
        try:
            async with asyncio.timeout(None if self.options.check else _CHECK_SECONDS):
                price = await self.client.price(self.request)
        except (AiToEarnError, TimeoutError) as error:
            if self.options.check or isinstance(error, AuthenticationError):
                raise
            late = tr("it did not come within {seconds} s").format(seconds=_CHECK_SECONDS)
            note = tr("Warning: the request is not compared with the list of models: {reason}")
            echo_error(note.format(reason=words.reason(error) or late))
            return False
        if price is not None:
            note = tr("this costs {price} at most, by the service's list")
            echo_error(note.format(price=number(price)))
        return True

    async def _submit(self, show: Callable[[str], None], *, check: bool) -> TaskRef[Any]:
        try:
            return await self.client.submit(
                self.request,
                check=check,
                upload=self.options.upload,
                at_most=self.options.at_most,
                progress=lambda sent, size: show(words.uploading(sent, size)),
            )
        except asyncio.CancelledError as cancelled:
            self.note = in_option_names(" ".join(getattr(cancelled, "__notes__", [])))
            raise

    def _print_ref(self, ref: TaskRef[Any]) -> ExitStatus:
        """Write the ref to stdout, or else to stderr: the task is paid for, and named only here."""
        as_json = msgspec.json.encode({"ref": str(ref), "state": "running"})
        self.note = note = tr("submitted {ref}").format(ref=ref)
        if sys.stdout is None:  # a shell has closed it (`>&-`)
            echo_error(note)
        try:
            echo(as_json if self.settings.service.as_json else str(ref))
        except OSError:
            echo_error(note)
            raise
        return ExitStatus.SUCCEEDED

    async def _wait_for(self, ref: Any) -> ExitStatus:
        echo_error(tr("submitted {ref}").format(ref=ref))
        self.watch = Watch(self.client, [ref], self.settings)
        return await self.watch.report()

    def interrupted(self) -> ExitStatus:
        """Write whether there may be a task."""
        if self.watch is not None:
            return self.watch.interrupted()
        note = self.note or tr("nothing was submitted")
        echo_error(tr("interrupted; {note}").format(note=note))
        return ExitStatus.INTERRUPTED


async def _fleet_to_open(existing: Fleet, new: Fleet, stack: contextlib.AsyncExitStack) -> _Opening:
    """Return what opens the fleet after the submit.

    The fleet is open already, unless it is a file to be made: if the submit fails, none is left.
    """
    try:
        return contextlib.nullcontext(await stack.enter_async_context(existing))
    except FleetNotFoundError as error:
        if _can_be_made(error.__cause__):
            return new
    return contextlib.nullcontext(await stack.enter_async_context(new))


def _can_be_made(missing: object) -> bool:
    """Return whether a file is missing that can be made."""
    if not isinstance(missing, FileNotFoundError):
        return False
    folder = Path(missing.filename).parent
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=folder) as trial:
        trial.write(bytes(_LEAST_BYTES))
        return True
    return False


async def _added(opening: _Opening, ref: TaskRef[Any]) -> ExitStatus:
    try:
        async with opening as fleet:
            await fleet.add([ref])
    except FleetError as error:
        note = tr("{ref} was submitted, and is not in the fleet: {reason}")
        echo_error(note.format(ref=ref, reason=error))
        return exit_status_of(error)
    return ExitStatus.SUCCEEDED
