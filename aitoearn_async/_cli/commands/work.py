"""The work of commands, which is imported when one is run: help is quick."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

_ROOM = __name__.removesuffix("commands.work") + "run"


def does(work: str) -> Callable[[Callable[[], None]], Callable[..., Any]]:
    """Give a command, of which there are its name and its help, its work.

    Args:
        work: A function of the room `run`: `module.function`. It takes all options.
    """
    module, name = work.split(".")

    def decorate(command: Callable[[], None]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(**options: Any) -> Any:
            from ..run.execute import execute

            done = getattr(importlib.import_module(f"{_ROOM}.{module}"), name)(**options)
            return execute(done) if inspect.iscoroutine(done) else done

        return run

    return decorate
