"""A request that has found its route and its account, and what is said to it."""

from __future__ import annotations

from dataclasses import dataclass

from .dialects import ErrorAnswer
from .faults import Fault
from .request import Request


@dataclass(frozen=True, slots=True)
class Call:
    """One request that has found its route and its account."""

    request: Request
    id: str
    """The part of the path that names something."""
    query: str
    account: str
    fault: Fault | None
    now: float


Said = bytes | ErrorAnswer
"""The JSON (`data`) to answer with, or the code to refuse with."""
