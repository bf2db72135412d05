"""The base of all observers: each method is called at its moment, and does nothing by itself."""

from __future__ import annotations

from .operations import BreakerChange, Operation, Poll, Wait


class Observer:
    """A base to write your own observer on: override what you want to hear of.

        class Slow(Observer):
            def ended(self, operation):
                if operation.seconds > 60:
                    print(operation)

        client = Client(telemetry=Slow())

    Methods are called on the client's event loop and must not block. What they raise is logged,
    once for each observer, and disturbs nothing. One observer may have many clients.
    """

    def began(self, operation: Operation) -> None:
        """Hear that a `Wait`, a `Submit` or a `Download` has begun."""

    def entered(self, operation: Operation) -> None:
        """Hear that from here to `left`, the running task works for this operation.

        Of a wait that is all of it, up to each change where it is iterated; of one in a batch it
        is each of its polls.
        """

    def left(self, operation: Operation) -> None:
        """Hear that the running task does not work for this operation any more."""

    def polled(self, wait: Wait, poll: Poll) -> None:
        """Hear of a poll. `wait` still tells how things stood before it."""

    def ended(self, operation: Operation) -> None:
        """Hear that an operation is over. It comes exactly once, however that was."""

    def breaker_changed(self, change: BreakerChange) -> None:
        """Hear that the state of a client's circuit breaker is another one."""
