"""The place and the time of an emulator: its event loop, its addresses, its date."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Final

_1970: Final = datetime.fromtimestamp(0, UTC)
_WRONG_LOOP: Final = (
    "this emulator listens on an event loop that is not running, so nobody would ever be"
    " answered: the test runs on another loop than the fixture. With pytest-asyncio give"
    " asyncio_default_fixture_loop_scope and asyncio_default_test_loop_scope the same value,"
    ' best "function". With anyio\'s plugin, whose tests have a loop of their own, mark the'
    " test with pytest.mark.asyncio, or start the Emulator in the test itself."
)


class PlaceAndTime:
    """The loop that an emulator listens on, its two ports, and the date on the loop's clock."""

    def __init__(self, host: str, port: int, date: datetime | None) -> None:
        self._host = host
        self._ports = [port, 0]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = asyncio.Lock()
        self._first_date = date.replace(tzinfo=UTC) if date and date.tzinfo is None else date
        self._epoch: float | None = None

    @property
    def url(self) -> str:
        """The API's origin, without a trailing slash. It stays the same over a restart.

        Raises:
            RuntimeError: It has never been started, or another event loop runs than the one it
                listens on.
        """
        self._require_loop()
        return self._origin(self._ports[0])

    @property
    def storage_url(self) -> str:
        """The origin of the storage that files are uploaded to: another port of this machine.

        Raises:
            RuntimeError: It has never been started, or another event loop runs than the one it
                listens on.
        """
        self._require_loop()
        return self._origin(self._ports[1])

    def _origin(self, port: int) -> str:
        if not port:
            raise RuntimeError("the emulator has no address before it is started")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{port}"

    def now(self) -> float:
        """Return the seconds on the event loop's clock.

        Raises:
            RuntimeError: No event loop is running, or not the one the emulator listens on.
        """
        self._require_loop()
        return asyncio.get_running_loop().time()

    def _require_loop(self) -> None:
        """Raise where a loop runs that is not the one the emulator listens on."""
        if self._loop is None or self._loop.is_running():
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        raise RuntimeError(_WRONG_LOOP)

    def epoch(self, now: float) -> float:
        """Return the seconds since 1970 at which the loop's clock says 0.

        The date begins to run on when it is first asked for.
        """
        if self._epoch is None:
            first = time.time() if self._first_date is None else self._first_date.timestamp()
            self._epoch = first - now
        return self._epoch

    def date(self, at: float) -> datetime:
        """Return the date on the service's clock at a moment of the event loop's clock."""
        return _1970 + timedelta(seconds=self.epoch(at) + at)

    def moment(self, at: float) -> str:
        """Return that date as the service writes it: ISO 8601, with milliseconds."""
        return self.date(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
