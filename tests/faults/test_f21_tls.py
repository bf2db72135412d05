"""Certificates: what is verified, and what an invalid one means."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aitoearn_async import ConnectionFailedError
from tests.support.raw_server import FIN, KEY, REF, RST, RawServer, good, say

CERTIFICATES = Path(__file__).parents[1] / "support" / "certificates"


def served(name: str) -> ssl.SSLContext:
    """A server's context, with one of the certificates made for these tests."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / f"{name}.pem")
    return context


def trusting(name: str) -> ssl.SSLContext:
    """A client's context that trusts this certificate, and no other."""
    return ssl.create_default_context(cafile=str(CERTIFICATES / f"{name}.pem"))


async def test_a_certificate_the_caller_trusts() -> None:
    """`ssl=` says whom to trust."""
    async with RawServer(good("generating"), good(), tls=served("valid")) as server:
        async with server.client(ssl=trusting("valid")) as client:
            assert (await client.wait_for(REF)).done
        assert server.heard[0].header("X-Api-Key") == KEY
        assert len(server.lines) == 1


async def test_verification_switched_off() -> None:
    """`ssl=False` asks for no certificate at all."""
    async with RawServer(tls=served("other-host")) as server, server.client(ssl=False) as client:
        assert (await client.get(REF)).done


INVALID: dict[str, tuple[str, dict[str, Any]]] = {
    "self-signed": ("valid", {}),
    "self-signed, verification on": ("valid", {"ssl": True}),
    "expired": ("expired", {"ssl": trusting("expired")}),
    "for another host": ("other-host", {"ssl": trusting("other-host")}),
}


@pytest.mark.parametrize(("name", "options"), INVALID.values(), ids=INVALID)
@pytest.mark.parametrize("own_session", [True, False], ids=["own session", "caller's session"])
async def test_an_invalid_certificate_is_fatal(
    name: str, options: dict[str, Any], own_session: bool
) -> None:
    """One handshake, no second try, and the key is not sent; a wait ends too."""
    async with RawServer(tls=served(name)) as server, aiohttp.ClientSession() as session:
        if not own_session:
            options = {**options, "session": session}
        async with server.client(**options) as client:
            with pytest.raises(ConnectionFailedError, match="certificate") as caught:
                await client.get(REF)
            assert not caught.value.transient
            assert client.statistics().requests == 1
            with pytest.raises(ConnectionFailedError, match="certificate"):
                await client.wait_for(REF)
            assert client.statistics().requests == 2
        assert server.heard == []


async def test_no_common_version() -> None:
    """A server with whom no encryption can be agreed on is not asked again."""
    alert = b"\x15\x03\x01\x00\x02\x02\x46"  # fatal: protocol_version
    async with RawServer(greet=[alert, FIN]) as server:
        async with server.client(base_url=server.url.replace("http:", "https:")) as client:
            with pytest.raises(ConnectionFailedError) as caught:
                await client.get(REF)
            assert not caught.value.transient
            assert caught.value.label == "no TLS"
        assert len(server.lines) == 1


@pytest.mark.parametrize("end", [FIN, RST])
async def test_hung_up_in_the_handshake(end: Any) -> None:
    """A connection lost in the handshake is trouble like any other, and tried again."""
    async with RawServer(greet=[end]) as server:
        url = server.url.replace("http:", "https:")
        async with server.client(base_url=url, attempts=3) as client:
            with pytest.raises(ConnectionFailedError) as caught:
                await client.get(REF)
            assert caught.value.transient
            assert client.statistics().requests == 3
        assert len(server.lines) == 3


async def test_https_to_a_plain_server() -> None:
    """A server that does not speak TLS hears no key."""
    async with RawServer(greet=[b"HTTP/1.1 400 Bad Request\r\n\r\n", FIN]) as server:
        async with server.client(base_url=server.url.replace("http:", "https:")) as client:
            with pytest.raises(ConnectionFailedError):
                await client.get(REF)
        assert KEY.encode() not in server.raw


async def test_http_to_a_tls_server() -> None:
    """A server that only speaks TLS does not answer to plain HTTP."""
    async with (
        RawServer(tls=served("valid")) as server,
        server.client(base_url=server.url.replace("https:", "http:")) as client,
    ):
        with pytest.raises(ConnectionFailedError):
            await client.get(REF)


async def test_a_reset_on_an_encrypted_connection() -> None:
    """Encrypted connections break, and are repaired, as others."""
    async with RawServer(say(RST), say(FIN), good(), tls=served("valid")) as server:
        async with server.client(ssl=trusting("valid")) as client:
            assert (await client.get(REF)).done
        assert server.count == 3
