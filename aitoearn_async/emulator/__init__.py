"""The service in a box, for tests and demos: its answers, its faults, and a clock that jumps.

Everything public of the emulator stands here. It is written on top of the package, as a
user's code would be, and nothing in the package imports it.
"""

from .clock import VirtualTimeLoop
from .desk import Request
from .faults import Fault
from .server import Emulator

__all__ = ["Emulator", "Fault", "Request", "VirtualTimeLoop"]
