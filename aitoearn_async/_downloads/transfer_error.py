"""The reasons why a file could not be had, and which of them another attempt can change."""

from __future__ import annotations

import errno
import re
from enum import Enum


class Reason(Enum):
    """The reason why a file did not get through; it decides what is done next."""

    FINAL = "no further attempt will change it"
    PASSING = "trouble of a network, a host or this machine that passes"
    MISSING = "the host has no file at this address: not yet, or not any more"
    CUT = "the file that came is cut off, by what its own structure says"


class TransferError(Exception):
    """A file was not fetched, or a store did not take it. The text names the host and no address.

    Attributes:
        reason: What to do next.
        stale: Whether the bytes that are there must be dropped: continuing them would fail again.
        retry_after: How long the host asks to be left alone, in seconds.
        may_have_moved: Whether another answer of the service may name another address, or hold it.
    """

    def __init__(
        self,
        text: str,
        reason: Reason = Reason.FINAL,
        *,
        stale: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(text)
        self.reason: Reason = reason
        self.stale: bool = stale
        self.retry_after: float | None = retry_after
        self.may_have_moved: bool = reason is Reason.MISSING

    @property
    def transient(self) -> bool:
        """Return whether another attempt may get it through."""
        return self.reason is not Reason.FINAL


class RefusedError(TransferError):
    """The file's host said no, by an HTTP status."""


# A bucket without the right to list answers 403 for a missing file; others use any of these.
_MISSING = frozenset([202, 204, 205, 304, 400, 401, 403, 404, 409, 410, 412, 423])
_PASSING = frozenset([408, 421, 425, 429, 499])


def reason_of_status(status: int) -> Reason:
    """Return what an HTTP status without a file means."""
    if status in _MISSING:
        return Reason.MISSING
    return Reason.PASSING if status in _PASSING or 500 <= status < 600 else Reason.FINAL


_SAID = re.compile(
    r"""<(?:Code|Message)>([^<]{1,1000})<|"(?:code|message|error)"\s*:\s*"([^"\\]{1,1000})\"""",
    re.IGNORECASE,
)
_MOST_WORDS = 200


def words_of(body: bytes) -> str:
    """Return what a storage says in XML or JSON, to be put behind an error's text.

    Such as ` (AccessDenied: Request has expired)`; nothing where it names an address.
    """
    found = (xml or json for xml, json in _SAID.findall(body.decode("utf-8", "replace")))
    line = " ".join(": ".join(dict.fromkeys(found)).split())[:_MOST_WORDS]
    return f" ({line})" if line and line.isprintable() and "://" not in line else ""


_LACKS = frozenset(
    [
        *(errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOBUFS),
        *(errno.ETIMEDOUT, errno.EINTR, errno.EBUSY),
    ]
)


def reason_of_errno(number: int | None) -> Reason:
    """Return what an error of the file system means: a lack of this machine passes."""
    return Reason.PASSING if number in _LACKS else Reason.FINAL
