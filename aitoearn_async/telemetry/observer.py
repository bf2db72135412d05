"""The base of all observers. Each method is called at its moment, and does nothing by itself."""

from __future__ import annotations

from .operations import BreakerChange, Operation, Poll, Wait


class Observer:
    """A base class for your own observer: override the methods that you need.

        class Slow(Observer):
            def ended(self, operation):
                if operation.seconds > 60:
                    print(operation)

        client = Client(telemetry=Slow())

    Methods are called on the client's event loop, and must not block nor be async. What they raise
    is logged, once for each observer, and disturbs nothing. One observer may have many clients.
    """

    def began(self, operation: Operation) -> None:
        """Called when a `Wait`, a `Submit` or a `Download` has begun."""

    def entered(self, operation: Operation) -> None:
        """Called when the running task begins to work for an operation, until `left`.

        Of a wait that is all of it, up to each change where it is iterated; of one in a batch it
        is each of its polls.
        """

    def left(self, operation: Operation) -> None:
        """Called when the running task no longer works for an operation."""

    def polled(self, wait: Wait, poll: Poll) -> None:
        """Called after a poll. `wait` still has the state before it."""

    def ended(self, operation: Operation) -> None:
        """Called when an operation is over: exactly once, however it ended."""

    def breaker_changed(self, change: BreakerChange) -> None:
        """Called when the circuit breaker of a client has changed its state."""
