"""The API key: checked, kept out of sight, and replaced when the service refuses it.

What becomes of the request that met a refusal is not decided here.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import re
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import NoReturn, SupportsIndex, TypeAlias, TypeVar, cast

from .._runtime.lifetime import Lifetime, Timeout, blaming
from .._verdict import Verdict
from ..errors import AiToEarnError, AuthenticationError
from .response import Response

T = TypeVar("T")

Provider: TypeAlias = Callable[[], Awaitable[str]]
"""A function of the caller's that gives the key that is valid now."""

_TELLING = 6
"""Characters of a key that are too many to be seen. Fewer are its kind: `sk-`."""

_SECRET = 16
"""Characters of a key that do not stand anywhere by chance."""

_MOST_SHOWN = 200
"""Characters of a text from outside that stand in a message."""

_NOT_STORED = (
    "an API key, and a Client that holds one, is not pickled nor copied: make a Client where it "
    "is needed"
)


class Key(str):
    """The API key. Sent as it is, never shown, never stored: its `repr` has nothing of it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<API key>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(_NOT_STORED)

    # A copy is as well hidden as the key, and recorders copy the headers they are given.

    def __copy__(self) -> Key:
        return self

    def __deepcopy__(self, memo: object) -> Key:
        return self


class Credentials:
    """The key in use, and the function that gives the next one, if there is one.

    Args:
        key: The key; None if the first one has yet to be asked for.
        provider: The caller's function that gives keys; None if there is only the one.
        lifetime: The client's.
        seconds: The time that the caller's function may take.
    """

    def __init__(
        self, key: Key | None, provider: Provider | None, lifetime: Lifetime, seconds: float
    ) -> None:
        self.number: int = 0
        """The number of the key in use; 0 while there is none."""
        self.awaited: bool = key is None
        """A key is being asked for, or has to be: requests wait for it."""
        self.keys: tuple[Key, ...] = ()
        """The key in use, and behind it the one before."""
        self.spellings: tuple[Spellings, ...] = ()
        """Those of these keys. The service may repeat one, and tasks are stored."""
        if key is not None:
            self._use(key)
        self._provider = provider
        self._lifetime = lifetime
        self._seconds = seconds
        self._lock = asyncio.Lock()
        self._calls = self._asking = 0
        self._failure: Exception | None = None  # of the last call, while somebody asks for it

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(_NOT_STORED)

    def leave_loop(self) -> None:
        """Forget what is bound to a loop that is closed."""
        self._lock = asyncio.Lock()

    def redact(self, text: str) -> str:
        """Return text from outside without the key in use and the one before it."""
        for key in self.keys:
            text = without_key(text, key)
        return text

    async def ready(self, deadline: float) -> TimeoutError | None:
        """Wait for the key that is being asked for, or ask for the first one.

        Args:
            deadline: Moment of the client's clock at which the wait ends.

        Returns:
            What to say if it took too long.

        Raises:
            Exception: What the caller's function raised instead of giving the first key, or
                what is wrong with that.
        """
        failure = await self._newer(self.number, deadline)
        if isinstance(failure, _TooLate):
            return failure
        if failure is not None and not self.number:
            raise failure
        return None

    async def refresh_if_rejected(
        self, result: T | Verdict, response: Response | AiToEarnError, deadline: float
    ) -> T | Verdict:
        """Get another key where this one was refused, and judge the refusal anew.

        With another key the call is worth a retry; also where none came, since the next attempt
        may have better luck. Where the same one came again, the refusal stands.

        Args:
            result: What the response came to.
            response: The response, if there was one.
            deadline: The moment of the client's clock at which the wait for a key ends.
        """
        if self._provider is None or not isinstance(response, Response):
            return result
        if not isinstance(result, Verdict) or not isinstance(result.error, AuthenticationError):
            return result
        failure = await self._newer(response.key, deadline)
        if failure is not None:
            result.error.__cause__ = failure
        retry = failure is not None or response.key != self.number
        return Verdict(result.error, retry, result.delay)

    def shown(self, text: str) -> str:
        """Return text from outside, fit to be shown: short, printable, without the key."""
        text = self.redact(text)[:_MOST_SHOWN]
        return "".join(c if c.isprintable() else "?" for c in text)

    async def _newer(self, than: int, deadline: float) -> Exception | None:
        """Get a newer key than this one. One call is made for all that want it at the same time.

        Returns:
            Why none came; None if one did, or the same again.
        """
        calls, began = self._calls, self._lifetime.time()
        self._asking += 1
        try:
            with Timeout(self._lifetime, min(deadline, began + self._seconds)):
                async with self._lock:
                    if self.number == than and self._calls == calls:
                        await self._call()
            return self._failure if self.number == than else None
        except TimeoutError:
            return _TooLate(
                "no key came from the function given as api_key= within "
                f"{self._lifetime.time() - began:.1f} s"
            )
        finally:
            self._asking -= 1
            if not self._asking:
                self._failure = None  # it may be raised, and holds the frames it was raised through

    async def _call(self) -> None:
        self.awaited = True
        try:
            with blaming("the function given as api_key="):
                key: Key | Exception = await self._given()
        except Exception as exc:
            key = exc
        finally:
            self.awaited = not self.keys
        self._calls += 1
        self._failure = key if isinstance(key, Exception) else None
        if isinstance(key, Key) and key not in self.keys[:1]:
            self._use(key)
            self.awaited = False

    def _use(self, key: Key) -> None:
        self.number += 1
        self.keys = (key, *self.keys[:1])
        # Not a key of a few characters, as test servers have: those stand in texts by chance.
        self.spellings = tuple(Spellings(key) for key in self.keys if len(key) >= _SECRET)

    async def _given(self) -> Key | ValueError:
        assert self._provider is not None
        coming = self._provider()
        if not inspect.isawaitable(coming):
            del coming  # a key, perhaps, and a traceback may show locals
            raise TypeError("the function given as api_key= is not async: use `async def`")
        return checked(await coming)


class _TooLate(TimeoutError):
    """The caller's function took longer than it may."""


def credentials_from(given: object, lifetime: Lifetime, seconds: float) -> Credentials | ValueError:
    """Return the credentials from the argument or the environment; else the error to raise.

    It is not raised here: a traceback that shows locals would show the key.
    """
    if callable(given):
        return Credentials(None, cast("Provider", given), lifetime, seconds)
    if given is None:
        given = os.environ.get("AITOEARN_API_KEY")
    if given is None or given == "":
        return ValueError(
            "no API key: pass api_key=, or set AITOEARN_API_KEY to the key of your AiToEarn account"
        )
    key = checked(given)
    return Credentials(key, None, lifetime, seconds) if isinstance(key, Key) else key


def checked(key: object) -> Key | ValueError:
    """Return a key that can be sent; else the error to raise, which holds nothing of it."""
    if not isinstance(key, str):
        return ValueError(
            f"the API key is a str, or an async function that gives it, not {type(key).__name__}"
        )
    if key != key.strip():
        return ValueError(
            "the API key begins or ends with a blank or a line break (was it read from a "
            "file?): pass key.strip()"
        )
    if not 1 <= len(key) <= 512 or not all("!" <= character <= "~" for character in key):
        return ValueError("the API key is not one: 1-512 printable ASCII characters, no blanks")
    return Key(key)


class Spellings:
    r"""The spellings of a key in bytes from outside, in whichever escapes of JSON it is written.

    PHP writes `/` as `\/` and .NET `+` as `\u002B`; quotes and backslashes everybody escapes.
    """

    def __init__(self, key: Key) -> None:
        self._key = key
        # Letters and digits are not escaped, so that most bodies are looked through once, fast.
        self.plain: bytes = max(re.findall(r"[A-Za-z0-9]+", key), key=len, default="").encode()
        """A part of the key that stands in all of them."""

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        return re.compile(b"".join(map(_spellings, self._key)))

    def cut(self, body: bytes) -> bytes:
        """Return bytes without the key."""
        return self._pattern.sub(b"<API key>", body)


def _spellings(character: str) -> bytes:
    """Return a pattern of one character: bare, or in an escape of JSON or of an address."""
    code, bare = ord(character), re.escape(character)
    escaped = r"\\?" if character in '"/\\' else ""
    return rf"(?:{escaped}{bare}|\\u00(?i:{code:02x})|%(?i:{code:02x}))".encode()


def without_key(text: str, key: str) -> str:
    """Return text from outside without the key, also where it was cut in the middle of one."""
    text = re.sub(re.escape(key), "<API key>", text, flags=re.IGNORECASE)
    lower = key.lower()
    for length in range(len(key) - 1, _TELLING - 1, -1):
        if text[-length:].lower() == lower[:length]:
            return text[:-length] + "<API key>"
    return text
