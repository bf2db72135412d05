"""Certificates and handshakes: what is verified, and what an invalid one means."""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aitoearn_async import Client, ConnectionFailedError, wait_backoff
from tests.support.raw_server import FIN, KEY, REF, RST, End, RawServer, good, say

from .harness import Row, Trial

ROW = Row(
    21,
    "TLS: an expired, self-signed or foreign certificate, an old version, a reset in the handshake",
    "What cannot be trusted is final, after two handshakes, and the key is not sent. An alert, or "
    "a handshake that breaks off, is trouble like any other, and is tried again.",
)

CERTIFICATES = Path(__file__).parents[1] / "support" / "certificates"


def served(name: str) -> ssl.SSLContext:
    """A server's context, with one of the certificates made for these tests."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / f"{name}.pem")
    return context


def trusting(name: str) -> ssl.SSLContext:
    """A client's context that trusts this certificate, and no other."""
    return ssl.create_default_context(cafile=str(CERTIFICATES / f"{name}.pem"))


async def test_a_certificate_the_caller_trusts(trial: Trial) -> None:
    """`ssl=` says whom to trust."""
    scripts = good("generating"), good()
    async with (
        RawServer(*scripts, tls=served("valid")) as server,
        server.client(ssl=trusting("valid"), wait=wait_backoff(1)) as client,
    ):
        await trial.ends(client.wait_for, REF, status="success")
        assert server.heard[0].header("X-Api-Key") == KEY
        assert len(server.lines) == 1
    trial.wire(server, exactly=2)


async def test_verification_switched_off(trial: Trial) -> None:
    """`ssl=False` asks for no certificate at all."""
    async with (
        RawServer(tls=served("other-host")) as server,
        server.client(ssl=False) as client,
    ):
        await trial.ends(client.get, REF, status="success")
    trial.wire(server, exactly=1)


INVALID: dict[str, tuple[str, dict[str, Any]]] = {
    "self-signed": ("valid", {}),
    "self-signed, verification on": ("valid", {"ssl": True}),
    "expired": ("expired", {"ssl": trusting("expired")}),
    "for another host": ("other-host", {"ssl": trusting("other-host")}),
}


@pytest.mark.parametrize(("name", "options"), INVALID.values(), ids=INVALID)
@pytest.mark.parametrize("own_session", [True, False], ids=["own session", "caller's session"])
async def test_an_invalid_certificate_is_final(
    trial: Trial, name: str, options: dict[str, Any], own_session: bool
) -> None:
    """It takes two handshakes to be sure, and the key is not sent; a wait ends too."""
    async with RawServer(tls=served(name)) as server, aiohttp.ClientSession() as session:
        if not own_session:
            options = {**options, "session": session}
        async with server.client(attempts=3, **options) as client:
            calls: list[Callable[[Any], Awaitable[Any]]] = [client.get, client.wait_for]
            for number, call in enumerate(calls, 1):
                (error,) = await trial.ends(call, REF)
                assert type(error) is ConnectionFailedError
                assert "certificate" in str(error)
                assert not error.transient
                assert client.statistics().requests == 2 * number
    trial.wire(server, exactly=0)
    trial.no_key_in(server.raw)


async def test_another_fingerprint(trial: Trial) -> None:
    """A certificate that is not the one that was pinned is as final as an invalid one."""
    pinned = aiohttp.Fingerprint(bytes(32))
    async with (
        RawServer(tls=served("valid")) as server,
        server.client(attempts=3, ssl=pinned) as client,
    ):
        (error,) = await trial.ends(client.get, REF)
        assert type(error) is ConnectionFailedError
        assert error.label == "bad certificate"
        assert not error.transient
        assert client.statistics().requests == 2
    trial.wire(server, exactly=0)
    trial.no_key_in(server.raw)


async def test_a_batch_ends_with_an_invalid_certificate(trial: Trial) -> None:
    """No task would fare better."""
    async with RawServer(tls=served("valid")) as server, server.client(concurrency=4) as client:
        (error,) = await trial.ends(lambda ref: client.wait_all([ref] * 50), REF)
        assert type(error) is ConnectionFailedError
    trial.wire(server, exactly=0)


def shake_hands(listening: socket.socket) -> str:
    """A server that speaks nothing newer than TLS 1.1. Returns what it has to complain of.

    In a thread of its own: asyncio's servers hang up on such a client without a word.
    """
    context = served("valid")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    connection, _ = listening.accept()
    with connection:
        try:
            context.wrap_socket(connection, server_side=True).close()
        except ssl.SSLError as exc:
            return str(exc.reason)
    return "nothing"


async def test_tls_1_1(trial: Trial) -> None:
    """No common version: the server hears no key."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        hands = loop.run_in_executor(None, shake_hands, listening)
        url = "https://127.0.0.1:{1}".format(*listening.getsockname())
        async with Client(KEY, base_url=url, ssl=trusting("valid"), attempts=1) as client:
            (error,) = await trial.ends(client.get, REF)
            assert client.statistics().requests == 1
        assert "PROTOCOL" in (await hands)
    assert type(error) is ConnectionFailedError
    assert error.label == "no TLS"


NO_TLS: dict[str, bytes] = {
    "an alert: no common version": b"\x15\x03\x01\x00\x02\x02\x46",
    "an alert: handshake failure": b"\x15\x03\x03\x00\x02\x02\x28",
    "plain HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.mark.parametrize("greeting", NO_TLS.values(), ids=NO_TLS)
async def test_a_server_with_which_there_is_no_tls(trial: Trial, greeting: bytes) -> None:
    """It is trouble like any other: a node that restarts says so too. It hears no key."""
    async with RawServer(greet=[greeting, FIN]) as server:
        url = server.url.replace("http:", "https:")
        async with server.client(base_url=url, attempts=3) as client:
            (error,) = await trial.ends(client.get, REF)
            assert type(error) is ConnectionFailedError
            assert error.transient
            assert error.label == "no TLS"
        assert len(server.lines) == 3
        trial.no_key_in(server.raw)


HELLO = bytes.fromhex("160303007a020000760303") + bytes(20)
"""How a server's hello begins."""


@pytest.mark.parametrize("end", [FIN, RST])
@pytest.mark.parametrize("before", [b"", HELLO], ids=["at once", "in the hello"])
async def test_hung_up_in_the_handshake(trial: Trial, end: End, before: bytes) -> None:
    """A connection lost in the handshake is trouble like any other, and tried again."""
    async with RawServer(greet=[before, 0.1, end] if before else [end]) as server:
        url = server.url.replace("http:", "https:")
        async with server.client(base_url=url, attempts=3) as client:
            (error,) = await trial.ends(client.get, REF)
            assert type(error) is ConnectionFailedError
            assert error.transient
            assert client.statistics().requests == 3
        assert len(server.lines) == 3
        trial.no_key_in(server.raw)


async def test_http_to_a_tls_server(trial: Trial) -> None:
    """A server that only speaks TLS does not answer to plain HTTP."""
    async with (
        RawServer(tls=served("valid")) as server,
        server.client(base_url=server.url.replace("https:", "http:"), attempts=2) as client,
    ):
        (error,) = await trial.ends(client.get, REF)
        assert type(error) is ConnectionFailedError
    trial.wire(server, exactly=0)


async def test_a_reset_on_an_encrypted_connection(trial: Trial) -> None:
    """Encrypted connections break, and are repaired, as others."""
    scripts = say(RST), say(FIN), good()
    async with (
        RawServer(*scripts, tls=served("valid")) as server,
        server.client(ssl=trusting("valid")) as client,
    ):
        await trial.ends(client.get, REF, status="success")
    trial.wire(server, exactly=3)
