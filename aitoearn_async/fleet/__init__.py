"""A fleet: tasks that outlive the process that waits for them.

Refs are kept by an engine (Postgres, Redis or Valkey, or a SQLite file), any number of workers
wait for them, and any number of readers get the outcomes. Everything public of it stands here.
It is written on top of the package, as a user's code would be, and nothing in the package
imports it.
"""

from .errors import FleetError, FleetNotFoundError, FleetUnavailableError
from .fleet import Fleet
from .reader import Outcomes
from .status import FleetMember, FleetStatus

__all__ = [
    "Fleet",
    "FleetError",
    "FleetMember",
    "FleetNotFoundError",
    "FleetStatus",
    "FleetUnavailableError",
    "Outcomes",
]
