"""Functions of the caller's that are called as things happen. An async one is awaited."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVarTuple

Ts = TypeVarTuple("Ts")


async def call(hook: Callable[[*Ts], object], *args: *Ts) -> None:
    """Call a hook, and await what it returns where that can be awaited."""
    result = hook(*args)
    if inspect.isawaitable(result):
        await result
