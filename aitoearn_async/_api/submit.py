"""One submit, from a request to a ref. It spends credits, so it is sent once.

What is decided here is only this: after trouble, whether the service can have taken the
submit. It cannot, as long as the last byte of the body has not gone out (there was no
connection, the upload broke off), or if it said so itself: any refusal but a failure of its
own. Then the submit may be repeated, or the trouble is raised as it is. In every other case
the fate of the submit is open, and that is what is raised.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar, cast

from .._resilience.breaker import BreakerState
from .._resilience.charges import is_trouble
from .._runtime.bounded_dict import BoundedDict
from .._runtime.clock import Moment
from .._transport.response import Response
from .._uploads.store import Progress
from .._verdict import Verdict
from ..contract.endpoints import SubmitEndpoint, entries_decoder, submit_of
from ..contract.requests import TaskRequest
from ..contract.tasks import TaskRef
from ..errors import (
    AiToEarnError,
    ApiError,
    ClientClosedError,
    ServerError,
    SubmitUncertainError,
)
from .caller import ApiCaller
from .model_catalog import ModelCatalog
from .poll import Poller
from .reconcile import SubmitReconciler
from .refusals import is_failure_of_the_service, is_not_taken
from .request_files import MOST_BYTES, FilesOfRequests, UploadMode

R = TypeVar("R", bound=TaskRef[Any])

logger: logging.Logger = logging.getLogger("aitoearn_async")

Watch = Callable[[TaskRequest[Any], Awaitable[Any]], Awaitable[Any]]
"""Awaits a submit, and tells observers of it."""

_NO_SUCH_MODEL: Final = 12300  # or no such mode of it
_ABOUT_MODELS: Final = "it has model={!r:.80}; with check=True a submit says what does not fit"
_ENDED_EARLY = "the call was ended while it was under way"


class Submitter:
    """Submits to one service.

    Args:
        caller: Calls it.
        catalog: Knows its models.
        files: Puts addresses in place of files.
        poller: Polls tasks that may have come of a submit.
        just_submitted: Takes the latest tasks that this client has submitted.
    """

    def __init__(
        self,
        caller: ApiCaller,
        catalog: ModelCatalog,
        files: FilesOfRequests,
        poller: Poller,
        just_submitted: BoundedDict[TaskRef[Any], None],
    ) -> None:
        self._caller = caller
        self._http = caller.http
        self._lifetime = caller.lifetime
        self._catalog = catalog
        self._files = files
        self._just_submitted = just_submitted
        self.watch: Watch | None = None
        self._reconciler = SubmitReconciler(caller, poller)

    def submit(
        self, request: TaskRequest[R], *, check: bool, upload: UploadMode, progress: Progress | None
    ) -> Awaitable[R]:
        """Submit once, when awaited.

        Raises:
            SubmitUncertainError: It may have been taken, or not.
            AiToEarnError: It was not taken.
        """
        work = self._submit(request, submit_of(request), check, upload, progress)
        return work if self.watch is None else self.watch(request, work)

    async def _submit(
        self,
        request: TaskRequest[R],
        row: SubmitEndpoint[R],
        check: bool,
        upload: UploadMode,
        progress: Progress | None,
    ) -> R:
        if check:
            await self._catalog.check(request, row.catalog)
        if sources := list(request.sources()):
            request = await self._files.replaced(request, sources, upload, progress)
        data = request.to_json()
        if len(data) > MOST_BYTES:
            raise ValueError(
                f"the request of {len(data):,} bytes is larger than the {MOST_BYTES:,} bytes "
                "that the service can keep; give addresses in place of data: URIs"
            )
        attempt = partial(self._attempt, row, request, data)
        try:
            ref = await self._caller.repeat(attempt, data)
        except ApiError as no:
            if no.code == _NO_SUCH_MODEL:
                no.add_note(_ABOUT_MODELS.format(request.model))
            raise
        self._reconciler.note_receipt(ref)
        self._just_submitted[ref] = None
        return ref

    async def _probe(self, row: SubmitEndpoint[R], deadline: float) -> Verdict | None:
        """Ask for the models first where the service is down: that costs nothing if it is lost.

        Returns:
            Why nothing is to be submitted now; None if the service is well enough.
        """
        if self._http.monitor.state is not BreakerState.OPEN:
            return None
        answer = await self._caller.ask(row.catalog.path, entries_decoder, deadline)
        verdict = answer[0]
        return verdict if isinstance(verdict, Verdict) and is_trouble(verdict.error) else None

    async def _attempt(
        self, row: SubmitEndpoint[R], request: TaskRequest[R], data: bytes, deadline: float
    ) -> R | Verdict:
        if not self._http.monitor.all_well and (down := await self._probe(row, deadline)):
            return down
        question = self._caller.question(row.path, row.decode, data=data)
        # Each submit is a subject of its own: two that are refused are two signs of trouble.
        question.subject = request_id = question.request_id
        at = datetime.now(UTC)
        try:
            with self._reconciler.under_way(request):
                response = await self._http.send(question, deadline)
            result = self._caller.read(response, question)
            if not isinstance(result, Verdict):
                return result
            failed = result.error
            is_refused = is_not_taken(failed, response) and not _has_receipt(response, row)
            if question.is_whole and not is_refused:
                assert question.went_out is not None
                return await self._settle(request, failed, at, question.went_out)
        except ClientClosedError as closed:
            if not question.is_whole:
                raise
            raise SubmitUncertainError(request, str(closed), request_id, at) from closed
        except (SubmitUncertainError, AiToEarnError):
            raise
        except BaseException as exc:  # a cancellation: it is passed on, with a note
            if question.is_whole:
                exc.add_note(str(SubmitUncertainError(request, _ENDED_EARLY, request_id, at)))
            raise
        # It was not taken, for certain: whatever ends the call from here on, no fate is open.
        return await self._http.credentials.refresh_if_rejected(result, response, deadline)

    async def _settle(
        self, request: TaskRequest[R], failed: AiToEarnError, at: datetime, sent: Moment
    ) -> R | Verdict:
        """Look whether the task was made; raise where that cannot be told."""
        until = self._lifetime.time() + self._caller.request_timeout
        answered = is_failure_of_the_service(failed)
        found = await self._reconciler.reconcile(request, sent, until, answered=answered)
        if found.ref is not None:
            logger.info("%s was made by a submit that had no receipt", found.ref)
            return cast("R", found.ref)
        if found.is_settled and is_failure_of_the_service(failed):
            # It lists no task of this request: a refusal of the provider behind it, of a group,
            # or of a body that it cannot keep.
            no = ServerError(
                failed.code,
                f"no task was made: {failed.message}",
                failed.request_id,
                sent_request_id=failed.sent_request_id,
                transient=False,
            )
            return Verdict(no, retry=False, delay=None)
        reason = f"{failed}; {found.summary}"
        uncertain = SubmitUncertainError(request, reason, getattr(failed, "request_id", None), at)
        uncertain.searchable(weakref.WeakMethod(self._reconciler.search), sent)
        raise uncertain from failed


def _has_receipt(response: Response | AiToEarnError, row: SubmitEndpoint[Any]) -> bool:
    """Return whether an answer names a task all the same, under a status or a code that says no.

    A gateway has statuses of its own, and may have a code of its own for all is well.
    """
    return isinstance(response, Response) and row.decoder.read(response.body) is not None
