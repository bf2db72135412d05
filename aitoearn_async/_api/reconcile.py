"""Finds out whether a submit without a receipt has made a task, from the service's logs.

A row that was made since the submit began, and that no submit is known to have made, is a
candidate. Candidates are asked for whole, and compared with the request. If exactly one fits, it
is the task. If several fit, or one cannot be compared, it stays open whether there is a task.
Nothing is ever submitted again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import msgspec

from .._net.headers import http_date
from .._polling.rounds.page_scan import PageRange
from .._runtime.bounded_dict import BoundedDict
from .._runtime.clock import Moment
from .._transport.response import Response
from .._verdict import Verdict
from ..contract.endpoints import LOGS, MOST_ROWS, LogPage, LogRow, endpoint_of, log_decoder
from ..contract.kinds import AnyTask
from ..contract.requests import TaskRequest
from ..contract.tasks import TaskRef, is_id
from ..errors import AiToEarnError, ApiError
from .caller import ApiCaller
from .poll import Poller

R = TypeVar("R", bound=TaskRef[Any])

_PAGE_SIZES = (20, MOST_ROWS)
"""Rows that are read: a few of the newest, and many more if all of those were made since."""
_MOST_CANDIDATES = 50
"""Tasks that are asked for whole, in one look."""
_MOST_NAMED = 3
"""Tasks that the text about a look names."""
_SLACK = timedelta(seconds=2)
"""Dates of the service are whole seconds."""
_ANSWERED_DELAYS = (0.0, 2.0)
"""Seconds before each look if the service has answered: it is done with the submit then."""
_DELAYS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""The same if no answer came: a task may show a little after its submit has failed."""
_NO_ROUTE = 404
"""The business code for: there is no such route."""
_MOST_RECEIPTS = 10_000
_receipts: BoundedDict[tuple[str, TaskRef[Any]], None] = BoundedDict(_MOST_RECEIPTS)
"""The latest tasks that submits of this process are known to have made, for each service. None of
them is a candidate for another submit."""
_Traits = tuple[str, type[TaskRef[Any]], str, str]
"""The service, kind, model and prompt of a submit: the logs tell submits apart by these alone."""
_under_way: dict[object, _Traits] = {}
"""The submits of all clients of this process that have no answer yet."""


class Reconciliation(NamedTuple):
    """The outcome of a search."""

    ref: TaskRef[Any] | None
    """The task, if exactly one fits."""
    is_settled: bool
    """The logs could be read, and hold no second task that looks alike."""
    summary: str
    """The rows that were looked at, in words."""


class _NewRows(NamedTuple):
    """The rows of the logs that were made since a submit began."""

    rows: list[LogRow]
    read: int
    """The number of rows that were read."""
    is_all: bool
    """All rows that were made since are among them."""


class SubmitReconciler:
    """Looks for the tasks of submits that have no receipt.

    Args:
        caller: Calls the service.
        poller: Asks for whole tasks.
    """

    def __init__(self, caller: ApiCaller, poller: Poller) -> None:
        self._caller = caller
        self._service = str(caller.http.base_url)
        self._lifetime = caller.lifetime
        self._poller = poller
        self._has_no_logs = False

    def note_receipt(self, ref: TaskRef[Any]) -> None:
        """Note that a submit has made a task, so that no other submit can have made it."""
        _receipts[self._service, ref] = None

    async def reconcile(
        self, request: TaskRequest[R], sent: Moment, deadline: float, *, answered: bool
    ) -> Reconciliation:
        """Look several times, until a task fits or none has shown for some seconds.

        If the service has answered the submit, its task, if there is one, is there before the first
        look. What shows only after that is somebody else's. If no answer came, a task of somebody
        else that looks alike may show first. So a task is believed only if the next look finds the
        same one.

        Args:
            request: As it was sent.
            sent: The moment when the submit began.
            deadline: The moment of the client's clock after which there is no further look.
            answered: The service itself has answered the submit.
        """
        found, is_sure = Reconciliation(None, False, "nothing was looked at"), False
        for delay in _ANSWERED_DELAYS if answered else _DELAYS:
            if self._lifetime.time() + delay >= deadline:
                break
            await self._lifetime.sleep(delay)
            before, found = found, await self.look(request, sent, deadline)
            was_absent = before.is_settled and before.ref is None
            is_believed = (answered and not was_absent) or before.ref == found.ref
            is_sure = found.ref is not None and is_believed
            if self._has_no_logs or is_sure:
                break
        if is_sure:
            return self._claim(found)
        return found._replace(ref=None, is_settled=found.is_settled and found.ref is None)

    async def search(self, request: TaskRequest[Any], sent: Moment) -> Reconciliation:
        """Look once, within the time of one request."""
        deadline = self._lifetime.time() + self._caller.request_timeout
        return self._claim(await self.look(request, sent, deadline))

    def _claim(self, found: Reconciliation) -> Reconciliation:
        """Take a task for this submit, unless another has found it at the same time."""
        if found.ref is None:
            return found
        if self._is_claimed(found.ref):
            return found._replace(ref=None, is_settled=False)
        self.note_receipt(found.ref)
        return found

    def _is_claimed(self, ref: TaskRef[Any]) -> bool:
        return (self._service, ref) in _receipts

    @contextmanager
    def under_way(self, request: TaskRequest[Any]) -> Generator[None]:
        """Note that a submit has no answer yet, for as long as the block lasts."""
        token = object()
        _under_way[token] = self._traits(request)
        try:
            yield
        finally:
            del _under_way[token]

    def _traits(self, request: TaskRequest[Any]) -> _Traits:
        return self._service, request.ref_type, request.model, request.prompt

    async def look(
        self, request: TaskRequest[Any], sent: Moment, deadline: float
    ) -> Reconciliation:
        """Look once."""
        recent = await self._recent(request.kind, sent, deadline)
        if isinstance(recent, AiToEarnError):
            return Reconciliation(
                None, False, f"the service's logs could not be read ({recent.label})"
            )
        refs = [
            request.ref_type(row.id)
            for row in recent.rows
            if row.model in (None, request.model) and is_id(row.id)
        ]
        refs = [ref for ref in refs if not self._is_claimed(ref)]
        is_all = recent.is_all and len(refs) <= _MOST_CANDIDATES
        asked = refs[:_MOST_CANDIDATES]
        whole = await asyncio.gather(*(self._whole(ref, deadline) for ref in asked))
        fits = [_fits(request, task) for task in whole]
        fitting = [ref for ref, fit in zip(asked, fits, strict=True) if fit is not False]
        named = ", ".join(map(str, fitting[:_MOST_NAMED]))
        summary = (
            f"the newest {recent.read} {request.kind} tasks of the account were looked at: "
            f"{len(fitting)} since then could be this one{f' ({named})' if named else ''}"
        )
        others = list(_under_way.values())  # a copy: clients in other threads submit, too
        if fitting and self._traits(request) in others:
            summary = f"{summary}, or that of another submit, which has no answer yet"
        elif is_all and len(fitting) == 1 and True in fits:
            return Reconciliation(fitting[0], True, summary)
        return Reconciliation(None, is_all and not fitting, summary)

    async def _recent(self, kind: str, sent: Moment, deadline: float) -> _NewRows | AiToEarnError:
        """Return the rows made since a moment, or the error if the logs cannot be read."""
        recent = _NewRows([], 0, is_all=False)
        for size in _PAGE_SIZES:
            page, now = await self._page(kind, size, deadline)
            if isinstance(page, AiToEarnError):
                return page
            rows = page.rows
            is_cut = PageRange(0, size).is_cut(len(rows), page.total)
            # The service's clock counts, if it is known: this machine's may be wrong. To look back
            # too far only brings more candidates.
            ago = timedelta(seconds=self._lifetime.age(sent))
            since = ((now or datetime.now(UTC)) - ago - _SLACK).timestamp()
            made = [row for row in rows if (row.times.submitted or since) >= since]
            is_all = len(made) < len(rows) or (len(rows) < size and not is_cut)
            recent = _NewRows(made, len(rows), is_all)
            if recent.is_all:
                break
        return recent

    async def _page(
        self, kind: str, size: int, deadline: float
    ) -> tuple[LogPage | AiToEarnError, datetime | None]:
        """Return the newest page of the logs, or an error; and the time by the service's clock."""
        path = LOGS.format(kind=kind, page=1, size=size)
        answer = await self._caller.ask(path, log_decoder, deadline, is_list=True)
        result, response = answer
        if isinstance(result, Verdict):
            error = result.error
            self._has_no_logs = isinstance(error, ApiError) and error.code == _NO_ROUTE
            return error, None
        assert isinstance(response, Response)
        self._has_no_logs = False
        return result, http_date(response.headers.get("Date", ""))

    async def _whole(self, ref: TaskRef[Any], deadline: float) -> AnyTask | None:
        try:
            task: AnyTask = await self._poller.fetch(ref, deadline)
        except AiToEarnError:
            return None
        return task


def _plain_fields(request: TaskRequest[Any]) -> dict[str, Any]:
    """Return the fields of a request that a task echoes unchanged. Files come back as addresses."""
    sent: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(request))
    files = {name for name, _, _ in request.sources()}
    return {
        name: value
        for name, value in sent.items()
        if isinstance(value, str | int | float) and name not in files
    }


def _fits(request: TaskRequest[Any], task: AnyTask | None) -> bool | None:
    """Return whether a task is what a request asked for; None if that cannot be told."""
    if task is None:
        return None
    echo = endpoint_of(task.ref).echo_of(task)
    said = {name: value for name, value in echo.items() if value is not None}
    sent = {name: value for name, value in _plain_fields(request).items() if name in said}
    if any(said[name] != value for name, value in sent.items()):
        return False
    return True if "prompt" in sent else None
