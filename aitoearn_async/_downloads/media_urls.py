"""Addresses of files, sent byte for byte as they were given.

A CDN signs an address as it is written: a request for another spelling of it is refused,
though both mean the same (RFC 3986, 6.2). So nothing is decoded, encoded, capitalised or left out
except what cannot stand in a request at all: blanks, control characters and letters past ASCII,
which are percent-encoded, and the fragment.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urljoin

from yarl import URL

_REFERENCE = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):)?(?://(?P<authority>[^/?#\\]*))?"
    r"(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?:#.*)?",
    re.DOTALL,
)
_NOT_SENT = re.compile(r"[^\x21-\x7e]")


def parse_url(text: str, base: URL | None = None) -> URL:
    """Return an address as a URL that goes out as it is written.

    Args:
        text: The address, or that of a redirect, which may be relative.
        base: The address the redirect came from.

    Returns:
        A URL whose path holds the query too, so that nothing is made of either.

    Raises:
        ValueError, TypeError, LookupError: It is no address; which of them, is up to yarl.
    """
    found = next(_REFERENCE.finditer(text.strip()))  # any text has this form
    scheme, authority = found["scheme"], found["authority"]
    target = found["path"] + (found["query"] or "")
    if base is not None and scheme is None:
        scheme = base.scheme
        if authority is None:
            authority, target = base.raw_authority, _resolved(base, found)
    if not scheme or not authority:
        raise ValueError("no address")
    # The host is read as usual: names in any alphabet, numbers, ports.
    origin = URL(f"{scheme}://{authority}/")
    return URL.build(
        scheme=origin.scheme,
        authority=origin.raw_authority,
        path=_NOT_SENT.sub(_encoded, target if target[:1] == "/" else f"/{target}"),
        encoded=True,
    )


def plain_path(url: URL) -> str:
    """Return the path of such a URL, without its query."""
    return url.raw_path.partition("?")[0]


def _resolved(base: URL, found: re.Match[str]) -> str:
    """Return the target that a relative reference leads to (RFC 3986, 5.2)."""
    path, query = found["path"], found["query"] or ""
    if path.startswith("/"):
        return path + query
    if not path:
        return plain_path(base) + query if query else base.raw_path
    return str(urljoin(plain_path(base), path)) + str(query)


def _encoded(found: re.Match[str]) -> str:
    return quote(str(found[0]), errors="surrogateescape")
