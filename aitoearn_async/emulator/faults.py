"""The faults of one answer, as data.

A `Fault` says what is to happen; `wire` does it to a socket.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product, repeat
from typing import Final, Literal

from aitoearn_async import AnyRef

_ENDINGS: Final = (
    *("status", "code", "redirect", "garbage", "truncate", "echo"),
    *("stall", "reset", "close", "raw"),
)
_HEADLESS: Final = frozenset(["reset", "close", "raw"])
"""Endings without an HTTP head of the emulator's, to which headers could be added."""
_ON_THE_WAY: Final = frozenset([None, "truncate", "garbage", "echo"])
"""Endings that spoil an answer that the service has given."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong with an answer.

    A fault has at most one ending. `delay` goes with any ending, and with none. A proxy's
    error page after three seconds is `Fault(delay=3.0, status=502)`.

    Args:
        delay: Wait before the answer, in seconds on the event loop's clock. The task's
            status is looked up after it.
        headers: HTTP headers added to the answer, or put in place of those of that name.
        status: Answer with this HTTP status (200-999) in place of the service's answer.
        body: The body to go with `status`. Default: an HTML page like a proxy's from 400 on,
            nothing below. Its `Content-Type` is `text/html` unless `headers` say otherwise.
        code: The service refuses: this business code in an envelope, HTTP 200.
        message: The message to go with `code`. Default: the service's own.
        redirect: Answer 302 to this URL.
        garbage: Answer 200 `application/json` with bytes that are not JSON.
        truncate: Announce the whole answer, send this many bytes of its body, then close.
        echo: Answer rightly, but for the task of this id.
        stall: Never finish. `"head"`: send nothing at all; `"body"`: send the head and half
            of the body. Ends when the client leaves or the emulator closes.
        reset: Reset the connection (TCP RST) in place of an answer.
        close: Close the connection (TCP FIN) in place of an answer.
        raw: Send these bytes in place of the whole HTTP response, then close.
        creates: True if a submit that meets it creates its task all the same: the answer is
            lost, not the request. Default: yes if the service's own answer is spoiled on its
            way (`delay`, `headers`, `truncate`, `garbage`, `echo`, `stall="body"`), no if it
            never gives one. A connection that ends with no task created (`reset`, `close`)
            does so while the body is still on its way.

    Raises:
        ValueError: There is nothing in it, or more than one ending, or a value makes no
            sense.
    """

    delay: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    status: int | None = None
    body: bytes | str | None = None
    code: int | None = None
    message: str | None = None
    redirect: str | None = None
    garbage: bool = False
    truncate: int | None = None
    echo: str | None = None
    stall: Literal["head", "body"] | None = None
    reset: bool = False
    close: bool = False
    raw: bytes | None = None
    creates: bool | None = None

    def __post_init__(self) -> None:
        problem = next(self._problems(), None)
        if problem is not None:
            raise ValueError(problem)

    @property
    def ending(self) -> str | None:
        """The name of the argument that says how the answer ends; `None`: it ends well."""
        return next(iter(self._endings()), None)

    @property
    def loses_only_the_answer(self) -> bool:
        """Return whether a submit that meets it creates its task; see `creates`."""
        if self.creates is not None:
            return self.creates
        return self.ending in _ON_THE_WAY or self.stall == "body"

    @property
    def interrupts(self) -> bool:
        """Return whether it ends the connection before the body of a submit is read."""
        return (self.reset or self.close) and not self.loses_only_the_answer

    def _endings(self) -> list[str]:
        # Compared by identity: `truncate=0` is an ending, and 0 equals False.
        return [
            name
            for name in _ENDINGS
            if (value := getattr(self, name)) is not None and value is not False
        ]

    def _problems(self) -> Iterator[str]:
        endings = self._endings()
        if len(endings) > 1:
            yield f"an answer has one ending, not {' and '.join(endings)}"
        if self.body is not None and self.status is None:
            yield "body goes with status"
        if self.message is not None and self.code is None:
            yield "message goes with code"
        if self.headers and (self.ending in _HEADLESS or self.stall == "head"):
            yield f"headers do not go with {self.ending}"
        yield from self._bad_values()
        if not (endings or self.delay or self.headers):
            yield "this fault does nothing"

    def _bad_values(self) -> Iterator[str]:
        if not (math.isfinite(self.delay) and self.delay >= 0):
            yield f"delay is a number of seconds, 0 or more, not {self.delay!r}"
        if self.status is not None and not 200 <= self.status <= 999:
            yield f"status is a final HTTP status, 200-999, not {self.status!r}; see raw"
        for name, value in self.headers.items():
            if not isinstance(value, str) or set(value) & set("\r\n\0"):
                yield f"the header {name} is a line of text, not {value!r}"
        if self.code == 0:
            yield "code 0 means success"
        if self.truncate is not None and self.truncate < 0:
            yield f"truncate is a number of bytes, 0 or more, not {self.truncate!r}"
        if self.stall not in (None, "head", "body"):
            yield f'stall is "head" or "body", not {self.stall!r}'


FaultTarget = tuple[AnyRef | None, str | None, bool]
"""The requests that meet a fault: the task, the route, and whether files are asked for."""


class FaultQueues:
    """The faults that requests have yet to meet, in a queue for each target."""

    def __init__(self) -> None:
        self._queues: dict[FaultTarget, deque[repeat[Fault]]] = {}

    def add(self, fault: Fault, target: FaultTarget, times: int | None) -> None:
        """Queue a fault, to be met so many times; `None`: by all requests."""
        met = repeat(fault) if times is None else repeat(fault, times)
        self._queues.setdefault(target, deque()).append(met)

    def clear(self) -> None:
        """Forget all faults."""
        self._queues.clear()

    def take(self, ref: AnyRef | None, route: str | None, *, media: bool) -> Fault | None:
        """Return the fault that a request meets, and count it; `ref` is from `key_of`."""
        if not self._queues:
            return None
        for target in product(dict.fromkeys((ref, None)), dict.fromkeys((route, None)), (media,)):
            queue = self._queues.get(target)
            while queue:
                if (fault := next(queue[0], None)) is not None:
                    return fault
                queue.popleft()
        return None
