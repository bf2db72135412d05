"""One request to the service, and its line in the log, at the level debug: never the key."""

from __future__ import annotations

import logging

import msgspec

from .._net.connection import RequestBody
from ..errors import TransportError
from .response import Response

logger: logging.Logger = logging.getLogger("aitoearn_async")


class OutgoingRequest(msgspec.Struct, frozen=True):
    """The request that goes out."""

    method: str
    path: str
    request_id: str
    route: str
    etag: str | None
    body: RequestBody | None
    is_final: bool
    """It is the final poll of a wait."""

    def log(self, result: Response | TransportError | None, seconds: float) -> None:
        """Log that it went out, and what it came to; None if it was broken off."""
        if isinstance(result, Response):
            end = f"HTTP {result.status}, {len(result.body):,} bytes"
        else:
            end = "broken off" if result is None else result.label
        facts = self.method, self.path, end, seconds, self.request_id
        logger.debug("%s %s: %s, %.3f s, request %s", *facts)
