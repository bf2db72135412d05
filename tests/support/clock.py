"""How exact a time can be."""

from __future__ import annotations

ROUNDING = 1e-6
"""Seconds. `loop.time()` begins elsewhere on each machine, so that what is added to it and taken
off again comes back a little more, or less: by far less than this, which matters to nobody."""
