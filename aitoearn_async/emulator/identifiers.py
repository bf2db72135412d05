"""The ids that the service gives to rows and requests."""

from __future__ import annotations

import itertools
import random
import re
import string
from datetime import datetime
from typing import Final

from aitoearn_async import AnyRef

OBJECT_ID: Final = re.compile(r"[0-9a-fA-F]{24}")
"""An id of the service's database."""
_REQUEST_ID_ALPHABET: Final = string.digits + string.ascii_lowercase
_random: Final = random.Random()  # of its own: a test may have set the seed of the module's
_counter: Final = itertools.count()


def key_of(ref: AnyRef) -> AnyRef:
    """Return the ref in the spelling it is stored under: hex digits are alike in either case."""
    lower = ref.id.lower()
    return type(ref)(lower) if lower != ref.id and OBJECT_ID.fullmatch(lower) else ref


def object_id(date: datetime) -> str:
    """Return an id as the service's database makes one: the date in seconds, noise, a counter."""
    noise, number = _random.getrandbits(40), next(_counter) % (1 << 24)
    return f"{int(date.timestamp()):08x}{noise:010x}{number:06x}"


def request_id() -> str:
    """Return a request id as the service makes one."""
    return "".join(_random.choices(_REQUEST_ID_ALPHABET, k=21))
