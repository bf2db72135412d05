"""Telemetry: the work of a client, for OpenTelemetry, Prometheus, structlog, or your own observer.

    from aitoearn_async import Client
    from aitoearn_async.telemetry import OpenTelemetry

    client = Client(telemetry=OpenTelemetry())

Everything public of it stands here. What needs another package is imported when it is first
used. Without `telemetry=` a client imports nothing of this.
"""

import importlib
from typing import TYPE_CHECKING

from .observer import Observer
from .operations import BreakerChange, Download, Operation, OperationOutcome, Poll, Submit, Wait

if TYPE_CHECKING:
    from .otel import OpenTelemetry
    from .prometheus import Prometheus
    from .structlog import Structlog

__all__ = [
    "BreakerChange",
    "Download",
    "Observer",
    "OpenTelemetry",
    "Operation",
    "OperationOutcome",
    "Poll",
    "Prometheus",
    "Structlog",
    "Submit",
    "Wait",
]

_EXTRAS = {"OpenTelemetry": "otel", "Prometheus": "prometheus", "Structlog": "structlog"}
"""Class -> its file, which has the name of the extra that brings the package it needs."""

if not TYPE_CHECKING:  # or checkers would take any name

    def __getattr__(name: str) -> object:
        """Import what needs another package when it is first used."""
        if name not in _EXTRAS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        extra = _EXTRAS[name]
        try:
            found = getattr(importlib.import_module(f".{extra}", __name__), name)
        except ModuleNotFoundError as missing:
            raise ImportError(
                f'{name} needs {missing.name}: install "aitoearn-async[{extra}]"'
            ) from missing
        globals()[name] = found
        return found
