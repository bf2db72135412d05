"""The buckets of the histograms, in seconds: the same for OpenTelemetry and Prometheus."""

from __future__ import annotations

WAIT = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
SUBMIT = tuple(0.01 * 2**doublings for doublings in range(14))
"""As the conventions for generative AI have it."""
NOTICE = (0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 60)
