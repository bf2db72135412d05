"""A verdict: an error, and beside it whether to retry and after what delay.

An error is a fact and is not changed on its way. What else is learned travels beside it.
"""

from __future__ import annotations

import random

import msgspec

from ._error_base import is_of_the_service
from .errors import AiToEarnError, ServerError, TaskNotFoundError


class Verdict(msgspec.Struct, frozen=True):
    """A call that brought nothing: its error, and what is to be done."""

    error: AiToEarnError
    retry: bool
    """The same call may well succeed a little later."""
    delay: float | None
    """Seconds for which the service asks to be left alone first, if it does."""

    @classmethod
    def on(cls, error: AiToEarnError, *, delay: float | None = None) -> Verdict:
        """Return the verdict that the error itself suggests."""
        return cls(error, error.transient, delay or getattr(error, "retry_after", None))


def longer(seconds: float) -> float:
    """Return a little more than a server asked for, at random: not all return at once."""
    return seconds * random.uniform(1.0, 1.2)


NO_TURN = "no turn"
"""The label of a request that was not sent, since its time was up before its turn came."""
TOO_LARGE = "huge answer"
"""The label of a response that is larger than what is read."""

HOSTS_OWN: frozenset[str] = frozenset(
    ["no connection", "no DNS answer", "no TLS", "bad certificate", "proxy refusal"]
)
"""Labels of errors that came before any route was asked for."""


def spoils_a_page(error: AiToEarnError) -> bool:
    """Return whether a page of a list may fail for what is on it: smaller ones can be had.

    The service refuses a whole page for one row that it cannot show, and rows that echo large
    inputs make a page that is too large.
    """
    if not isinstance(error, TaskNotFoundError | ServerError):
        return error.label == TOO_LARGE
    return is_of_the_service(error) and error.code in (500, 12302)
