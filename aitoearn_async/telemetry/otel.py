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
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry import context, metrics, trace
from opentelemetry.trace import SpanKind, StatusCode

from .._version import __version__
from . import buckets
from .observer import Observer
from .operations import NO_FAILURE, BreakerChange, Download, Operation, Poll, Submit, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..contract.kinds import AnyRef

SCHEMA_URL = "https://opentelemetry.io/schemas/1.40.0"
"""The version of the semantic conventions."""

_NAME = "aitoearn_async"
_PROVIDER = "aitoearn"
_SECONDS_BETWEEN_FLUSHES = 1.0
"""Seconds for which polls are counted here before they are added to the counter. To add takes a
tenth of the time of a poll."""
_LONGEST_STATUS = 200
# Instrumentations of HTTP clients look for this key. It is not a public name of the API (yet).
_SUPPRESS_HTTP: str = getattr(context, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "no such key")


class OpenTelemetry(Observer):
    """Tells OpenTelemetry what a client does.

        client = Client(telemetry=OpenTelemetry())

    Spans are children of the one that is current where the wait, submit or download is begun.
    Meanwhile instrumentations of HTTP clients make no spans for these requests: the addresses of
    files are signed, and a poll is not worth a span.

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

        def histogram(name: str, description: str, bounds: Sequence[float]) -> metrics.Histogram:
            return meter.create_histogram(
                name, "s", description, explicit_bucket_boundaries_advisory=bounds
            )

        self._polls = meter.create_counter(
            "aitoearn.client.polls", "{poll}", "Polls that came back, by what they brought"
        )
        self._waits = histogram(
            "aitoearn.client.wait.duration", "Duration of waits, by outcome", buckets.WAIT
        )
        self._notice = histogram(
            "aitoearn.client.wait.time_to_notice",
            "Delay from the end of a task, by the service's dates, to its being noticed",
            buckets.NOTICE,
        )
        self._breakers = meter.create_up_down_counter(
            "aitoearn.client.breaker.state",
            "{client}",
            "Clients whose circuit breaker is in this state",
        )
        self._submits = histogram(
            "gen_ai.client.operation.duration", "Duration of submits", buckets.SUBMIT
        )
        self._contexts: dict[Operation, context.Context] = {}  # each holds the operation's span
        self._entered: dict[Operation, tuple[context.Context, Any]] = {}
        self._counted: Counter[tuple[str, str, str, str | None]] = Counter()
        self._counting = threading.Lock()  # clients of several threads may share an observer
        self._flush_at = -math.inf

    def began(self, operation: Operation) -> None:
        span = self._tracer.start_span(
            _span_name(operation),
            kind=SpanKind.CLIENT,
            attributes=self._attributes_of(operation),
            start_time=int(operation.began * 1e9),
        )
        inside = trace.set_span_in_context(span)
        self._contexts[operation] = context.set_value(_SUPPRESS_HTTP, True, inside)

    def entered(self, operation: Operation) -> None:
        inside = self._contexts[operation]
        self._entered[operation] = inside, context.attach(inside)

    def left(self, operation: Operation) -> None:
        inside, token = self._entered.pop(operation)  # it may have ended meanwhile
        # Another context is current if the garbage collector closes an abandoned coroutine.
        if context.get_current() is inside:
            context.detach(token)

    def polled(self, wait: Wait, poll: Poll) -> None:
        error = poll.error
        if poll.result != "held":
            kind = None if error is None else _error_type(error)
            with self._counting:
                self._counted[wait.address, wait.ref.kind, poll.result, kind] += 1
            if (now := monotonic()) >= self._flush_at:
                self._flush(now)
        if error is not None:
            if getattr(error, "label", None) != wait.trouble:
                self._note(wait, "aitoearn.poll.trouble", self._error_attributes(error))
            return
        if wait.trouble is not None:
            self._note(wait, "aitoearn.poll.recovered")
        if poll.status != wait.status:
            status = {
                "aitoearn.task.status": _status(poll.status),
                "aitoearn.task.previous_status": _status(wait.status),
            }
            self._note(wait, "aitoearn.task.status_changed", _known(status))

    def _note(self, wait: Wait, event: str, attributes: Mapping[str, Any] | None = None) -> None:
        trace.get_current_span(self._contexts[wait]).add_event(event, attributes)

    def ended(self, operation: Operation) -> None:
        inside = self._contexts.pop(operation)
        span = trace.get_current_span(inside)
        span.set_attributes(self._end_attributes(operation))
        if operation.outcome not in NO_FAILURE:
            text = str(operation.error) if self._content and operation.error else None
            span.set_status(StatusCode.ERROR, text)
        self._measure(operation, inside)
        span.end()
        now = monotonic()
        if now >= self._flush_at or not self._contexts:
            self._flush(now)

    def breaker_changed(self, change: BreakerChange) -> None:
        for state, amount in ((change.before, -1), (change.after, 1)):
            if state is not None:
                attributes = {**_server(change.address), "aitoearn.breaker.state": state}
                self._breakers.add(amount, attributes)

    def _measure(self, operation: Operation, inside: context.Context) -> None:
        seconds, server = operation.seconds or 0.0, _server(operation.address)
        if isinstance(operation, Wait):
            attributes = {**server, "aitoearn.task.kind": operation.ref.kind}
            if operation.noticed_after is not None:
                self._notice.record(operation.noticed_after, attributes, inside)
            ended = {"aitoearn.outcome": operation.outcome, **_failure(operation)}
            self._waits.record(seconds, {**attributes, **ended}, inside)
        elif isinstance(operation, Submit):
            attributes = {**server, **_gen_ai(operation), **_failure(operation)}
            self._submits.record(seconds, attributes, inside)

    def _flush(self, now: float) -> None:
        self._flush_at = now + _SECONDS_BETWEEN_FLUSHES
        with self._counting:
            counted, self._counted = self._counted, Counter()
        for (address, kind, result, error), number in counted.items():
            attributes = {
                "aitoearn.task.kind": kind,
                "aitoearn.poll.result": result,
                "error.type": error,
            }
            self._polls.add(number, {**_server(address), **_known(attributes)})

    def _attributes_of(self, operation: Operation) -> dict[str, Any]:
        server = _server(operation.address)
        if not isinstance(operation, Submit):
            assert isinstance(operation, Wait | Download)
            return {**server, **_task(operation.ref)}
        request = operation.request
        attributes = {
            "gen_ai.output.type": request.kind,
            "gen_ai.request.choice.count": getattr(request, "n", None),
            "gen_ai.input.messages": _messages(request.prompt) if self._content else None,
        }
        return {**server, **_gen_ai(operation), **_known(attributes)}

    def _end_attributes(self, operation: Operation) -> dict[str, Any]:
        attributes: dict[str, Any] = {"aitoearn.outcome": operation.outcome}
        attributes |= _failure(operation)
        if operation.error is not None:
            attributes |= self._error_attributes(operation.error)
        if isinstance(operation, Wait):
            attributes |= _wait_attributes(operation)
        elif isinstance(operation, Submit) and operation.ref is not None:
            attributes |= _task(operation.ref)
        elif isinstance(operation, Download):
            attributes["aitoearn.download.files"] = len(operation.paths)
        return attributes

    def _error_attributes(self, error: BaseException) -> dict[str, Any]:
        attributes = {
            "error.type": _error_type(error),
            "aitoearn.error.label": getattr(error, "label", None),
            "aitoearn.request_id": getattr(error, "request_id", None),
            "http.response.status_code": getattr(error, "http_status", None),
            "error.message": str(error) if self._content else None,
        }
        return _known(attributes)


def _known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that have a value."""
    return {name: value for name, value in attributes.items() if value is not None}


def _status(word: str | None) -> str | None:
    return None if word is None else word[:_LONGEST_STATUS]


def _span_name(operation: Operation) -> str:
    if isinstance(operation, Submit):
        return f"generate_content {operation.request.model}"
    assert isinstance(operation, Wait | Download)
    return f"{type(operation).__name__.lower()} {operation.ref.kind}"


@functools.lru_cache(maxsize=64)
def _server(address: str) -> Mapping[str, str | int]:
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname or address, "server.port": port}


def _task(ref: AnyRef) -> dict[str, str]:
    return {"aitoearn.task.id": ref.id, "aitoearn.task.kind": ref.kind}


def _gen_ai(submit: Submit) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": _PROVIDER,
        "gen_ai.request.model": submit.request.model,
    }


def _messages(prompt: str) -> str:
    part = {"type": "text", "content": prompt}
    return json.dumps([{"role": "user", "parts": [part]}], ensure_ascii=False)


def _wait_attributes(wait: Wait) -> dict[str, Any]:
    task = wait.task
    attributes = {
        "aitoearn.task.status": _status(wait.status),
        "aitoearn.task.points": getattr(task, "points", None),
        "aitoearn.wait.polls": wait.polls,
        "aitoearn.wait.time_to_notice": wait.noticed_after,
        "gen_ai.request.model": None if task is None else task.model,
    }
    return _known(attributes)


def _failure(operation: Operation) -> dict[str, Any]:
    """Return the type of what went wrong, if anything did."""
    if operation.error is not None and operation.outcome not in NO_FAILURE:
        return {"error.type": _error_type(operation.error)}
    return {"error.type": "TaskFailedError"} if operation.outcome == "failed" else {}


def _error_type(error: BaseException) -> str:
    return type(error).__qualname__
