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
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeGuard, TypeVar, cast

from .._error_base import is_of_the_service
from .._net.connection import RequestBody
from .._resilience.breaker import BreakerState
from .._resilience.charges import is_trouble
from .._runtime.around import Around, unwatched
from .._runtime.bounded_dict import BoundedDict
from .._transport.response import Response
from .._uploads.store import Progress
from .._verdict import Verdict
from ..contract.endpoints import SubmitEndpoint, entries_decoder, submit_of
from ..contract.envelope import holds_data
from ..contract.refusal import ERROR_STATUSES
from ..contract.requests import TaskRequest
from ..contract.tasks import TaskRef
from ..errors import (
    AiToEarnError,
    ApiError,
    ClientClosedError,
    ContractError,
    ServerError,
    SubmitUncertainError,
)
from .caller import ApiCaller
from .model_catalog import ModelCatalog
from .poll import Poller
from .reconcile import SubmitReconciler
from .request_body import BodyMaker, UploadMode

R = TypeVar("R", bound=TaskRef[Any])

logger: logging.Logger = logging.getLogger("aitoearn_async")

_MOST_RECEIPTS = 10_000
_ENDED_EARLY = "the call was ended while it was under way"
_FAILED = 500
"""The business code of a failure without a name of its own."""
_receipts: BoundedDict[tuple[str, TaskRef[Any]], None] = BoundedDict(_MOST_RECEIPTS)
"""The latest tasks that clients of this process got by submits: none of them is another
submit's."""
_NOT_TAKEN = frozenset(
    [
        *(307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 410, 411, 412, 413, 414, 415, 417),
        *(421, 422, 424, 426, 428, 429, 431, 451, 511),
    ]
)
"""The HTTP statuses that say for certain that a request was not acted on. All others but 2xx can
come after it was: 303 leads to what was made, and 409 may mean that it exists already."""


class Submitter:
    """Submits to one service.

    Args:
        caller: Calls it.
        catalog: Knows its models.
        bodies: Makes the bodies.
        poller: Polls tasks that may have come of a submit.
        made: Takes the latest tasks that this client made.
    """

    def __init__(
        self,
        caller: ApiCaller,
        catalog: ModelCatalog,
        bodies: BodyMaker,
        poller: Poller,
        made: BoundedDict[TaskRef[Any], None],
    ) -> None:
        self._caller = caller
        self._http = caller.http
        self._lifetime = caller.lifetime
        self._catalog = catalog
        self._bodies = bodies
        self._service = str(caller.http.base_url)
        self._made = made
        self.around: Around = unwatched
        self._reconciler = SubmitReconciler(caller, poller, self._has_receipt_for)

    async def submit(
        self, request: TaskRequest[R], *, check: bool, upload: UploadMode, progress: Progress | None
    ) -> R:
        """Submit once.

        Raises:
            SubmitUncertainError: It may have been taken, or not.
            AiToEarnError: It was not taken.
        """
        row = submit_of(request)
        self._lifetime.enter()
        with self.around(request) as told:
            if check:
                await self._catalog.check(request, row.catalog)
            sent, data = await self._bodies.make(request, upload, progress)
            attempt = partial(self._attempt, row, sent, data)
            ref = await self._caller.repeat(attempt, self._http.time_for(len(data)))
            told(ref)
            return ref

    async def _probe(self, row: SubmitEndpoint[R], deadline: float) -> Verdict | None:
        """Ask for the models first where the service is down: that costs nothing if it is lost.

        Returns:
            Why nothing is to be submitted now; None if the service is well enough.
        """
        if self._http.monitor.state is not BreakerState.OPEN:
            return None
        answer = await self._caller.ask(row.catalog.path, entries_decoder, deadline)
        verdict = answer.result
        return verdict if isinstance(verdict, Verdict) and is_trouble(verdict.error) else None

    async def _attempt(
        self, row: SubmitEndpoint[R], request: TaskRequest[R], data: bytes, deadline: float
    ) -> R | Verdict:
        if not self._http.monitor.all_well and (down := await self._probe(row, deadline)):
            return down
        request_id = self._caller.request_id()
        body = RequestBody(data)
        at, sent = datetime.now(UTC), self._lifetime.time()
        response: Response | AiToEarnError
        try:
            response = await self._http.send("POST", row.path, request_id, deadline, body=body)
            result = self._read(row, response, request_id)
            if not isinstance(result, Verdict):
                self._remember(result)
                return result
            failed = result.error
            is_not_taken = _is_not_taken(failed, response) and not _has_receipt(response, row)
            if is_not_taken or not body.whole:
                return await self._http.credentials.refresh_if_rejected(result, response, deadline)
            return await self._settle(request, failed, at, sent)
        except ClientClosedError as closed:
            if not body.whole:
                raise
            raise SubmitUncertainError(request, str(closed), request_id, at) from closed
        except (SubmitUncertainError, AiToEarnError):
            raise
        except BaseException as exc:  # a cancellation: it is passed on, with a note
            if body.whole:
                exc.add_note(str(SubmitUncertainError(request, _ENDED_EARLY, request_id, at)))
            raise

    async def _settle(
        self, request: TaskRequest[R], failed: AiToEarnError, at: datetime, sent: float
    ) -> R | Verdict:
        """Look whether the task was made; raise where that cannot be told."""
        until = self._lifetime.time() + self._http.request_timeout
        found = await self._reconciler.reconcile(request, sent, until, answered=_is_answer(failed))
        if found.ref is not None:
            self._remember(found.ref)
            logger.info("%s was made by a submit that had no receipt", found.ref)
            return cast("R", found.ref)
        if found.is_settled and _is_answer(failed):
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
        reason = f"{failed}; {found.looked_at}"
        uncertain = SubmitUncertainError(request, reason, getattr(failed, "request_id", None), at)
        uncertain.searchable(weakref.WeakMethod(self._reconciler.search), sent)
        raise uncertain from failed

    def _remember(self, ref: TaskRef[Any]) -> None:
        self._made[ref] = None
        _receipts[self._service, ref] = None

    def _has_receipt_for(self, ref: TaskRef[Any]) -> bool:
        return (self._service, ref) in _receipts

    def _read(
        self, row: SubmitEndpoint[R], response: Response | AiToEarnError, request_id: str
    ) -> R | Verdict:
        # Each submit is a subject of its own: two that are refused are two signs of trouble.
        question = self._caller.question(row.path, row.decoder, request_id, subject=request_id)
        receipt = self._caller.read(response, question)
        if isinstance(receipt, Verdict):
            return receipt
        try:
            return row.ref_type(str(receipt.id))
        except ValueError:
            told = self._http.credentials.shown(str(receipt.id))
            error = ContractError(f"a submit is answered with the id {told!r:.60}", request_id)
            return self._caller.note(row.path, Verdict.on(error))


def _has_receipt(response: Response | AiToEarnError, row: SubmitEndpoint[Any]) -> bool:
    """Return whether an answer names a task all the same, under a status or a code that says no.

    A gateway has statuses of its own, and may have a code of its own for all is well.
    """
    return isinstance(response, Response) and holds_data(response.body, row.decoder)


def _is_answer(error: AiToEarnError) -> TypeGuard[ServerError]:
    """Return whether the service itself has failed: it is done with the submit then."""
    is_failure = isinstance(error, ServerError) and error.code == _FAILED
    return is_failure and is_of_the_service(error)


def _is_not_taken(error: AiToEarnError, response: Response | AiToEarnError) -> bool:
    """Return whether an answer says for certain that the submit was not taken."""
    if not isinstance(response, Response) or isinstance(error, ServerError):
        return False
    status = response.status
    if 200 <= status < 300:
        if not isinstance(error, ApiError):
            return False
        if error.host is None or error.code not in ERROR_STATUSES:
            return True
        status = error.code  # a gateway's, which stands in its words
    return status in _NOT_TAKEN
