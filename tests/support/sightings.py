"""The places in which an API key could be seen: all that shows or stores an error, or anything.

What is done about a sighting is not known here.
"""

from __future__ import annotations

import contextlib
import copy
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path

import aitoearn_async
from aitoearn_async import AiToEarnError

from .raw_server import KEY

PACKAGE = str(Path(aitoearn_async.__file__).parent)
MARKER = KEY[3:-7]
"""The middle of the key: enough to know it by, and not lost when it is cut at either end."""


def is_seen(text: str | bytes) -> bool:
    """Return whether the key, or most of it, stands in there in any case of letters."""
    wanted: str | bytes = MARKER if isinstance(text, str) else MARKER.encode()
    return wanted in text.lower()  # type: ignore[operator]


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, what it came of, and what was going on meanwhile."""
    seen: list[BaseException] = []
    rest: list[BaseException | None] = [error]
    while rest:
        one = rest.pop()
        if one is None or any(one is other for other in seen):
            continue
        seen.append(one)
        yield one
        rest += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            rest += one.exceptions


def told_by(error: BaseException) -> Iterator[str | bytes]:
    """Yield all that an error says: texts, attributes, notes, causes, frames' locals, pickles.

    The frames of whoever called the package are his own: he has the key, after all.
    """
    for one in chain(error):
        yield from (str(one), repr(one), repr(vars(one)), repr(one.args))
        yield from getattr(one, "__notes__", ())
    frames = error.__traceback__
    while frames is not None and PACKAGE not in frames.tb_frame.f_code.co_filename:
        frames = frames.tb_next
    for compact in (False, True):
        shown = traceback.TracebackException(
            type(error), error, frames, capture_locals=True, compact=compact
        )
        yield "".join(shown.format())
    if isinstance(error, AiToEarnError):
        yield from stored_by(error)
        yield str(copy.copy(error))


def stored_by(thing: object) -> Iterator[bytes]:
    """Yield its pickle, if it has one."""
    with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError):
        yield pickle.dumps(thing)
