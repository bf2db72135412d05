"""Arguments as callers give them: numbers, paths, strategies, hooks; usable, or refused by name.

Addresses and header values are checked in `_net.urls`, keys in `_transport.credentials`.
"""

from __future__ import annotations

import inspect
import math
import os
import sys
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, TypeVarTuple

from ._polling.cadence.schedule import WaitStrategy
from ._polling.wait.settings import WaitLimits
from .contract.endpoints import MOST_ROWS
from .contract.field_rules import media
from .contract.requests import short_repr

Given = TypeVar("Given")
Ts = TypeVarTuple("Ts")

_YES, _NO = ("1", "true", "t", "yes", "y", "on"), ("", "0", "false", "f", "no", "n", "off")
"""The words for yes and no in the environment, as click reads them for the command line."""


Seconds: TypeAlias = float | timedelta
"""A length of time, as callers give it."""


def time_limit(name: str, given: Seconds | None) -> float:
    """Return a time limit in seconds; None is infinity."""
    if given is None or given == math.inf:
        return math.inf
    seconds = _number(given)
    if not seconds >= 0:
        raise ValueError(
            f"{name}={given!r:.60}: give seconds, 0 or more, a timedelta, or None for no limit"
        )
    return seconds


def positive(name: str, value: Seconds) -> float:
    """Return a number above 0; a length of time in seconds."""
    number = _number(value)
    if not number > 0:
        raise ValueError(f"{name}={value!r:.60}: give a finite number above 0")
    return number


def amount(name: str, value: float | None) -> float | None:
    """Return a number of credits, 0 or more; None for any."""
    if value is not None and (isinstance(value, timedelta) or not _number(value) >= 0):
        raise ValueError(f"{name}={value!r:.60}: give a finite number, 0 or more")
    return value


def private_media_allowed(given: bool | str | Iterable[str] | None) -> bool | list[str]:
    """Return which internal networks are allowed: as given, or by `AITOEARN_PRIVATE_MEDIA`."""
    if isinstance(given, bool):
        return given
    if isinstance(given, str):
        return [given]
    if isinstance(given, Iterable):
        return list(given)
    if given is not None:
        raise TypeError(f"private_media={given!r:.60}: give True, or hosts, addresses and ranges")
    word = os.environ.get("AITOEARN_PRIVATE_MEDIA", "").strip().lower()
    if word in (*_YES, *_NO):
        return word in _YES
    entries = [entry.strip() for entry in word.split(",")]
    # A single colon begins a port. A word without a dot is mostly meant as yes.
    if not all(entry.count(":") > 1 or ("." in entry and ":" not in entry) for entry in entries):
        raise ValueError(
            f"AITOEARN_PRIVATE_MEDIA={word!r}: set it to 1 or 0, or to hosts (one without a dot as "
            "'storage.'), addresses and ranges, all without a port, with commas between them, or "
            "not at all"
        )
    return entries


def telemetry_asked(given: Given | None) -> Given | str | None:
    """Return the observers that were given, or the names in `AITOEARN_TELEMETRY`."""
    return given if given is not None else os.environ.get("AITOEARN_TELEMETRY", "").strip() or None


def rate(requests_per_second: float | None) -> float | None:
    """Return a rate in requests per second, checked; None for no limit."""
    if requests_per_second is None:
        return None
    return positive("requests_per_second", requests_per_second)


def count(name: str, value: int) -> int:
    """Return a whole number from 1."""
    # No more than a float can take: seconds are multiplied by some of them.
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= sys.maxsize:
        raise ValueError(f"{name}={value!r}: give a whole number, 1 or more")
    return value


def checked_page_size(size: int) -> int:
    """Return the number of rows to ask for at a time."""
    if count("page_size", size) > MOST_ROWS:
        raise ValueError(f"page_size={size!r}: the service gives {MOST_ROWS:,} at most")
    return size


def strategy(wait: WaitStrategy | None) -> WaitStrategy | None:
    """Return a wait strategy, or None."""
    if wait is not None and (not callable(wait) or inspect.iscoroutinefunction(wait)):
        raise ValueError(
            f"wait={wait!r:.60}: give a tenacity wait strategy, such as tenacity.wait_fixed(5), or "
            "a function that is not async"
        )
    return wait


def hooks(**given: object) -> None:
    """Refuse what cannot be called, before anything is sent.

    Raises:
        TypeError: One of them is neither None nor a function.
    """
    for name, hook in given.items():
        if hook is not None and not callable(hook):
            raise TypeError(f"{name}={hook!r:.60}: give a function")


def not_async(name: str, hook: Callable[[*Ts], object] | None) -> Callable[[*Ts], None] | None:
    """Return a hook that raises where it gives something to await: nobody would await it.

    Raises:
        TypeError: It is an async function, or none. Of another one that returns a coroutine,
            when called.
    """
    hooks(**{name: hook})
    if hook is None:
        return None
    refusal = f"{name}= is called where nothing can be awaited: give a function that is not async"
    if inspect.iscoroutinefunction(hook):
        raise TypeError(refusal)

    def checked(*args: *Ts) -> None:
        result = hook(*args)
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise TypeError(refusal)

    return checked


def folder(name: str, path: str | os.PathLike[str]) -> Path:
    """Return the path of a directory, which need not exist."""
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise TypeError(f"{name}={path!r:.80}: give the path of a directory")
    if "\0" in str(path):
        raise ValueError(f"{name}={path!r:.80}: no path has a zero character in it")
    return Path(path)


_HERE_IT_IS = {
    "timeout": "request_timeout= for one request; a wait has a timeout= of its own",
    "max_retries": "attempts=, which counts the first one too",
    "retries": "attempts=, which counts the first one too",
    "http_client": "session=, an aiohttp.ClientSession",
    "http_session": "session=, an aiohttp.ClientSession",
    "token": "api_key=",
    "api_token": "api_key=",
    "key": "api_key=",
    "base_uri": "base_url=",
    "url": "base_url=",
    "host": "base_url=",
    "headers": "user_agent= and language=; for others a session= that has them",
    "default_headers": "user_agent= and language=; for others a session= that has them",
    "max_connections": "concurrency=",
    "rate_limit": "requests_per_second=",
    "proxies": "proxy=, or trust_env=True for those of the environment",
    "limits": "concurrency= and requests_per_second=",
    "follow_redirects": "nothing: the key follows none, and files come through theirs",
    "transport": "session=, an aiohttp.ClientSession",
    "cookies": "session=, an aiohttp.ClientSession that has them",
    "event_hooks": "telemetry=, an aitoearn_async.telemetry.Observer",
    "auth": "api_key=",
    "api_base": "base_url=",
    "endpoint": "base_url=",
    "region": "base_url=: CHINA or INTERNATIONAL",
    "poll_interval": "wait=, such as tenacity.wait_fixed(5)",
    "interval": "wait=, such as tenacity.wait_fixed(5)",
    "verify": "ssl=: an ssl.SSLContext, or False to verify nothing",
}
"""Name of an argument in other packages -> its name here."""


def refuse_unknown(names: Iterable[str]) -> None:
    """Refuse arguments that a client does not have.

    Raises:
        TypeError: There is one. It says what the argument is called here, if there is one.
    """
    for name in names:
        here = f": here it is {_HERE_IT_IS[name]}" if name in _HERE_IT_IS else ""
        raise TypeError(f"Client() got an unexpected keyword argument {name!r}{here}")


def wait_limits(
    timeout: Seconds | None,
    patience: Seconds | None,
    wait: WaitStrategy | None,
    default: WaitStrategy | None,
) -> WaitLimits:
    """Return the limits of waits, and the delays between their polls: by default, the client's."""
    seconds = time_limit("timeout", timeout), time_limit("patience", patience)
    return WaitLimits(*seconds, default if wait is None else strategy(wait))


def saving(
    save: str | os.PathLike[str] | None, save_timeout: float | timedelta | None, max_bytes: int
) -> tuple[Path | None, float, int]:
    """Return the place for files, if any, and the limits of their time and size."""
    limits = time_limit("save_timeout", save_timeout), count("max_bytes", max_bytes)
    return (None if save is None else folder("save", save)), *limits


def _number(given: object) -> float:
    """Return a finite number, of seconds where it is a length of time; NaN where it is none."""
    if isinstance(given, timedelta):
        return given.total_seconds()
    if isinstance(given, bool) or not isinstance(given, int | float):
        return math.nan
    # Within what a float holds: an int can be larger and still be finite.
    return float(given) if abs(given) <= sys.float_info.max else math.nan


def upload_mode(mode: Literal["auto", "always", "never"]) -> Literal["auto", "always", "never"]:
    """Return the word that says whether files are uploaded, checked."""
    given: Any = mode
    if given not in ("auto", "always", "never"):
        raise ValueError(f"upload={given!r:.60}: give 'auto', 'always' or 'never'")
    return mode


_LONGEST_PATH = 4096
"""Characters. Linux takes no more, and nobody has longer paths elsewhere."""


def uploadable(source: Any) -> Any:
    """Return something that can be uploaded. Text is a path here, unlike in a request."""
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        raise ValueError(f"source={short_repr(source)}: this is an address already; give a file")
    is_text = isinstance(source, str) and not source.startswith("data:")
    if is_text and len(source) > _LONGEST_PATH:
        raise ValueError(
            f"source={short_repr(source)}: too long for a path; give base64 as a data: URI"
        )
    given: Any = source
    if is_text or isinstance(source, os.PathLike):
        given = Path(given)
    elif isinstance(source, bytearray | memoryview):
        given = bytes(given)
    if (advice := media(given)) is not None:
        raise ValueError(f"source={short_repr(given)}: {advice}")
    return given
