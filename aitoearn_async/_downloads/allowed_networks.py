"""The internal networks that files may be fetched from, as the caller names them.

They are read with the first client, so that a wrong one is refused then. `network_guard` holds
addresses against them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

import msgspec
from yarl import URL

from .._net.urls import is_name

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Allowed(msgspec.Struct, frozen=True):
    """The internal networks that files may come from all the same."""

    everything: bool = False
    hosts: frozenset[str] = frozenset()
    """Names; one that begins with a dot stands for all names that end so."""
    networks: tuple[Network, ...] = ()

    def has_host(self, host: str) -> bool:
        """Return whether a host is named here."""
        name = host.rstrip(".").lower()
        parts = name.split(".")
        endings = (f".{'.'.join(parts[at:])}" for at in range(1, len(parts)))
        return self.everything or name in self.hosts or any(end in self.hosts for end in endings)


def allowed_networks(private_media: bool | Iterable[str]) -> Allowed:
    """Read what a caller allows.

    Args:
        private_media: True for all networks; or hosts (`cdn.example`, `.example`), addresses
            and ranges (`10.1.0.0/16`).

    Raises:
        ValueError: An entry is none of these.
    """
    if isinstance(private_media, bool):
        return Allowed(everything=private_media)
    hosts: set[str] = set()
    networks: list[Network] = []
    for entry in private_media:
        text = entry.strip().removeprefix("*").strip("[]") if isinstance(entry, str) else ""
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError as exc:
            if (host := _host_of(text)) is None:
                raise ValueError(
                    f"private_media={entry!r:.80}: give True, or names of hosts, addresses and "
                    f"ranges such as '10.1.0.0/16' ({exc})"
                ) from None
            hosts.add(host)
    return Allowed(hosts=frozenset(hosts), networks=tuple(networks))


def _host_of(text: str) -> str | None:
    """Return a host as URLs tell theirs, in whichever alphabet it is given; None if it is none."""
    dot, name = ("." if text.startswith(".") else ""), text.removeprefix(".")
    if "/" in name or ":" in name or not is_name(name):
        return None
    try:
        host = URL.build(scheme="http", host=name).host or ""
    except ValueError:
        return None
    return dot + host.rstrip(".")
