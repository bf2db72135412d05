"""Blocking calls in threads of our own: bounded, in order, and gone in the end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from aitoearn_async._runtime.threads import GRACE_SECONDS, Threads


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop turn until something that a thread does is so."""
    while not is_so():  # noqa: ASYNC110 - threads have no events of asyncio's
        await asyncio.sleep(0)


async def test_what_a_call_returns_or_raises_comes_through() -> None:
    calls = Threads(2).calls()
    assert await calls.call(divmod, 7, 3) == (2, 1)
    with pytest.raises(ZeroDivisionError):
        await calls.call(divmod, 7, 0)
    with pytest.raises(KeyboardInterrupt):
        await calls.call(_interrupt)


def _interrupt() -> None:
    raise KeyboardInterrupt


async def test_no_more_threads_than_wanted() -> None:
    """And those there are do all the work."""
    threads, free, seen = Threads(3), threading.Event(), set[str]()

    def work() -> None:
        seen.add(threading.current_thread().name)
        free.wait(250)

    jobs = [threads.start(work) for _ in range(20)]
    await until(lambda: len(seen) == 3)
    free.set()
    await asyncio.gather(*jobs)
    assert len(seen) == 3
    threads.leave()


@pytest.fixture
def long_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take its time for what is short elsewhere."""
    monkeypatch.setattr("aitoearn_async._runtime.threads.GRACE_SECONDS", 250.0)


@pytest.mark.usefixtures("long_grace")
@pytest.mark.parametrize("times", [1, 3])
async def test_a_cancelled_call_lets_a_short_one_end(times: int) -> None:
    """No file is closed under a thread that is about to be done with it, however often one asks."""
    calls, begun, free = Threads(1).calls(), threading.Event(), threading.Event()
    ended: list[bool] = []

    def short() -> None:
        begun.set()
        ended.append(free.wait(100))

    call = asyncio.ensure_future(calls.call(short))
    await until(begun.is_set)
    for _ in range(times):
        call.cancel()
        await asyncio.sleep(0)
    assert not call.done()
    free.set()
    await asyncio.wait([call])
    assert call.cancelled()
    assert ended == [True]


async def test_a_cancelled_call_does_not_wait_for_a_stalled_one() -> None:
    """That is left to itself, and cleans up when it is done."""
    calls, free, begun = Threads(1).calls(), threading.Event(), threading.Event()
    order: list[str] = []

    def stalled() -> None:
        begun.set()
        free.wait(250)
        order.append("done")

    call = asyncio.ensure_future(calls.call(stalled))
    await until(begun.is_set)
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()
    await calls.end(lambda: order.append("cleaned up"))
    assert order == []
    free.set()
    await until(lambda: len(order) == 2)
    assert order == ["done", "cleaned up"]


async def test_the_cleanup_comes_at_once_where_nothing_is_under_way() -> None:
    calls, cleaned = Threads(1).calls(), list[int]()
    await calls.call(int)
    await calls.end(lambda: cleaned.append(1))
    assert cleaned == [1]


@pytest.mark.usefixtures("long_grace")
async def test_a_cancelled_cleanup_that_is_short_ends_first() -> None:
    """What it writes is written, and what it has locked is free, when the call has ended."""
    calls, begun, free = Threads(1).calls(), threading.Event(), threading.Event()
    cleaned: list[bool] = []

    def clean_up() -> None:
        begun.set()
        cleaned.append(free.wait(100))

    end = asyncio.ensure_future(calls.end(clean_up))
    await until(begun.is_set)
    for _ in range(3):
        end.cancel()
        await asyncio.sleep(0)
    assert not end.done()
    free.set()
    await asyncio.wait([end])
    assert end.cancelled()
    assert cleaned == [True]


async def test_a_cancelled_cleanup_that_stalls_goes_on_alone() -> None:
    calls, begun, free = Threads(1).calls(), threading.Event(), threading.Event()
    cleaned: list[bool] = []

    def clean_up() -> None:
        begun.set()
        cleaned.append(free.wait(250))

    end = asyncio.ensure_future(calls.end(clean_up))
    await until(begun.is_set)
    end.cancel()
    await asyncio.wait([end])
    assert end.cancelled()
    assert cleaned == []
    free.set()
    await until(lambda: cleaned == [True])


async def test_a_cleanup_that_stalls_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread goes on with it; the call has ended."""
    monkeypatch.setattr("aitoearn_async._runtime.threads._CLEANUP_SECONDS", 0.05)
    calls, free, cleaned = Threads(1).calls(), threading.Event(), list[bool]()
    await calls.end(lambda: cleaned.append(free.wait(5)))
    assert cleaned == []
    free.set()
    await until(lambda: cleaned == [True])


async def test_they_end_when_they_are_let_go() -> None:
    threads = Threads(2, "to be let go")
    await asyncio.gather(threads.start(time.sleep, 0.01), threads.start(time.sleep, 0.01))
    threads.leave()
    await until(lambda: not any("let go" in thread.name for thread in threading.enumerate()))
    assert await threads.start(int) == 0
    threads.leave()


async def test_calls_that_had_to_queue_leave_no_later_one_without_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever was called before: when all threads have ended, a call begins one."""
    monkeypatch.setattr("aitoearn_async._runtime.threads._IDLE_SECONDS", 0.01)
    threads = Threads(2, "had a queue")
    for _ in range(2):
        assert sum(await asyncio.gather(*(threads.start(int, n) for n in range(8)))) == 28
        await until(lambda: not any("a queue" in each.name for each in threading.enumerate()))
    assert await threads.start(int) == 0
    threads.leave()


async def test_where_no_thread_is_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a lack of this machine, and the next call may well have one."""
    threads = Threads(2)

    def no_room(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_room)
        calls, cleaned = threads.calls(), list[int]()
        with pytest.raises(OSError, match="can't start new thread"):
            await calls.call(int)
        await calls.end(lambda: cleaned.append(1))
        assert cleaned == [1]
    assert await threads.calls().call(int) == 0
    threads.leave()


async def test_where_no_further_thread_is_to_be_had_those_there_are_do_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads, free, begun = Threads(2), threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        free.wait(250)

    first = threads.start(hold)
    await until(begun.is_set)

    def no_room(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_room)
    second = threads.start(int)
    await asyncio.sleep(0)
    assert not second.done()
    free.set()
    assert await second == 0
    await first
    threads.leave()


async def test_what_is_cancelled_in_the_queue_is_not_begun() -> None:
    threads, free, begun = Threads(1), threading.Event(), list[int]()
    first = threads.start(free.wait, 250)
    second = threads.start(begun.append, 2)
    second.cancel()
    await asyncio.sleep(0)  # the loop tells the thread's side in its next turn
    free.set()
    await first
    assert await threads.start(int) == 0
    assert begun == []
    threads.leave()


STALLED = f"""
import asyncio, time
from aitoearn_async._runtime.threads import Threads
async def main():
    call = asyncio.ensure_future(Threads(1).calls().call(time.sleep, 3600))
    await asyncio.sleep(0.1)
    call.cancel()
    await asyncio.wait([call], timeout=10 * {GRACE_SECONDS})
asyncio.run(main())
"""


def test_a_stalled_thread_does_not_hold_up_the_end_of_a_program() -> None:
    subprocess.run([sys.executable, "-c", STALLED], check=True, timeout=250)
