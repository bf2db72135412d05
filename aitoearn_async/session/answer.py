"""A whole answer, as it came over the wire: plain data. What it means is not known here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler


class Answer(msgspec.Struct):
    """A whole answer, whatever it says."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    wire: ResponseHandler | None
    sent: float = math.nan
    """When the request went out, by the client's clock."""
    term: int = 0
    """What `Health` wants handed in with what the answer means."""
    key: int = 0
    """Which of the client's keys it was asked with."""

    def __repr__(self) -> str:
        # It stands among the locals of tracebacks, where nobody wants megabytes of body.
        return f"<Answer HTTP {self.status}, {len(self.body):,} bytes>"
