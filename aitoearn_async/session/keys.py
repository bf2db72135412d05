"""The API key: checked, kept out of sight, and replaced when the service refuses it.

What becomes of the request that met a refusal is not decided here.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import re
from collections.abc import Awaitable, Callable
from typing import NoReturn, SupportsIndex, TypeAlias, cast

from ..errors import AiToEarnError, AuthenticationError
from .answer import Answer
from .lifetime import Bound, Lifetime, is_cancelled

Provider: TypeAlias = Callable[[], Awaitable[str]]
"""A function of the caller's that gives the key that is valid now."""

_TELLING = 6
"""Characters of a key that are too many to be seen. Fewer are its kind: `sk-`."""

_SECRET = 16
"""Characters of a key that do not stand anywhere by chance."""

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


class Keys:
    """The key in use, and where the next one comes from, if from anywhere.

    Args:
        key: The key; None if the first one is still to be had.
        provider: The caller's function that gives keys; None if there is only the one.
        lifetime: The client's.
        seconds: What the caller's function may take.
    """

    def __init__(
        self, key: Key | None, provider: Provider | None, lifetime: Lifetime, seconds: float
    ) -> None:
        self.number: int = 0 if key is None else 1
        """Which key is in use; 0 while there is none."""
        self.awaited: bool = key is None
        """Whether somebody has gone for a key, or has to: what is sent now had better wait."""
        self._known: tuple[Key, ...] = () if key is None else (key,)
        self._provider = provider
        self._lifetime = lifetime
        self._seconds = seconds
        self._lock = asyncio.Lock()
        self._calls = self._asking = 0
        self._failure: Exception | None = None  # of the last call, while somebody asks for it

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(_NOT_STORED)

    @property
    def current(self) -> Key:
        """The key to send."""
        return self._known[0]

    def hidden_in(self, text: str) -> str:
        """Text from outside without the key in use, and without the one before it."""
        for key in self._known:
            text = without_key(text, key)
        return text

    def cut_from(self, body: bytes) -> bytes:
        """A body without them, should the service repeat one: a task is shown and stored.

        Not a key of a few characters, as test servers have: those stand in texts by chance.
        """
        for key in self._known:
            secret = key.encode()
            if len(secret) >= _SECRET and secret in body:
                body = body.replace(secret, b"<API key>")
        return body

    async def ready(self, before: float) -> TimeoutError | None:
        """Wait for the key that somebody has gone for, or go for the first one.

        Args:
            before: Moment of the client's clock at which the wait ends.

        Returns:
            What to say if it took too long.

        Raises:
            Exception: What the caller's function raised instead of giving the first key, or
                what is wrong with that.
        """
        failure = await self._newer(self.number, before)
        if isinstance(failure, _TooLate):
            return failure
        if failure is not None and not self.number:
            raise failure
        return None

    async def reconsider(
        self, error: AiToEarnError, answer: Answer | AiToEarnError, before: float
    ) -> None:
        """Where a key was refused and another can be had, have it: the trouble is passing then.

        It is passing also where none came: the next attempt may have better luck. Where the
        same one came again, the refusal stands.

        Args:
            error: What an answer came to.
            answer: The answer, if there was one.
            before: Moment of the client's clock at which the wait for a key ends.
        """
        if self._provider is None or not isinstance(answer, Answer):
            return
        if not isinstance(error, AuthenticationError):
            return
        failure = await self._newer(answer.key, before)
        if failure is not None:
            error.__cause__ = failure
        error.transient = failure is not None or answer.key != self.number

    async def _newer(self, than: int, before: float) -> Exception | None:
        """Have a newer key than this one. However many want it at a time, one call is made.

        Returns:
            Why none came; None if one did, or the same again.
        """
        calls, began = self._calls, self._lifetime.time()
        self._asking += 1
        try:
            with Bound(self._lifetime, min(before, began + self._seconds)):
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
            key: Key | Exception = await self._given()
        except Exception as exc:
            key = exc
        except asyncio.CancelledError as exc:
            if is_cancelled():
                raise
            key = RuntimeError("the function given as api_key= was cancelled")
            key.__cause__ = exc
        finally:
            self.awaited = not self._known
        self._calls += 1
        self._failure = key if isinstance(key, Exception) else None
        if isinstance(key, Key) and key not in self._known[:1]:
            self._known = (key, *self._known[:1])
            self.number += 1
            self.awaited = False

    async def _given(self) -> Key | ValueError:
        assert self._provider is not None
        coming = self._provider()
        if not inspect.isawaitable(coming):
            del coming  # a key, perhaps, and a traceback may show locals
            raise TypeError("the function given as api_key= is not async: use `async def`")
        return checked(await coming)


class _TooLate(TimeoutError):
    """The caller's function took longer than it may."""


def keys_from(given: object, lifetime: Lifetime, seconds: float) -> Keys | ValueError:
    """The key or keys of the argument, or of the environment; else the error to raise.

    It is not raised here: a frame in its traceback would have the key among its locals, and
    there are those who show them.
    """
    if callable(given):
        return Keys(None, cast("Provider", given), lifetime, seconds)
    if given is None:
        given = os.environ.get("AITOEARN_API_KEY")
    if given is None or given == "":
        return ValueError(
            "no API key: pass api_key=, or set AITOEARN_API_KEY to the key of your AiToEarn account"
        )
    key = checked(given)
    return Keys(key, None, lifetime, seconds) if isinstance(key, Key) else key


def checked(key: object) -> Key | ValueError:
    """A key, if it can be sent; else the error to raise, which has nothing of it."""
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


def without_key(text: str, key: str) -> str:
    """Text from outside with the key taken out, also where it was cut in the middle of one."""
    text = re.sub(re.escape(key), "<API key>", text, flags=re.IGNORECASE)
    lower = key.lower()
    for length in range(len(key) - 1, _TELLING - 1, -1):
        if text[-length:].lower() == lower[:length]:
            return text[:-length] + "<API key>"
    return text
