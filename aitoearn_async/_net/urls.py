"""Addresses and header values, as the caller gives them: usable, or refused.

All of it is checked once, when the client is made, and wrong input is refused with a
`ValueError` that says what to do. No secret gets into a message.
"""

from __future__ import annotations

import ipaddress
import os
import unicodedata
import warnings
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from ..contract.endpoints import INTERNATIONAL

NO_URL = (ValueError, TypeError, LookupError)
"""The exceptions of yarl for text that is no URL; the last for some that have no host."""


def checked_header(name: str, value: str) -> str:
    """Return a header value of the caller's, if it can be sent.

    Raises:
        ValueError: It is empty or holds anything but printable ASCII.
    """
    fits = isinstance(value, str) and value.isascii() and value.isprintable()
    if not fits or not 1 <= len(value) <= 256:
        raise ValueError(f"{name}= is 1-256 printable ASCII characters, not {value!r:.60}")
    return value


def checked_headers(user_agent: str, language: str | None) -> dict[str, str]:
    """Return the headers that a caller can choose, if they can be sent.

    Raises:
        ValueError: One of them is empty or holds anything but printable ASCII.
    """
    headers = {"User-Agent": checked_header("user_agent", user_agent)}
    if language is not None:
        headers["Accept-Language"] = checked_header("language", language)
    return headers


def checked_base_url(text: str | None) -> URL:
    """Return the service's address, or the environment's, or the default; no slash at its end.

    Warns once, at construction, when the key would travel readable over the internet.

    Raises:
        ValueError: It is no http(s) URL with a host, or has credentials, query or fragment.
    """
    if text is None:
        text = os.environ.get("AITOEARN_BASE_URL") or INTERNATIONAL
    if not isinstance(text, str):
        raise ValueError(
            f"base_url= is a str, not {type(text).__name__}; write it like {INTERNATIONAL!r}"
        )
    try:
        url = URL(text)
        base = url.with_path(url.raw_path.rstrip("/"), encoded=True)
        wrong = _what_is_wrong(url) or _what_is_wrong(base)
    except NO_URL as exc:
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
            stacklevel=4,  # past `assemble` and `Client`
        )
    return base


def proxy_objection(address: str | None) -> ValueError | None:
    """Return the error to raise where this cannot be a proxy's address.

    It is not raised here, where the address, and a password in it, would be among the locals.
    """
    if address is None:
        return None
    try:
        url = URL(address)
    except NO_URL:
        url = URL()
    if url.scheme in ("http", "https") and _has_a_host(url) and is_name(url.host or ""):
        return None
    return ValueError("proxy= is no http(s) address; write it like 'http://proxy:3128'")


def _what_is_wrong(url: URL) -> str | None:
    if url.scheme not in ("http", "https"):
        return "does not begin with http:// or https://"
    if not _has_a_host(url):
        return "has no host"
    if not is_name(url.host or ""):
        return "has a host that cannot be one"
    if url.raw_user is not None or url.raw_password is not None:
        return "has credentials in it"
    if url.raw_query_string or url.raw_fragment:
        return "has a query or a fragment"
    return None


def _shown(text: str, exc: Exception) -> str:
    """Return what is wrong with an address, without the address where a password may be in it."""
    if "@" in unicodedata.normalize("NFKC", text):
        return " is not a URL"
    return f"{text!r:.100} is not a URL: {exc!s:.100}"


def _has_a_host(url: URL) -> bool:
    """Return whether a URL names a host, and the same one once it is read again."""
    try:
        return bool(url.host) and URL(str(url)).host == url.host
    except NO_URL:
        return False


def is_name(host: str) -> bool:
    """Return whether a host can be looked up at all."""
    if host.replace(".", "").isdigit():  # a resolver takes 127.1 for an address; aiohttp does not
        return _is_ipv4(host)
    if not host.isprintable() or " " in host:
        return False
    if host.isascii():  # as the codec has it, which is slow to load
        *labels, last = host.split(".")
        return host != "" and all(0 < len(label) < 64 for label in labels) and len(last) < 64
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _is_near(host: str) -> bool:
    """Return whether a host is this machine, or in a private network, by its address or name."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        name = host.rstrip(".").lower()
        return "." not in name or name.endswith((".localhost", ".local", ".internal"))
    return address.is_loopback or address.is_private or address.is_link_local


def proxies(fixed: str | None, *, trust_env: bool) -> Callable[[URL], str | None]:
    """Return a function that tells the proxy for an address: the caller's or the environment's."""
    return environment_proxy if trust_env and fixed is None else lambda url: fixed


def proxy_options(address: str | None) -> dict[str, Any]:
    """Return a proxy as aiohttp's requests take it, a login apart from the address.

    aiohttp shows the addresses of proxies, as in its warning of a connection that was not closed.
    """
    if address is None:
        return {}
    if "@" not in address:
        return {"proxy": address}
    url = URL(address)
    login = f"{url.user or ''}:{url.password or ''}".encode()
    # aiohttp takes this header for the proxy's, with and without TLS behind it.
    headers = {"Authorization": f"Basic {b64encode(login).decode()}"}
    return {"proxy": url.with_user(None), "proxy_headers": headers}


def is_for_proxy(url: URL) -> bool:
    """Return whether the environment names a proxy for an address of https."""
    return url.scheme == "https" and environment_proxy(url) is not None


def environment_proxy(url: URL) -> str | None:
    """Return the proxy that the environment (`HTTP_PROXY`, ...) names for an address, if any."""
    if proxy_bypass(url.host or ""):
        return None
    proxy = getproxies().get(url.scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def origin_of(location: str, base: URL) -> str:
    """Return where a `Location` leads, no further than host and port."""
    try:
        return str(base.join(URL(location)).origin())
    except NO_URL:
        return "an address that is none"
