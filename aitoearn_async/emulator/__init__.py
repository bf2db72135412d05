"""A server that behaves like the service, for tests and demos, and a clock that jumps.

Everything public of the emulator stands here. It is written on top of the package, as a
user's code would be, and nothing in the package imports it.
"""

from .clock import VirtualTimeLoop
from .faults import Fault
from .request import Request
from .server import Emulator

__all__ = ["Emulator", "Fault", "Request", "VirtualTimeLoop"]
