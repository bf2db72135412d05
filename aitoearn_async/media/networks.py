"""Where files may be fetched from: addresses, and the networks they lead into.

An address comes from the service, which had it from a provider: it is a stranger's word. So
it is looked at twice. `checked` reads the URL; `guarded_socket` looks at the very address that
is about to be connected to, which no redirect and no name server can change any more. Both
raise, and neither sends anything.
"""

from __future__ import annotations

import ipaddress
import socket

from yarl import URL

from ..session.address import is_name

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# IPv6 prefixes that stand for an IPv4 address, and how far from its end that begins: bits.
_CARRIERS = (
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # mapped
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4
)
_UNICAST = ipaddress.IPv6Network("2000::/3")
# What older Pythons take for global, or for global in part: protocols' own networks, Teredo
# among them, a retired relay, and those for documentation.
_SPECIAL = tuple(
    ipaddress.ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "3fff::/20")
)

_OPTION = "private_media=True allows it"


class Unfit(Exception):
    """An address that nothing is to be fetched from. Its text names no more than a host."""


class Inside(OSError):
    """A connection that would have led into an internal network.

    An `OSError`, so that a host of several addresses is tried at the next of them. All of
    them say the same, or several would be folded into one of no type of its own.
    """

    def __init__(self) -> None:
        super().__init__("internal address")


def is_outside(address: Address) -> bool:
    """Whether an address is one of the public internet.

    Not: loopback, private, link-local, shared, reserved, multicast or unspecified ones, nor
    an IPv6 address that carries such a one in it.
    """
    if any(address in network for network in _SPECIAL):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    for network, shift in _CARRIERS:
        if address in network:
            return is_outside(ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF))
    return address in _UNICAST and address.is_global


def literal(host: str) -> Address | None:
    """The address that a host is, however oddly it is written; None for a name."""
    host = host.strip("[]").partition("%")[0].rstrip(".")
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        # As the C library reads it: decimal, octal, hexadecimal, and with parts left out.
        return ipaddress.IPv4Address(socket.inet_aton(host)) if host.isascii() else None
    except (OSError, ValueError):
        return None


def checked(text: str, base: URL | None, *, plain: bool, inside: bool) -> URL:
    """An address that may be asked, as far as its words tell.

    Args:
        text: The address; that of a redirect may be relative.
        base: Where the redirect came from, if it is one.
        plain: Whether http will do.
        inside: Whether internal networks are allowed.

    Raises:
        Unfit: It may not.
    """
    try:
        url = URL(text) if base is None else base.join(URL(text))
        host = url.host or ""
    except (ValueError, TypeError):
        url, host = URL(), ""
    if why := _what_is_wrong(url, host, plain=plain):
        raise Unfit(why)
    if base is not None and base.scheme == "https" and url.scheme != "https":
        raise Unfit(f"the redirect to {host} leads from https to http")
    address = literal(host)
    local = host.rstrip(".").lower().rpartition(".")[2] == "localhost"
    if not inside and (local or (address is not None and not is_outside(address))):
        raise Unfit(internal(host))
    return url


def _what_is_wrong(url: URL, host: str, *, plain: bool) -> str | None:
    if url.scheme not in ("http", "https") or not host:
        return "the address is no http(s) address"
    if not is_name(host):
        return f"the address has a host that cannot be one: {host:.80}"
    if url.raw_user is not None or url.raw_password is not None:
        return f"the address at {host} has a login in it"
    if url.scheme == "http" and not plain:
        return f"the address at {host} is plain http, and the service's own is https"
    return None


def internal(host: str) -> str:
    """What is said of a host that leads into an internal network."""
    return f"{host} is an address of an internal network ({_OPTION})"


def guarded_socket(info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """Make the socket of a connection, as `TCPConnector(socket_factory=...)` wants it.

    Args:
        info: What `getaddrinfo` said: family, type, protocol, name, and the address.

    Raises:
        Inside: The address is one of an internal network.
    """
    family, kind, protocol, _, where = info
    address = literal(str(where[0]))
    if address is None or not is_outside(address):
        raise Inside
    return socket.socket(family, kind, protocol)
