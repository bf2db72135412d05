"""A fleet: tasks that outlive the process that waits for them.

Refs are kept by an engine (Postgres, Redis or Valkey, or a SQLite file), any number of workers
wait for them, and any number of readers get the outcomes. Everything public of it stands here.
It is written on top of the package, as a user's code would be, and nothing in the package
imports it.

    fleet                       the object that a user holds
    adding, worker, reader,     what it does: `add`, `work`, `outcomes`, `status`
        status
    source, recorder, sharing   of a worker: refs in, outcomes out, and how many of them
    membership                  of a worker or a reader: a lease that is renewed
    ledger                      the rules: who may do what with a ref, in every engine
    sqlite, postgres, redis     the ledger of an engine: which statements, in which order
    NAME_statements, _scripts   the statements
    NAME_connection, _file      the way to the engine: `connection`, and what is its own
    patience, cancelled         calls that are repeated, and that are cancelled
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
