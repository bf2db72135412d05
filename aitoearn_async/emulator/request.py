"""One request: as the emulator received it, for tests to look at, and as a route gets it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

from aitoearn_async import AnyRef

from .faults import Fault

_SECRET: Final = frozenset(["x-api-key", "authorization", "proxy-authorization", "cookie"])


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in.

    Its representation, which a failing test prints, masks the values of the headers that
    carry credentials. The values themselves compare as they were sent.
    """

    method: str
    path: str
    """The target as sent, with its query."""
    headers: CIMultiDictProxy[str]
    """Names compare without case, and can occur twice."""
    at: float
    """The time it came, in seconds on the event loop's clock."""
    ref: AnyRef | None
    """The task it asks for, whether or not there is one; `None` if that is no valid id."""
    body: bytes = field(default=b"", repr=False)
    """The body; empty where it did not come to its end."""
    media: bool = False
    """It is for a file, at the emulator's storage, and not for the API."""
    route: str | None = None
    """The name of its route, as `Emulator(routes=...)` has it; `None` for files and unknown
    paths."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request that has found its route and its account."""

    request: Request
    id: str
    """The part of the path that names something, decoded."""
    query: str
    account: str
    fault: Fault | None
    now: float


class _Masked(str):
    """A header value that a failing test must not print."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'<API key>'"


def masked(headers: CIMultiDictProxy[str]) -> CIMultiDictProxy[str]:
    """Return the same headers, the secret ones with a representation that hides them."""
    return CIMultiDictProxy(
        CIMultiDict(
            (name, _Masked(value) if name.lower() in _SECRET else value)
            for name, value in headers.items()
        )
    )
