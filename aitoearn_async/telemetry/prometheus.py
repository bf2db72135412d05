"""Prometheus: counters, histograms and a gauge, by the official client."""

from __future__ import annotations

import functools
import threading

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from . import buckets
from .observer import Observer
from .operations import BreakerChange, Operation, Poll, Submit, Wait

_making = threading.Lock()
"""Clients of two threads make their observers at the same time, and a registry refuses the second
metric of a name."""


class Prometheus(Observer):
    """Counts what a client does, for Prometheus.

        client = Client(telemetry=Prometheus())

    The metrics are `aitoearn_polls_total`, `aitoearn_wait_seconds` (its count is that of the
    waits), `aitoearn_time_to_notice_seconds`, `aitoearn_submit_seconds` and
    `aitoearn_breaker_clients`.

    Args:
        registry: The registry of the metrics, one for all observers. Default: the global one.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        with _making:
            self._metrics = _Metrics(registry)

    def polled(self, wait: Wait, poll: Poll) -> None:
        if poll.result != "held":
            self._metrics.polls.labels(wait.ref.kind, poll.result).inc()

    def ended(self, operation: Operation) -> None:
        seconds, outcome = operation.seconds or 0.0, operation.outcome
        if isinstance(operation, Wait):
            kind = operation.ref.kind
            self._metrics.waits.labels(kind, outcome).observe(seconds)
            if operation.noticed_after is not None:
                self._metrics.notice.labels(kind).observe(operation.noticed_after)
        elif isinstance(operation, Submit):
            self._metrics.submits.labels(operation.request.kind, outcome).observe(seconds)

    def breaker_changed(self, change: BreakerChange) -> None:
        if change.before is not None:
            self._metrics.breakers.labels(change.address, change.before).dec()
        if change.after is not None:
            self._metrics.breakers.labels(change.address, change.after).inc()


@functools.cache
class _Metrics:
    """The metrics in a registry, which takes each name once."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.polls = Counter(
            "aitoearn_polls",
            "Polls that came back, by what they brought",
            ["kind", "result"],
            registry=registry,
        )
        self.waits = Histogram(
            "aitoearn_wait_seconds",
            "Duration of waits, by outcome",
            ["kind", "outcome"],
            buckets=buckets.WAIT,
            registry=registry,
        )
        self.notice = Histogram(
            "aitoearn_time_to_notice_seconds",
            "Delay from the end of a task, by the service's dates, to its being noticed",
            ["kind"],
            buckets=buckets.NOTICE,
            registry=registry,
        )
        self.submits = Histogram(
            "aitoearn_submit_seconds",
            "Duration of submits, by outcome",
            ["kind", "outcome"],
            buckets=buckets.SUBMIT,
            registry=registry,
        )
        self.breakers = Gauge(
            "aitoearn_breaker_clients",
            "Clients whose circuit breaker is in this state",
            ["address", "state"],
            registry=registry,
        )
