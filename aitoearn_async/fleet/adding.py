"""Adds refs while others are read: what has been read is added, whatever becomes of its source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from aitoearn_async import TaskRef, parse_ref

from .cancelled import ended

Refs = Iterable[TaskRef[Any] | str] | AsyncIterable[TaskRef[Any] | str]

_A_CHUNK = 5_000
"""Refs that are added in one transaction."""
_SECONDS_WHEN_CANCELLED = 5.0
"""Seconds for what has been read until then: each ref may be of a task that has been paid for."""


async def add_all(refs: Refs, add: Callable[[list[str]], Awaitable[int]]) -> int:
    """Add refs. Return how many were new.

    A slow source is not a reason to keep refs here: some are added while the next are awaited.
    """
    each = _each(refs)
    unadded: list[str] = []
    some, room = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        async for ref in each:
            unadded.append(_text(ref))
            some.set()
            if len(unadded) >= _A_CHUNK:
                room.clear()
                await room.wait()

    async def add_what_was_read() -> int:
        count = 0
        while unadded or not reading.done():
            await some.wait()
            if not reading.done():
                some.clear()
            chunk = unadded.copy()
            unadded.clear()
            room.set()
            count += await add(chunk) if chunk else 0
        return count

    reading = asyncio.create_task(read())
    reading.add_done_callback(lambda _: some.set())
    adding = asyncio.create_task(add_what_was_read())
    adding.add_done_callback(lambda _: reading.cancel())
    try:
        await asyncio.wait([adding])
    except asyncio.CancelledError:
        reading.cancel()
        await ended(adding, _SECONDS_WHEN_CANCELLED)
        raise
    finally:
        adding.cancel()
        await asyncio.gather(adding, reading, return_exceptions=True)
    count = adding.result()
    reading.result()
    return count


def _each(refs: Refs) -> AsyncIterable[TaskRef[Any] | str]:
    if isinstance(refs, AsyncIterable):
        return refs
    if not isinstance(refs, Iterable) or isinstance(refs, str | bytes):
        raise TypeError(f"expected refs, in an iterable of any kind, not {refs!r:.80}")
    return _of_iterable(refs)


async def _of_iterable(refs: Iterable[TaskRef[Any] | str]) -> AsyncIterator[TaskRef[Any] | str]:
    for ref in refs:
        yield ref


def _text(ref: TaskRef[Any] | str) -> str:
    if isinstance(ref, str):
        return str(parse_ref(ref))
    if not isinstance(ref, TaskRef):
        raise TypeError(f"expected an ImageRef or a VideoRef, not {ref!r:.80}")
    return str(ref)
