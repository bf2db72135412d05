"""The networks that files may be fetched from, and the addresses that lead into others.

An address comes from the service, which had it from a provider: it is a stranger's word. So
it is looked at twice. `check_url` reads the URL; `guarded_socket` looks at the very address
that is about to be connected to, which no redirect and no name server can change any more.
Both raise, and neither sends anything.
"""

from __future__ import annotations

import ipaddress
import socket

from yarl import URL

from .._net.urls import NO_URL, is_name
from .allowed_networks import Allowed, Network
from .media_urls import parse_url
from .transfer_error import TransferError

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
# The ranges that people meet, with their names in the IANA registries.
_RANGES: tuple[tuple[Network, str], ...] = tuple(
    (ipaddress.ip_network(text), name)
    for text, name in (
        ("127.0.0.0/8", "loopback"),
        ("10.0.0.0/8", "private"),
        ("172.16.0.0/12", "private"),
        ("192.168.0.0/16", "private"),
        ("169.254.0.0/16", "link-local"),
        ("100.64.0.0/10", "shared"),
        ("198.18.0.0/15", "benchmarking; a proxy with fake-IP DNS gives these to every name"),
        ("0.0.0.0/8", "unspecified"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("::1/128", "loopback"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("ff00::/8", "multicast"),
    )
)


class ForbiddenAddressError(TransferError):
    """An address from which nothing may be fetched."""


class PrivateAddressError(OSError):
    """A connection that would have led into an internal network.

    An `OSError`, so that a host of several addresses is tried at the next of them. All of
    them say the same, or several would be folded into one of no type of its own.

    Attributes:
        address: The address it would have led to.
    """

    def __init__(self, address: Address | None) -> None:
        super().__init__("internal address")
        self.address: Address | None = address


def may_connect(address: Address, allowed: Allowed) -> bool:
    """Return whether an address may be connected to."""
    return (
        allowed.everything
        or is_public(address)
        or any(address in network for network in allowed.networks)
    )


def is_public(address: Address) -> bool:
    """Return whether an address is one of the public internet.

    Not: loopback, private, link-local, shared, reserved, multicast or unspecified ones, nor
    an IPv6 address that carries such a one in it.
    """
    if any(address in network for network in _SPECIAL):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    carried = _carried(address)
    if carried is not None:
        return is_public(carried)
    return address in _UNICAST and address.is_global


def _carried(address: Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for."""
    for network, shift in _CARRIERS:
        if address in network:
            return ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return None


def literal(host: str) -> Address | None:
    """Return the address that a host is, however oddly it is written; None for a name."""
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


def check_url(text: str, base: URL | None, *, plain: bool, allowed: Allowed) -> URL:
    """Return an address that may be asked, as far as its words tell.

    Args:
        text: The address; that of a redirect may be relative.
        base: Where the redirect came from, if it is one.
        plain: Whether http will do.
        allowed: The internal networks that are allowed.

    Raises:
        ForbiddenAddressError: It may not.
    """
    try:
        url = parse_url(text, base)
        host = url.host or ""
    except NO_URL:
        url, host = URL(), ""
    if why := _fault_of(url, host, plain=plain):
        raise ForbiddenAddressError(why)
    if base is not None and base.scheme == "https" and url.scheme != "https":
        raise ForbiddenAddressError(f"the redirect to {host} leads from https to http")
    if not allowed.has_host(host):
        address = literal(host)
        local = host.rstrip(".").lower().rpartition(".")[2] == "localhost"
        if local and not allowed.networks:
            raise ForbiddenAddressError(internal_text(host, None))
        if address is not None and not may_connect(address, allowed):
            raise ForbiddenAddressError(internal_text(host, address))
    return url


def _fault_of(url: URL, host: str, *, plain: bool) -> str | None:
    if url.scheme not in ("http", "https") or not host:
        return "the address is no http(s) address"
    if not is_name(host):
        return f"the address has a host that cannot be one: {host!r:.80}"
    if url.raw_user is not None or url.raw_password is not None:
        return f"the address at {host} has a login in it"
    if url.scheme == "http" and not plain:
        return f"the address at {host} is plain http, and the service's own is https"
    return None


def internal_text(host: str, address: Address | None) -> str:
    """Return the text that names a host's internal network, and the argument that allows it."""
    if address is None:
        return f"{host} is an address of an internal network (private_media=True allows it)"
    shown = _carried(address) or address
    found = next((found for found in _RANGES if shown in found[0]), None)
    leads = "is" if literal(host) == address else f"leads to {address},"
    where = f" {found[0]} ({found[1]})" if found else ""
    entry = found[0] if found else shown
    return (
        f"{host} {leads} an address of an internal network{where}; "
        f'private_media=True allows it, or private_media=["{entry}"] this range alone'
    )


def guarded_socket(
    info: tuple[int, int, int, str, tuple[object, ...]], *, allowed: Allowed
) -> socket.socket:
    """Make the socket of a connection, as `TCPConnector(socket_factory=...)` wants it.

    Args:
        info: What `getaddrinfo` said: family, type, protocol, name, and the address.
        allowed: The internal networks that are allowed.

    Raises:
        PrivateAddressError: The address is one of an internal network.
    """
    family, kind, protocol, _, where = info
    address = literal(str(where[0]))
    if address is None or not may_connect(address, allowed):
        raise PrivateAddressError(address)
    return socket.socket(family, kind, protocol)
