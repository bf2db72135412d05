"""Resources that this machine, or this process, has run out of.

A failure for lack of one says nothing of the service, and passes: others give theirs back.
"""

from __future__ import annotations

import errno
import functools
import os
import socket
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ..errors import NotAskedError

P = ParamSpec("P")
T = TypeVar("T")

LACKS_FOR = 1.0
"""Seconds after which another try is made where this machine lacks something."""

_ERRNOS = {
    errno.EMFILE: "file descriptor",
    errno.ENFILE: "file descriptor",
    errno.ENOMEM: "memory",
    errno.ENOBUFS: "memory",
    errno.EAGAIN: "thread",
}
_NO_THREAD = "can't start new thread"
"""The words of a `RuntimeError` where names are looked up on threads and none can be started."""
_MOST_CAUSES = 10


def exhausted_resource(exc: BaseException | None) -> str | None:
    """Return the resource whose lack prevented a connection; None if that was not the reason.

    Args:
        exc: As the HTTP library raised it, perhaps wrapped in others.
    """
    for _ in range(_MOST_CAUSES):
        if exc is None:
            break
        # Resolvers have error numbers of their own.
        by_number = not isinstance(getattr(exc, "os_error", exc), socket.gaierror)
        if isinstance(exc, OSError) and by_number and exc.errno in _ERRNOS:
            return _ERRNOS[exc.errno]
        if isinstance(exc, RuntimeError) and str(exc) == _NO_THREAD:
            return "thread"
        exc = exc.__cause__
    return None


def lack_of(resource: str) -> str:
    """Return the words for a request that was not sent for lack of a resource."""
    return f"not sent, because this machine has no {resource} left"


def imports(call: Callable[P, T]) -> Callable[P, T]:
    """Mark a function that imports what it needs, for which a file has to be opened.

    It raises `NotAskedError` where that cannot be done for lack of a resource.
    """

    @functools.wraps(call)
    def importing(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except OSError as exc:
            if (lack := exhausted_resource(exc)) is None:
                raise
            raise NotAskedError(lack_of(lack), retry_after=LACKS_FOR) from exc

    return importing


def is_out_of_descriptors() -> bool:
    """Return whether no file can be opened now.

    A resolver that cannot open a socket only says that there is no such name.
    """
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as exc:
        return exc.errno in (errno.EMFILE, errno.ENFILE)
    return False
