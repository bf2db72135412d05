"""A task as `GET /api/ai/draft-generation/{id}` shows it: any kind, own tasks only.

The service's own client asks there. It shows rows whose own route fails for good. The route is
not among the published ones.
"""

from __future__ import annotations

from typing import Any, cast

from msgspec import Struct

from .envelope import Envelope
from .json_limits import LateDecoder
from .tasks import Moment

DRAFT = "/api/ai/draft-generation/{id}"
"""The path."""


class Draft(Struct, frozen=True, rename="camel"):
    """One row."""

    id: str
    status: str
    """`generating`, `success` or `failed`, for videos too."""
    error_message: str | None = None
    request: dict[str, Any] | None = None
    response: dict[str, Any] | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None


draft_decoder: LateDecoder[Envelope[Draft]] = LateDecoder(Envelope[Draft])


def address_in(value: object) -> str | None:
    """Return a field of `response` that is an address; it may be a path on the storage."""
    is_one = isinstance(value, str) and value.lower().startswith(("https://", "http://"))
    return cast("str", value) if is_one else None
