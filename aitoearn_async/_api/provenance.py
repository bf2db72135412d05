"""The provenance of a response: whose it is, and whether it is a copy.

It is told by request ids, by headers such as `Age`, and by timestamps. An answer to another
request, or a copy of an earlier answer, says nothing of how a task stands now.
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
_LONGEST_PAUSE_SECONDS = 300.0
"""Seconds for which the way past a cache is left alone: twice as long each time that it is
refused."""


class RefusalCheck:
    """Tells whether a refusal is for the request that was sent.

    A refusal names no task. If the service echoes request ids, a refusal with another id may be for
    somebody else, or come from a gateway. So the first such refusal is not believed. The second is
    believed, unless it has the timestamp of the first: then it is a copy of it.

    Args:
        shown: Returns a text from outside so that it can be shown: without the key.
    """

    def __init__(self, shown: Callable[[str], str]) -> None:
        self.shown = shown
        self._echoes = False  # the service echoes request ids
        self._doubted: BoundedDict[TaskRef[Any], Refusal] = BoundedDict(_MOST_REMEMBERED)

    def note_good(self, ref: TaskRef[Any], sent: str, echoed: object) -> bool:
        """Note a good answer about a task, and return whether it answers another request."""
        if self._doubted:
            self._doubted.pop(ref, None)
        if echoed == sent:
            self._echoes = True
            return False
        text = id_text(echoed)
        if text is None:
            self._echoes = False
            return False
        # The ids of polls end with the task's in all clients: this one may be of another client.
        is_of_a_poll = text.endswith(f"-{ref.id}")
        return is_of_a_poll or is_of_same_client(text, sent) or self._echoes

    def why_stray(self, ref: TaskRef[Any], sent: str, refusal: Refusal) -> str | None:
        """Return why a refusal is not believed; None if it is."""
        if refusal.request_id in (None, sent):
            return None
        if not is_of_same_client(refusal.request_id or "", sent):
            if not self._echoes:
                return None
            doubted = self._doubted.get(ref)
            if doubted is not None and not _is_copy(doubted, refusal):
                return None
        self._doubted[ref] = refusal
        return "the refusal is for another request"


class Question(OutgoingRequest, Generic[D], kw_only=True, gc=False):
    """A request, and what is needed to read its response."""

    decode: Callable[[bytes], Envelope[D] | Refusal | Malformed]
    """Decodes a body."""

    def why_stray(self, result: Envelope[D] | Refusal) -> str | None:
        """Return why a response is for another request; None if it is for this one.

        It can be a late answer to an earlier request of this client on the same connection.
        """
        if result.request_id == self.request_id:
            return None
        echoed = id_text(result.request_id)
        is_other = echoed is not None and is_of_same_client(echoed, self.request_id)
        return "the answer is for another request" if is_other else None


class PollQuestion(Question[T], kw_only=True, gc=False):
    """The question of a poll, and what reading its response tells of it."""

    ref: TaskRef[T]
    codec: Codec[T]
    check: RefusalCheck
    is_fresh: bool = False
    """No request before had the same id."""
    is_copy: bool | None = None
    """The response answers another request, so that a cache has kept it. None while this is not
    known, or if its ids do not tell."""

    def why_stray(self, result: Envelope[T] | Refusal) -> str | None:
        if isinstance(result, Refusal):
            return self.check.why_stray(self.ref, self.request_id, result)
        echoed: str = getattr(result.data, self.codec.id_field)
        if not is_for(self.ref, echoed):
            return f"the answer is for the task {self.check.shown(echoed)!r:.60}"
        if self.check.note_good(self.ref, self.request_id, result.request_id):
            self.is_copy = True
        elif self.is_fresh and result.request_id == self.request_id:
            self.is_copy = False
        return None


def is_of_same_client(one: str, other: str) -> bool:
    """Return whether two request ids were made by the same client: they begin alike."""
    return one.startswith(other.partition("-")[0])


def is_for(ref: TaskRef[Any], echoed: str) -> bool:
    """Return whether an id in a response is that of a task, in upper or lower case."""
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
        """Seconds for which the way past it was last left alone; 0 once a task came that way."""
        self._paused_until = -math.inf

    def is_passable(self) -> bool:
        """Return whether to go past a cache now."""
        return self._lifetime.time() >= self._paused_until

    def note(self, response: Response) -> None:
        """Note an answer that is a copy, and say so once."""
        if not self.is_seen:
            sign = stored_by(response.headers) or "they echo other requests' ids"
            where = f"a cache on the way answers polls ({sign})"
            if response.of_session:
                where = "the session given to the Client answers polls out of a cache of its own"
            text = "%s: asking past it from now on. Exclude the service's API from it"
            logger.warning(text, where)
        self.is_seen = True

    def note_passed(self) -> None:
        """Note that the service has answered a request that went past the cache."""
        self.pause, self._paused_until = 0.0, -math.inf

    def note_refused(self) -> None:
        """Note that something refuses requests that go past the cache.

        They are not sent for a while, since each poll would cost two requests.
        """
        if self.is_passable():  # no other poll has noted the same just now
            self.pause = min(2 * self.pause or _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
            self._paused_until = self._lifetime.time() + self.pause
