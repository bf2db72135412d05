"""A place where spans and metrics are recorded, and read back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

from aitoearn_async.telemetry import OpenTelemetry


class Recorder(SpanProcessor):
    """Spans and metrics of one test."""

    def __init__(self) -> None:
        self.started = 0
        self.spans: list[ReadableSpan] = []
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(self)
        self._reader = InMemoryMetricReader()
        self._meters = MeterProvider([self._reader], shutdown_on_exit=False)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.started += 1

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)

    def observer(self, **options: Any) -> OpenTelemetry:
        return OpenTelemetry(tracer_provider=self.tracers, meter_provider=self._meters, **options)

    @property
    def only(self) -> ReadableSpan:
        """The one span there is; it has ended, and was the only one that began."""
        assert self.started == len(self.spans) == 1
        return self.spans[0]

    def told(self, name: str) -> list[Any]:
        """An attribute, of each span that has it."""
        return [
            span.attributes[name]
            for span in self.spans
            if span.attributes is not None and name in span.attributes
        ]

    def points(self) -> Iterator[tuple[str, dict[str, Any], Any]]:
        """Every metric point: name, attributes, and the point."""
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        yield metric.name, dict(point.attributes or {}), point

    def counts(self, metric: str, *by: str) -> dict[tuple[Any, ...], int]:
        """The counts of a metric, by some of its attributes; those of a histogram are how many."""
        found: Counter[tuple[Any, ...]] = Counter()
        for name, attributes, point in self.points():
            if name == metric:
                number = point.value if hasattr(point, "value") else point.count
                found[tuple(attributes.get(attribute) for attribute in by)] += number
        return dict(found)

    def everything(self) -> str:
        """All that was recorded, as text."""
        spans = "".join(span.to_json() for span in self.spans)
        return spans + "".join(f"{name}{attributes}" for name, attributes, _ in self.points())


def events(span: ReadableSpan) -> list[str]:
    """The names of a span's events, without what they have in common."""
    return [event.name.removeprefix("aitoearn.") for event in span.events]
