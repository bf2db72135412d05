"""The exactness of times."""

from __future__ import annotations

ROUNDING = 1e-6
"""Seconds. What is added to a `loop.time()` and taken off again comes back a little more, or less,
and how much depends on where the clock began: by far less than this, which matters to nobody."""
