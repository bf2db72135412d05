"""A whole response, without the key: plain data. What it means is not known here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from .._resilience.scopes import Admission

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler


class Response(msgspec.Struct):
    """A whole response, whatever it says."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    connection: ResponseHandler | None
    admission: Admission
    """The permission for the request, which `ServiceMonitor` wants back with what it brought."""
    sent: float = math.nan
    """The moment when the request went out, by the client's clock."""
    key: int = 0
    """The number of the client's key that it was asked with."""
    of_session: bool = False
    """The caller's session has answered out of a cache of its own, and has sent nothing."""
    is_copy: bool = False
    """It comes from a cache's store, as far as that shows."""
    retry_after: float | None = None
    """Seconds for which the service asks to be left alone."""
    validator: str | None = None
    """The `If-None-Match` to send next."""

    def __repr__(self) -> str:
        # It stands among the locals of tracebacks, where nobody wants megabytes of body.
        return f"<Response HTTP {self.status}, {len(self.body):,} bytes>"
