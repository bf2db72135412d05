"""HTTP header fields that the package reads: `Retry-After`, `Keep-Alive`, dates, tags.

Pure. What is done about them is decided elsewhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from multidict import istr

# An `istr` knows its lower case. Of any other name it is made anew at each look-up in the headers
# of a response, and a poll has a dozen of those.
CONTENT_ENCODING = istr("Content-Encoding")
DATE = istr("Date")
ETAG = istr("ETag")
HOST = istr("Host")
KEEP_ALIVE = istr("Keep-Alive")
RETRY_AFTER = istr("Retry-After")

MOST_RETRY_AFTER = 300.0
"""Seconds. A service that asks for more is asked again after this time: the header is often
junk."""

_SECONDS = re.compile(
    r"\+?((?:[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})) ?(?:s|sec|seconds?)?(?: *,.*)?",
    re.IGNORECASE,
)
"""Seconds, with their unit or without; the first of several, which a proxy has joined."""
_FRACTION = re.compile(r"(:[0-9]{2})\.[0-9]+")
_ZONE = r"(?: *(?:GMT|UTC?|Z|[+-][0-9]{4}))?"
_HTTP_DATE = re.compile(
    rf"[^:]*:[0-9]{{2}}(?::[0-9]{{2}})?{_ZONE}(?: [0-9]{{4}})?{_ZONE} *", re.IGNORECASE
)
"""A date in UTC or with its offset, the year last where it is `asctime`'s (RFC 9110, 5.6.7). Names
of other zones are none: CST is China's and Chicago's, and Python takes most of them for UTC."""
_TIMEOUT = re.compile(r"(?:.*[,;\s])?timeout\s*=\s*\"?([0-9]{1,9})\b.*", re.IGNORECASE)
_ETAG = re.compile(r'(W/)?"([!#-~]{1,200})"')
_ENCODED = re.compile(r"(.+)-(?:gzip|br|deflate|zstd)")
"""The tag of an encoded body, as Apache and lighttpd make it of the tag of the plain one."""


def condition_of(headers: Mapping[str, str], sent: str | None) -> str | None:
    """Return the `If-None-Match` to send next, from the `ETag` of a response.

    A proxy that compresses may add a suffix to the tag and not take it off again, so the tag
    without the suffix goes out too.

    Args:
        headers: Those of the response.
        sent: The `If-None-Match` that went out with the request.

    Returns:
        One or two tags; None where the response has none that is fit to be sent.
    """
    etag = headers.get(ETAG)
    if etag is None or etag == sent:
        return etag
    found = _ETAG.fullmatch(etag)
    if found is None:
        return None
    plain = _ENCODED.fullmatch(found[2])
    return etag if plain is None else f'{etag}, {found[1] or ""}"{plain[1]}"'


def matches(condition: str, headers: Mapping[str, str]) -> bool:
    """Return whether the `ETag` of a response is among those of an `If-None-Match`.

    The comparison is the weak one of RFC 9110, 8.8.3.2.
    """
    etag = headers.get(ETAG)
    if etag is None or etag == condition:
        return etag is not None
    plain = etag.removeprefix("W/")
    return any(tag.removeprefix("W/") == plain for tag in condition.split(", "))


_HIT = re.compile(
    r"(?:.*,)?\s*(?:tcp_(?!refresh)(?:\w+_)?)?(?:hit|stale|updating)"
    r"(?: from cloudfront| from \S+\.akamai[^,]*| tcp_(?!refresh)[^,]*)?\s*(?:,.*)?",
    re.IGNORECASE,
)
"""The word of one cache, or of one in a row of them with commas between. Akamai and Azure write
`TCP_HIT`, and Alibaba both. One that has asked anew says `REFRESH`."""
_TENCENT = re.compile(r"cache hit|hit from (?:memcache|disktank)\d*", re.IGNORECASE)
_STORED = {
    istr(name): says_so
    for name, says_so in {
        "Age": re.compile(r'"?\+?0*[1-9].*'),  # RFC 9111, 5.1
        "Cache-Status": re.compile(r".*;\s*hit\b(?!\s*=\s*\?0).*", re.IGNORECASE),  # RFC 9211
        "Warning": re.compile(r"11[0-2]\b.*"),  # RFC 7234, 5.5: stale
        "X-Cache-Status": _HIT,
        "X-Cache": _HIT,
        "X-Proxy-Cache": _HIT,
        "CF-Cache-Status": _HIT,
        "X-Cache-Lookup": _TENCENT,
    }.items()
}
"""Headers in which a cache says that this is a copy. Not Squid's `HIT from ...`: it says that of
what it has asked for anew, too."""


def stored_by(headers: Mapping[str, str]) -> str | None:
    """Return the header that says that a response comes from a cache's store; None without one."""
    for name in filter(headers.get, _STORED):
        if _STORED[name].fullmatch(headers[name].strip()):
            return f"{name}: {headers[name]:.40}"
    return None


_REASONS = istr("X-Ca-Error-Message"), istr("Grpc-Message")


def reason_in(headers: Mapping[str, str]) -> str | None:
    """Return the header in which a gateway gives the reason of a bare response; None without."""
    return next((f"{name}: {headers[name]}" for name in _REASONS if name in headers), None)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how long the service asks to be left alone (`Retry-After`), in seconds.

    Reads seconds, also with a fraction, a sign, a unit or quotes, and dates, of HTTP or ISO 8601; a
    date counts from the answer's own `Date`. The result is above 0, up to `MOST_RETRY_AFTER`; None
    if the header is missing, cannot be read, or says "at once". That is no time to wait: everybody
    would be back at the same moment, and again at the next.
    """
    if RETRY_AFTER not in headers:
        return None
    value = headers[RETRY_AFTER].strip().strip('"').strip()
    if seconds := _SECONDS.fullmatch(value):
        return min(float(math.ceil(float(seconds[1]))), MOST_RETRY_AFTER) or None
    then = http_date(value) or _iso_date(value)
    if then is None:
        return None
    now = http_date(headers.get(DATE, "")) or datetime.now(UTC)
    return min(max((then - now).total_seconds(), 0.0), MOST_RETRY_AFTER) or None


def keep_alive(headers: Mapping[str, str]) -> int | None:
    """Return the seconds after which the server closes an idle connection (`Keep-Alive`).

    None if it does not say so. The header is not in the standard, and stands in most answers of
    Node.js, Apache and nginx: `timeout=5, max=100`.
    """
    found = _TIMEOUT.fullmatch(headers.get(KEEP_ALIVE, ""))
    return (int(found[1]) or None) if found else None


def http_date(text: str) -> datetime | None:
    """Return a moment as HTTP headers give it; None if it cannot be read."""
    plain = _FRACTION.sub(r"\1", text)
    if _HTTP_DATE.fullmatch(plain) is None:
        return None
    try:
        moment = parsedate_to_datetime(plain)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _iso_date(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if "T" in text or ":" in text else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
