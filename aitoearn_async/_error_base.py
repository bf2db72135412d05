"""The base of all errors: `args` that rebuild an error, and a text of one line.

Which errors there are is not known here.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .contract.kinds import AnyRef, parse_ref


class Rebuildable(Exception):
    """An exception that `cls(*error.args)` rebuilds, also when `args` went through JSON."""

    ref: AnyRef | None = None
    _text: str | None = None
    """The text of an error that was rebuilt."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__init__" in vars(cls):
            cls.__init__ = _rebuilding(cls.__init__)  # type: ignore[method-assign]

    def _rebuild(self, text: str, facts: dict[str, Any]) -> None:
        Exception.__init__(self, text)
        self.__dict__.update(facts, _text=text, ref=None)
        with contextlib.suppress(LookupError, TypeError, ValueError, AttributeError):
            self.ref = parse_ref(facts["ref"])

    if not TYPE_CHECKING:  # checkers know `args` of every exception

        @property
        def args(self) -> tuple[Any, ...]:
            """The text and the facts, of which `cls(*args)` rebuilds the error."""
            if not self.__dict__ and self.ref is None:
                return self.raw_args
            return str(self), self.facts()

        @args.setter
        def args(self, args: tuple[Any, ...]) -> None:
            _raw_args.__set__(self, args)

    def facts(self) -> dict[str, Any]:
        """Return its attributes. A value that JSON cannot hold becomes None."""
        facts = {
            name: value if _is_plain(value) else None
            for name, value in vars(self).items()
            if name != "_text" and name[:2] != "__"
        }
        return {**facts, "ref": None if self.ref is None else str(self.ref)}

    def __str__(self) -> str:
        return self._full_text() if self._text is None else self._text

    def _full_text(self) -> str:
        """Return the text, with the task it is about."""
        about = f"{self.ref}: " if self.ref is not None else ""
        return about + self._text_without_ref()

    def _text_without_ref(self) -> str:
        """Return the text, without the task it is about."""
        return Exception.__str__(self)

    @property
    def raw_args(self) -> tuple[Any, ...]:
        """Return the arguments of the constructor of `Exception`, as pickles hold them."""
        return tuple(_raw_args.__get__(self))


def _rebuilding(init: Callable[..., None]) -> Callable[..., None]:
    """Return a constructor that also takes a text and a dict of facts, as `args` holds them."""

    @functools.wraps(init)
    def construct(self: Rebuildable, *args: Any, **keywords: Any) -> None:
        if len(args) == 2 and isinstance(args[0], str) and isinstance(args[1], dict):
            self._rebuild(*args)  # pyright: ignore[reportPrivateUsage]
        else:
            init(self, *args, **keywords)

    return construct


Rebuildable.__init__ = _rebuilding(Rebuildable.__init__)  # type: ignore[method-assign]

_raw_args: Any = vars(BaseException)["args"]


def _is_plain(value: object) -> bool:
    """Return whether JSON can hold it."""
    if isinstance(value, dict):
        held: dict[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return all(isinstance(name, str) and _is_plain(inner) for name, inner in held.items())
    return value is None or isinstance(value, str | int | float | bool)


_MOST_SHOWN = 200
"""Characters. The whole text is in the task, and in `seen`."""


def brief(text: str | None) -> str:
    """Return the service's own words, of any length, shortened for a line."""
    line = " ".join((text or "")[:1000].split())
    line = line if len(line) <= _MOST_SHOWN else line[: _MOST_SHOWN - 1] + "…"
    return "".join(character if character.isprintable() else "?" for character in line)


_MEANINGS = {
    "AuthenticationError": "the API key is refused{at} (check AITOEARN_API_KEY; aitoearn.ai and "
    "aitoearn.cn have separate keys)",
    "TaskNotFoundError": "no such {kind} task",
    "InvalidRequestError": "the request is not valid",
    "RateLimitError": "too many requests",
    "ServerError": "the service failed",
}
"""The meaning of each class, whatever the language of the service's words."""


_NO_ROUTE = "Cannot GET /", "Cannot POST /"
"""The beginnings of the service's message about a path that it does not know."""


def is_of_the_service(error: Any) -> bool:
    """Return whether the service itself refuses, and not a gateway before it."""
    return bool(error.http_status == 200 and error.host is None)


def meaning_of(error: Any) -> str:
    """Return the meaning of a refusal in English, to stand before the service's own message.

    It is empty where the message, or the label, says as much.
    """
    if error.code == 404 and error.message.startswith(_NO_ROUTE):
        return "the service has no such route (is base_url= right?): "
    if error.transient and not is_of_the_service(error):
        return ""
    names = (kind.__name__ for kind in type(error).__mro__)
    meaning = next((_MEANINGS[name] for name in names if name in _MEANINGS), "")
    if not meaning and error.host is not None:
        meaning = "refused{at} (is base_url= right?)" if error.host_is_doubtful else "refused{at}"
    if not meaning:
        return ""
    if "{kind}" in meaning and error.ref is None:
        return "not found: "
    at = f" at {error.host}" if error.host else ""
    kind = error.ref.kind if error.ref is not None else ""
    return f"{meaning.format(at=at, kind=kind)}: "


def code_text(code: int) -> str:
    """Return a business code for a line, which must be short: JSON has numbers of any length."""
    bits = code.bit_length()
    return f"code {code}" if bits <= 64 else f"code of {bits} bits"


def quoted(request_id: str | None) -> str:
    """Return the end of a line that names a request by its id; "" without an id."""
    return f", request {request_id}" if request_id else ""


def duration(seconds: float) -> str:
    """Return a length of time as part of a line."""
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
