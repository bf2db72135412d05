"""OpenTelemetry: a span for each wait, submit and download, and metrics.

Only the API is used: what becomes of spans and metrics is up to the SDK that the program has set
up. Without one nothing is recorded. Names are those of the semantic conventions 1.40.0 where
there are any, and begin with `aitoearn.` elsewhere. No address of a file, no prompt and no text
of an error is recorded unless that is asked for, and the API key never.
"""

from __future__ import annotations

import functools
import json
import math
import threading
from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from opentelemetry import context, metrics, trace
from opentelemetry.trace import SpanKind, StatusCode

from .._version import __version__
from . import buckets
from .observer import Observer
from .operations import NO_FAILURE, BreakerChange, Download, Operation, Poll, Submit, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA_URL = "https://opentelemetry.io/schemas/1.40.0"
"""The version of the semantic conventions."""

_NAME = "aitoearn_async"
_PROVIDER = "aitoearn"
_SECONDS_BETWEEN_FLUSHES = 1.0
"""Seconds for which polls are counted here before the counter is told: that takes as long as a
tenth of a poll."""
_MOST_OF_A_WORD = 200
# Instrumentations of HTTP clients look for it. It is no public name of the API's (yet).
_SUPPRESS_HTTP: str = getattr(context, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "no such key")


class _Span(NamedTuple):
    """The span of an operation, the context that holds it, and the series its polls count in."""

    span: trace.Span
    context: context.Context
    series: tuple[str, str]


class OpenTelemetry(Observer):
    """Tells OpenTelemetry what a client does.

        client = Client(telemetry=OpenTelemetry())

    Spans are children of the one that is current where the wait, submit or download is begun.
    While it is on, instrumentations of HTTP clients make no spans of their own for these
    requests: addresses of files are signed, and a poll deserves none.

    Args:
        tracer_provider: The provider that spans go to. Default: the global one.
        meter_provider: The provider that metrics go to. Default: the global one.
        content: Record prompts and the texts of errors too. They may hold what people have
            written, and the service's words.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        content: bool = False,
    ) -> None:
        self._content = content
        self._tracer = trace.get_tracer(
            _NAME, __version__, tracer_provider=tracer_provider, schema_url=SCHEMA_URL
        )
        meter = metrics.get_meter(
            _NAME, __version__, meter_provider=meter_provider, schema_url=SCHEMA_URL
        )
        self._polls = meter.create_counter(
            "aitoearn.client.polls", "{poll}", "Polls that came back, by what they brought"
        )
        self._waits = meter.create_histogram(
            "aitoearn.client.wait.duration",
            "s",
            "Duration of waits, by outcome",
            explicit_bucket_boundaries_advisory=buckets.WAIT,
        )
        self._notice = meter.create_histogram(
            "aitoearn.client.wait.time_to_notice",
            "s",
            "Delay from the end of a task, by the service's dates, to its being noticed",
            explicit_bucket_boundaries_advisory=buckets.NOTICE,
        )
        self._breakers = meter.create_up_down_counter(
            "aitoearn.client.breaker.state",
            "{client}",
            "Clients whose circuit breaker is in this state",
        )
        self._submits = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "Duration of submits",
            explicit_bucket_boundaries_advisory=buckets.SUBMIT,
        )
        self._spans: dict[Operation, _Span] = {}
        self._entered: dict[Operation, tuple[context.Context, Any]] = {}
        self._counted: Counter[tuple[tuple[str, str], str, str | None]] = Counter()
        self._counting = threading.Lock()  # clients of several threads may share an observer
        self._flush_at = -math.inf

    def began(self, operation: Operation) -> None:
        span = self._tracer.start_span(
            _span_name(operation),
            kind=SpanKind.CLIENT,
            attributes=self._attributes_of(operation),
            start_time=int(operation.began * 1e9),
        )
        inside = context.set_value(_SUPPRESS_HTTP, True, trace.set_span_in_context(span))
        kind = operation.ref.kind if isinstance(operation, Wait) else ""
        self._spans[operation] = _Span(span, inside, (operation.address, kind))

    def entered(self, operation: Operation) -> None:
        inside = self._spans[operation].context
        self._entered[operation] = inside, context.attach(inside)

    def left(self, operation: Operation) -> None:
        inside, token = self._entered.pop(operation)  # it may have ended meanwhile
        # Elsewhere if a coroutine that nobody holds any more is closed by the collector.
        if context.get_current() is inside:
            context.detach(token)

    def polled(self, wait: Wait, poll: Poll) -> None:
        error, (span, _, series) = poll.error, self._spans[wait]
        if poll.result != "held":
            kind = None if error is None else _error_type(error)
            with self._counting:
                self._counted[series, poll.result, kind] += 1
            if (now := monotonic()) >= self._flush_at:
                self._flush(now)
        if error is None and poll.status == wait.status and wait.trouble is None:
            return
        if error is not None:
            if getattr(error, "label", None) != wait.trouble:
                span.add_event("aitoearn.poll.trouble", self._error_attributes(error))
            return
        if wait.trouble is not None:
            span.add_event("aitoearn.poll.recovered")
        if poll.status != wait.status:
            span.add_event("aitoearn.task.status_changed", _change(wait.status, poll.status))

    def ended(self, operation: Operation) -> None:
        span = self._spans.pop(operation).span
        span.set_attributes(self._end_attributes(operation))
        if operation.outcome not in NO_FAILURE:
            text = str(operation.error) if self._content and operation.error else None
            span.set_status(StatusCode.ERROR, text)
        self._measure(operation, trace.set_span_in_context(span))
        span.end()
        now = monotonic()
        if now >= self._flush_at or not self._spans:
            self._flush(now)

    def breaker_changed(self, change: BreakerChange) -> None:
        for state, amount in ((change.before, -1), (change.after, 1)):
            if state is not None:
                attributes = {**_server(change.address), "aitoearn.breaker.state": state}
                self._breakers.add(amount, attributes)

    def _measure(self, operation: Operation, inside: context.Context) -> None:
        seconds = operation.seconds or 0.0
        attributes = _server(operation.address)
        if isinstance(operation, Wait):
            attributes["aitoearn.task.kind"] = operation.ref.kind
            if operation.noticed_after is not None:
                self._notice.record(operation.noticed_after, attributes, inside)
            ended = {"aitoearn.outcome": operation.outcome, **_failure(operation)}
            self._waits.record(seconds, {**attributes, **ended}, inside)
        elif isinstance(operation, Submit):
            attributes |= {**_gen_ai(operation), **_failure(operation)}
            self._submits.record(seconds, attributes, inside)

    def _flush(self, now: float) -> None:
        self._flush_at = now + _SECONDS_BETWEEN_FLUSHES
        with self._counting:
            counted, self._counted = self._counted, Counter()
        for ((address, kind), result, error), number in counted.items():
            attributes = {
                **_server(address),
                "aitoearn.task.kind": kind,
                "aitoearn.poll.result": result,
            }
            if error is not None:
                attributes["error.type"] = error
            self._polls.add(number, attributes)

    def _attributes_of(self, operation: Operation) -> dict[str, Any]:
        attributes: dict[str, Any] = _server(operation.address)
        if isinstance(operation, Submit):
            request = operation.request
            attributes |= _gen_ai(operation)
            attributes["gen_ai.output.type"] = request.kind
            if (number := getattr(request, "n", None)) is not None:
                attributes["gen_ai.request.choice.count"] = number
            if self._content:
                part = {"type": "text", "content": request.prompt}
                messages = json.dumps([{"role": "user", "parts": [part]}], ensure_ascii=False)
                attributes["gen_ai.input.messages"] = messages
        else:
            assert isinstance(operation, Wait | Download)
            attributes["aitoearn.task.id"] = operation.ref.id
            attributes["aitoearn.task.kind"] = operation.ref.kind
        return attributes

    def _end_attributes(self, operation: Operation) -> dict[str, Any]:
        attributes: dict[str, Any] = {"aitoearn.outcome": operation.outcome}
        attributes |= _failure(operation)
        if operation.error is not None:
            attributes |= self._error_attributes(operation.error)
        if isinstance(operation, Wait):
            attributes |= _wait_attributes(operation)
        elif isinstance(operation, Submit) and operation.ref is not None:
            attributes["aitoearn.task.id"] = operation.ref.id
            attributes["aitoearn.task.kind"] = operation.ref.kind
        elif isinstance(operation, Download):
            attributes["aitoearn.download.files"] = len(operation.paths)
        return attributes

    def _error_attributes(self, error: BaseException) -> dict[str, Any]:
        told = {
            "error.type": _error_type(error),
            "aitoearn.error.label": getattr(error, "label", None),
            "aitoearn.request_id": getattr(error, "request_id", None),
            "http.response.status_code": getattr(error, "http_status", None),
            "error.message": str(error) if self._content else None,
        }
        return {name: value for name, value in told.items() if value is not None}


def _span_name(operation: Operation) -> str:
    if isinstance(operation, Submit):
        return f"generate_content {operation.request.model}"
    assert isinstance(operation, Wait | Download)
    return f"{type(operation).__name__.lower()} {operation.ref.kind}"


def _server(address: str) -> dict[str, Any]:
    host, port = _host_and_port(address)
    return {"server.address": host, "server.port": port}


@functools.lru_cache(maxsize=64)
def _host_and_port(address: str) -> tuple[str, int]:
    parts = urlsplit(address)
    return parts.hostname or address, parts.port or (443 if parts.scheme == "https" else 80)


def _gen_ai(submit: Submit) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": _PROVIDER,
        "gen_ai.request.model": submit.request.model,
    }


def _change(before: str | None, after: str | None) -> Mapping[str, str]:
    told = {"aitoearn.task.status": after, "aitoearn.task.previous_status": before}
    return {name: word[:_MOST_OF_A_WORD] for name, word in told.items() if word is not None}


def _wait_attributes(wait: Wait) -> dict[str, Any]:
    task = wait.task
    told = {
        "aitoearn.task.status": None if wait.status is None else wait.status[:_MOST_OF_A_WORD],
        "aitoearn.task.points": getattr(task, "points", None),
        "aitoearn.wait.polls": wait.polls,
        "aitoearn.wait.time_to_notice": wait.noticed_after,
        "gen_ai.request.model": None if task is None else task.model,
    }
    return {name: value for name, value in told.items() if value is not None}


def _failure(operation: Operation) -> dict[str, Any]:
    """Return the type of what went wrong, if anything did."""
    if operation.error is not None and operation.outcome not in NO_FAILURE:
        return {"error.type": _error_type(operation.error)}
    return {"error.type": "TaskFailedError"} if operation.outcome == "failed" else {}


def _error_type(error: BaseException) -> str:
    return type(error).__qualname__
