#!/usr/bin/env bash
# OpenTelemetry's Prometheus exporter writes the labels of one meter's counter under another's names.
#
# Promised: a metric is identified by its meter and its name, so two libraries may have a counter of
#   the same name; the specification (Compatibility, Prometheus and OpenMetrics, "Instrumentation
#   Scope") keeps them apart by the label otel_scope_name, and turns each attribute into the label of
#   its own name.
# Seen: the two counters share one metric family, which has the label names of the first; the values
#   of the second are then matched to those names by position. Its own names are lost, and its
#   scope's name can end up under another label, or another value as the name of its scope.
# Costs: dashboards and alerts read status codes as kinds, without one error or warning.
# Known: the same mistake within one counter (open-telemetry/opentelemetry-python#4418) was repaired;
#   across meters no report was found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    opentelemetry-sdk==1.45.2 opentelemetry-exporter-prometheus==0.66b2 prometheus-client==0.26.0
"$place/venv/bin/python" - <<'EOF'
import sys
from importlib.metadata import version

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

for name in ("opentelemetry-sdk", "opentelemetry-exporter-prometheus", "prometheus-client"):
    print(name, version(name))

registry = CollectorRegistry()
meters = MeterProvider([PrometheusMetricReader(disable_target_info=True, registry=registry)])
wanted = {
    "poller": {"kind": "video"},
    "uploader": {"code": "200"},
    "server": {"code": "500", "kind": "image"},
}
for scope, attributes in wanted.items():
    meters.get_meter(scope).create_counter("requests").add(1, attributes)

page = generate_latest(registry).decode()
seen = {}
for family in text_string_to_metric_families(page):
    for sample in family.samples:
        labels = {k: v for k, v in sample.labels.items() if v and k != "otel_scope_name"}
        seen[sample.labels["otel_scope_name"]] = labels

print("expected:", wanted)
print("seen:    ", seen)
surprise = {
    "poller": {"kind": "video"},
    "uploader": {"kind": "200"},
    "image": {"kind": "500", "otel_scope_schema_url": "server"},
}
if seen != surprise:
    sys.exit("the behaviour has changed")
EOF
