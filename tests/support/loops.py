"""Loops on which something is amiss with the time, and a way to run a test on one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVarTuple

from aitoearn_async.emulator import VirtualTimeLoop

Ts = TypeVarTuple("Ts")


class BlockableLoop(VirtualTimeLoop):
    """A loop that user code can hold up: time passes, and nothing is read meanwhile."""

    held = 0.0

    def time(self) -> float:
        return super().time() + self.held

    def hold(self, seconds: float) -> None:
        """Hold up the loop as `time.sleep` would, but in no time."""
        self.held += seconds


class CoarseLoop(VirtualTimeLoop):
    """A loop whose timers come a millisecond early, and whose clock creeps, as real ones do."""

    _looks = 0

    def time(self) -> float:
        self._looks += 1
        return super().time() + self._looks * 1e-5

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return super().call_at(when - 0.001, callback, *args, context=context)


def run(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], main: Coroutine[Any, Any, None]
) -> None:
    """Run a coroutine on a loop of that kind, and check that nothing complains to it."""
    complaints: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.get_loop().set_exception_handler(lambda _, about: complaints.append(about))
        runner.run(main)
    assert not complaints
