"""One submit, from a request to a ref. It spends credits, so it is sent once.

What is decided here is only this: after trouble, whether the service can have taken the
submit. It cannot, as long as the last byte of the body has not gone out (there was no
connection, the upload broke off), or if it said so itself: any refusal but a failure of its
own. Then the submit may be repeated, or the trouble is raised as it is. In every other case
the fate of the submit is open, and that is what is raised.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

from .attachments import packed
from .contract.endpoints import Submit, entries_decoder, submit_of
from .contract.envelope import Envelope, read_plain
from .contract.refs import TaskRef
from .contract.requests import TaskRequest
from .errors import (
    AiToEarnError,
    ApiError,
    ClientClosedError,
    ContractError,
    ServerError,
    SubmitUncertainError,
    UnexpectedResponseError,
)
from .exchange import Exchange
from .finder import Finder
from .session.answer import Answer
from .session.connection import Body

R = TypeVar("R", bound=TaskRef[Any])

_MOST_REMEMBERED = 1000
_OPEN_STATUSES = frozenset([304, 408, 425])
"""Below 500, but not surely said before the request was acted on."""


class Submitter:
    """Submits to one service."""

    def __init__(self, exchange: Exchange, finder: Finder) -> None:
        self._exchange = exchange
        self._finder = finder
        self.made: dict[TaskRef[Any], None] = {}
        """The latest tasks that were made here."""

    async def submit(self, request: TaskRequest[R], *, check: bool) -> R:
        """Submit once.

        Raises:
            SubmitUncertainError: It may have been taken, or not.
            AiToEarnError: It was not taken.
        """
        row = submit_of(request)
        self._exchange.now()
        if check:
            await self._finder.check(request, row.catalog)
        with self._exchange.life():
            sent, data = await packed(request)

        async def attempt(before: float) -> R:
            await self._exchange.probe(row.catalog.path, entries_decoder, before)
            return await self._attempt(row, sent, data, before)

        return await self._exchange.persist(
            attempt, seconds=self._exchange.http.time_for(Body(data))
        )

    async def _attempt(
        self, row: Submit[R], request: TaskRequest[R], data: bytes, before: float
    ) -> R:
        request_id = self._exchange.request_id()
        body = Body(data)
        at = datetime.now(UTC)
        answer: Answer | AiToEarnError
        try:
            answer = await self._exchange.send(row.path, body, request_id, before)
        except ClientClosedError as error:
            answer = error
        except BaseException as exc:  # a cancellation: it must go its way, but not in silence
            if body.whole:
                exc.add_note(str(SubmitUncertainError(request, _LEFT, request_id, at)))
            raise
        result = self._read(row, answer, request_id)
        if not isinstance(result, AiToEarnError):
            self._remember(result)
            return result
        self._exchange.note(row.path, result)
        if not body.whole or (_is_no(result, answer) and not _has_receipt(answer, row)):
            await self._exchange.http.keys.reconsider(result, answer, before)
            raise result
        raise SubmitUncertainError(request, str(result), request_id, at) from result

    def _remember(self, ref: TaskRef[Any]) -> None:
        self.made[ref] = None
        if len(self.made) > _MOST_REMEMBERED:
            del self.made[next(iter(self.made))]

    def _read(
        self, row: Submit[R], answer: Answer | AiToEarnError, request_id: str
    ) -> R | AiToEarnError:
        receipt = self._exchange.read(row.path, answer, row.decoder, request_id)
        if isinstance(receipt, AiToEarnError):
            return receipt
        try:
            return row.ref(receipt.id)
        except ValueError:
            told = self._exchange.http.trouble.scrubbed(receipt.id)
            return ContractError(f"a submit is answered with the id {told!r:.60}", request_id)


_LEFT = "the call was ended while it was under way"


def _has_receipt(answer: Answer | AiToEarnError, row: Submit[Any]) -> bool:
    """Whether an answer names a task all the same, under a status that says no."""
    return isinstance(answer, Answer) and isinstance(read_plain(answer.body, row.decoder), Envelope)


def _is_no(error: AiToEarnError, answer: Answer | AiToEarnError) -> bool:
    """Whether an answer says for certain that the submit was not taken."""
    if not isinstance(answer, Answer):
        return False
    if answer.status >= 500 or answer.status in _OPEN_STATUSES:
        return False
    if isinstance(error, ApiError):
        return not isinstance(error, ServerError)
    return isinstance(error, UnexpectedResponseError) and 300 <= answer.status < 500
