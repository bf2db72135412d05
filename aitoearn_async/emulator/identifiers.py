"""The ids that the service gives to accounts, rows and requests."""

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


def key_of(ref: AnyRef) -> AnyRef:
    """Return the ref in the spelling it is stored under: hex digits are alike in either case."""
    lower = ref.id.lower()
    return type(ref)(lower) if lower != ref.id and OBJECT_ID.fullmatch(lower) else ref


class Identifiers:
    """A source of ids in the manner of the service's database."""

    def __init__(self) -> None:
        self._random = random.Random()
        self._counter = itertools.count()

    def object_id(self, date: datetime) -> str:
        """Return 24 hex digits: the date in seconds, noise, a counter."""
        noise = self._random.getrandbits(40)
        number = next(self._counter) % (1 << 24)
        return f"{int(date.timestamp()):08x}{noise:010x}{number:06x}"

    def request_id(self) -> str:
        """Return a request id as the service makes one."""
        return "".join(self._random.choices(_REQUEST_ID_ALPHABET, k=21))


class Accounts:
    """The accounts of the service, one for each API key."""

    def __init__(self, api_key: str) -> None:
        self._ids: dict[str, str] = {}
        self.of(api_key)

    def of(self, api_key: str) -> str:
        """Return the id of the account of a key, which is made if there is none.

        Raises:
            ValueError: The key is empty.
        """
        if not api_key:
            raise ValueError("the key must not be empty")
        return self._ids.setdefault(api_key, f"65a0{len(self._ids) + 1:020x}")

    def known(self, api_key: str) -> str | None:
        """Return the id of the account of a key; `None` if there is none."""
        return self._ids.get(api_key)
