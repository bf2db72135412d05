"""The provenance of a response: whose it is, and whether it is a copy.

Request ids tell, `Age` and the like, and timestamps.

A response must be evidence of its own: an answer to another request, or a copy of an earlier
answer out of a cache, says nothing of how a task stands now.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from .._net.headers import stored_by
from .._runtime.bounded_dict import BoundedDict
from .._runtime.lifetime import Lifetime
from .._transport.request import OutgoingRequest
from .._transport.response import Response
from ..contract.envelope import Codec, Envelope, Malformed
from ..contract.refusal import Refusal, id_text
from ..contract.tasks import Task, TaskRef

D = TypeVar("D")
T = TypeVar("T", bound=Task)

logger: logging.Logger = logging.getLogger("aitoearn_async")

_MOST_REMEMBERED = 10_000
_FIRST_PAUSE_SECONDS = 1.0
_MOST_PAUSE_SECONDS = 300.0
"""Bounds of the time for which a way past a cache is left alone: twice as long each time that it
is refused."""


class RefusalCheck:
    """Tells whether a refusal is for the request that was sent.

    A refusal names no task. Where the service echoes request ids, one with another id can be
    somebody else's, or a gateway's own. So the first is not believed. The second is, unless it
    is a copy of the first, which the same timestamp shows.

    Args:
        shown: Makes text from outside fit to be shown.
    """

    def __init__(self, shown: Callable[[str], str]) -> None:
        self.shown = shown
        self._echoes = False
        self._doubted: BoundedDict[TaskRef[Any], Refusal] = BoundedDict(_MOST_REMEMBERED)

    def note_good(self, ref: TaskRef[Any], sent: str, echoed: object) -> bool:
        """Note a good answer. Return whether it answers another request."""
        if self._doubted:
            self._doubted.pop(ref, None)
        if echoed == sent:
            self._echoes = True
            return False
        text = id_text(echoed)
        is_ours = text is not None and is_of_one_client(text, sent)
        # The ids of polls end so in all clients: this answer was made for another client.
        is_anothers = text is not None and text.endswith(f"-{ref.id}")
        is_foreign = is_ours or is_anothers or (self._echoes and text is not None)
        self._echoes = self._echoes and is_foreign
        return is_foreign

    def stray(self, ref: TaskRef[Any], sent: str, refusal: Refusal) -> str | None:
        """Return why a refusal is not believed; None if it is."""
        if refusal.request_id in (None, sent):
            return None
        is_ours = is_of_one_client(refusal.request_id or "", sent)
        if not is_ours and not self._echoes:
            return None
        doubted = self._doubted.get(ref)
        if not is_ours and doubted is not None and not _is_copy(doubted, refusal):
            return None
        self._doubted[ref] = refusal
        return "the refusal is for another request"


class Question(OutgoingRequest, Generic[D], kw_only=True, gc=False):
    """A request, and what its response is read with."""

    decode: Callable[[bytes], Envelope[D] | Refusal | Malformed]
    """Decodes a body."""

    def stray(self, result: Envelope[D] | Refusal) -> str | None:
        """Return why a response is for another request; None if it is not.

        A late answer to another request of this client comes so, on a shared connection.
        """
        if result.request_id == self.request_id:
            return None
        echoed = id_text(result.request_id)
        is_other = echoed is not None and is_of_one_client(echoed, self.request_id)
        return "the answer is for another request" if is_other else None


class PollQuestion(Question[T], kw_only=True, gc=False):
    """The question of a poll, and what is learned of its response while that is read."""

    ref: TaskRef[T]
    codec: Codec[T]
    check: RefusalCheck
    is_fresh: bool = False
    """No request before had the same id."""
    is_copy: bool | None = None
    """It answers another request: a cache has kept it. None if its ids do not tell."""

    def stray(self, result: Envelope[T] | Refusal) -> str | None:
        if isinstance(result, Refusal):
            return self.check.stray(self.ref, self.request_id, result)
        echoed = result.data.id
        if not is_for(self.ref, echoed):
            return f"the answer is for the task {self.check.shown(echoed)!r:.60}"
        if self.check.note_good(self.ref, self.request_id, result.request_id):
            self.is_copy = True
        elif self.is_fresh and result.request_id == self.request_id:
            self.is_copy = False
        return None


def is_of_one_client(one: str, other: str) -> bool:
    """Return whether a request id is of the client that made the other one: it begins alike."""
    return one.startswith(other.partition("-")[0])


def is_for(ref: TaskRef[Any], echoed: str) -> bool:
    """Return whether an id that a response echoes is that of a task."""
    return echoed == ref.id or echoed.lower() == ref.id.lower()


def _is_copy(one: Refusal, other: Refusal) -> bool:
    return one.timestamp != b"" and one.timestamp == other.timestamp


class CacheWatch:
    """Notices that a cache answers in place of the service, and whether there is a way past it.

    Args:
        lifetime: The client's, for its clock.
    """

    def __init__(self, lifetime: Lifetime) -> None:
        self._lifetime = lifetime
        self.is_seen: bool = False
        """A cache has answered."""
        self.pause: float = 0.0
        """Seconds for which the way past it is left alone; 0 unless it was refused last."""
        self._paused_until = -math.inf

    def is_passable(self) -> bool:
        """Return whether to go past a cache now."""
        return self._lifetime.time() >= self._paused_until

    def note(self, response: Response) -> None:
        """Note an answer that is a copy, and say so once."""
        if not self.is_seen:
            told = stored_by(response.headers) or "they echo other requests' ids"
            where = f"a cache on the way answers polls ({told})"
            if response.of_session:
                where = "the session given to the Client answers polls out of a cache of its own"
            text = "%s: asking past it from now on. Exclude the service's API from it"
            logger.warning(text, where)
        self.is_seen = True

    def note_passed(self) -> None:
        """Note an answer of the service past a cache."""
        self.pause, self._paused_until = 0.0, -math.inf

    def note_refused(self) -> None:
        """Note that something refuses the way past a cache: each poll would cost two requests."""
        if self.is_passable():  # not by another poll of the same moment
            self.pause = min(2 * self.pause or _FIRST_PAUSE_SECONDS, _MOST_PAUSE_SECONDS)
            self._paused_until = self._lifetime.time() + self.pause
