"""A block around a piece of work, for an observer to see it begin and end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

Around = Callable[[Any], AbstractContextManager[Callable[[Any], object]]]
"""Called with the object of the work. Its block gives a function to call with the result."""


def _nobody(result: object) -> None:
    """Ignore a result."""


_BLOCK = nullcontext(_nobody)


def unwatched(_: object) -> AbstractContextManager[Callable[[Any], object]]:
    """Return the block around work that nobody watches."""
    return _BLOCK
