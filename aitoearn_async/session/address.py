"""What the caller says of the service and of himself: addresses, keys, header values.

All of it is checked once, when the client is made, and wrong input is refused with a
`ValueError` that says what to do. No secret gets into a message.
"""

from __future__ import annotations

import ipaddress
import unicodedata
import warnings

from yarl import URL

CHINA = "https://aitoearn.cn"
"""The published host for China."""
INTERNATIONAL = "https://aitoearn.ai"
"""The published host for everywhere else."""

_NO_URL = (ValueError, TypeError, LookupError)
"""What yarl raises for what is none; the last for some of them where no host is."""


class Key(str):
    """The API key. Sent as it is, never shown: its `repr` has nothing of it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<API key>"


def checked_key(key: str | None) -> Key:
    """The key, if it can be sent.

    Raises:
        ValueError: It is missing, empty, or holds what a header cannot carry.
    """
    if key is None or key == "":
        raise ValueError(
            "no API key: pass api_key=, or set AITOEARN_API_KEY to the key of your AiToEarn account"
        )
    if not isinstance(key, str):
        raise ValueError(f"the API key is a str, not {type(key).__name__}")
    if key != key.strip():
        raise ValueError(
            "the API key begins or ends with a blank or a line break (was it read from a "
            "file?): pass key.strip()"
        )
    if len(key) > 512 or not all("!" <= character <= "~" for character in key):
        raise ValueError("the API key is not one: 1-512 printable ASCII characters, no blanks")
    return Key(key)


def checked_header(name: str, value: str) -> str:
    """A header value of the caller's, if it can be sent.

    Raises:
        ValueError: It is empty or holds anything but printable ASCII.
    """
    fits = isinstance(value, str) and value.isascii() and value.isprintable()
    if not fits or not 1 <= len(value) <= 256:
        raise ValueError(f"{name}= is 1-256 printable ASCII characters, not {value!r:.60}")
    return value


def checked_base_url(text: str) -> URL:
    """The service's address, without a slash at its end.

    Warns once, at construction, when the key would travel readable over the internet.

    Raises:
        ValueError: It is no http(s) URL with a host, or has credentials, query or fragment.
    """
    try:
        url = URL(text)
        base = url.with_path(url.raw_path.rstrip("/"), encoded=True)
        wrong = _what_is_wrong(url) or _what_is_wrong(base)
    except _NO_URL as exc:
        raise ValueError(f"base_url={_shown(text, exc)}; write it like {INTERNATIONAL!r}") from None
    if not text.isprintable() or " " in text:
        wrong = "has a blank or a control character in it"
    if wrong:
        # Not the URL itself: what is wrong with it may be that a password stands in it.
        raise ValueError(f"base_url= {wrong}; write it like {INTERNATIONAL!r}")
    if url.scheme == "http" and not _is_near(url.host or ""):
        warnings.warn(
            f"{url.origin()} is plain http: the API key can be read on the way. Use https",
            UserWarning,
            stacklevel=3,
        )
    return base


def checked_proxy(address: str | None) -> str | None:
    """The address of a proxy, if it can be one.

    Raises:
        ValueError: It is no http(s) URL with a host.
    """
    if address is None:
        return None
    try:
        url = URL(address)
    except _NO_URL:
        url = URL()
    if url.scheme not in ("http", "https") or not _has_a_host(url):
        # Not the address itself: a password may stand in it.
        raise ValueError("proxy= is no http(s) address; write it like 'http://proxy:3128'")
    return address


def _what_is_wrong(url: URL) -> str | None:
    if url.scheme not in ("http", "https"):
        return "does not begin with http:// or https://"
    if not _has_a_host(url):
        return "has no host"
    if url.raw_user is not None or url.raw_password is not None:
        return "has credentials in it"
    if url.raw_query_string or url.raw_fragment:
        return "has a query or a fragment"
    return None


def _shown(text: object, exc: Exception) -> str:
    """What is wrong with an address that is none; without it, where it may hold a password."""
    if "@" in unicodedata.normalize("NFKC", str(text)):
        return " is not a URL"
    return f"{text!r:.100} is not a URL: {exc!s:.100}"


def _has_a_host(url: URL) -> bool:
    """Whether it names a host; and the same one once it is read again, as for each request."""
    try:
        return bool(url.host) and URL(str(url)).host == url.host
    except _NO_URL:
        return False


def _is_near(host: str) -> bool:
    """Loopback, a private network, or a name that only means something inside one."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        name = host.rstrip(".").lower()
        return "." not in name or name.endswith((".localhost", ".local", ".internal"))
    return address.is_loopback or address.is_private or address.is_link_local
