"""Where files are fetched from: no address inside, however it is written or come by.

A server on this machine stands for all that is inside. It counts connections, which are what
there must be none of.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from pathlib import Path

import pytest

from aitoearn_async import Client, DownloadError, MediaAddressError
from aitoearn_async._downloads.allowed_networks import allowed_networks
from aitoearn_async._downloads.media_urls import parse_url
from aitoearn_async._downloads.network_guard import is_public, literal
from tests.support.cases import case
from tests.support.raw_server import KEY, Heard, RawServer, Script, http, say

from .storage import FILM, client_for, film_at, names, serve


def _words(text: str) -> list[str]:
    return text.split()


INSIDE = _words(
    "127.0.0.1 127.8.9.10 2130706433 0x7f000001 0x7f.1 0177.0.0.1 017700000001 127.1 127.0.1 "
    "0 0.0.0.0 10.0.0.1 0x0a000001 172.16.0.1 192.168.1.1 3232235777 169.254.169.254 "
    "0xa9fea9fe 2852039166 100.64.0.1 100.100.100.200 192.0.0.192 192.0.2.1 198.18.0.1 "
    "224.0.0.1 240.0.0.1 255.255.255.255 "
    "::1 0:0:0:0:0:0:0:1 :: ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:10.0.0.1 "
    "::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 2002:7f00:1:: "
    "2002:a9fe:a9fe::1 2001:0:7f00:1::1 2001:0:808:808:0:0:80ff:fffe fe80::1 fe80::1%lo "
    "fe80::1%25eth0 fc00::1 fd00:ec2::254 fec0::1 ff02::1 2001:db8::1 100::1 4000::1"
)
OUTSIDE = _words(
    "8.8.8.8 1.1.1.1 134744072 2606:4700:4700::1111 2001:4860:4860::8888 ::ffff:8.8.8.8 "
    "64:ff9b::808:808 2002:808:808::1"
)


def test_inside() -> None:
    for text in INSIDE:
        with case(text):
            address = literal(text)
            assert address is not None
            assert not is_public(address)


@pytest.mark.parametrize("text", OUTSIDE)
def test_outside(text: str) -> None:
    address = literal(text)
    assert address is not None
    assert is_public(address)


@pytest.mark.parametrize("name", ["example.org", "localhost", "deadbeef", "1.example", "", "x y"])
def test_names_are_no_addresses(name: str) -> None:
    assert literal(name) is None


def test_every_network_with_a_name_is_inside() -> None:
    """What Python itself calls private, loopback and so on is, also as carried in IPv6."""
    for text in (
        "127.0.0.1",
        "10.1.1.1",
        "172.31.255.255",
        "192.168.0.1",
        "169.254.0.1",
        "0.1.2.3",
    ):
        plain = ipaddress.IPv4Address(text)
        number = int(plain)
        for carrier in (
            plain,
            ipaddress.IPv6Address(0xFFFF << 32 | number),
            ipaddress.IPv6Address((0x64FF9B << 96) | number),
            ipaddress.IPv6Address((0x2002 << 112) | number << 80),
        ):
            assert not is_public(carrier), carrier


def urls_of(port: int) -> list[str]:
    """This machine's own server, in every form of writing it."""
    hosts = [
        *("127.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "0"),
        *("0.0.0.0", "localhost", "LOCALHOST.", "x.localhost", "127.0.0.1.", "[::1]"),
        *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
        *(
            "[::127.0.0.1]",
            "[fe80::1%25lo]",
            "[::1%25lo]",
            "１２７.0.0.1",
            "①②⑦.0.0.1",
            "ⓛocalhost",
        ),
        *("127。0。0。1", "%31%32%37.0.0.1"),
    ]
    return [f"http://{host}:{port}/film" for host in hosts]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("number", range(len(urls_of(0))), ids=lambda n: urls_of(0)[n])
async def test_no_form_of_this_machine_is_connected_to(number: int, tmp_path: Path) -> None:
    """Asked for itself, and as the target of a redirect over the internet."""
    async with RawServer(serve()) as server, client_for(server, private_media=False) as client:
        url = urls_of(server.port)[number]
        with pytest.raises(DownloadError) as caught:
            await client.download(film_at(url), tmp_path, timeout=5)
        assert len(server.lines) == 0
        assert isinstance(caught.value, MediaAddressError) or "%" in url
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "host",
    [
        *("a..b", ".", f"{'a' * 64}.example", "a" * 10_000, "8.8.8", "8.8.8.888", "134744072"),
        *("a b", "a\u00a0b", "a\x1bb"),
    ],
)
async def test_a_host_that_cannot_be_one(host: str, tmp_path: Path) -> None:
    """It is not looked up, again and again, and its name is not poured out."""
    async with RawServer(serve()) as server, client_for(server) as client:
        began = asyncio.get_running_loop().time()
        with pytest.raises(MediaAddressError, match="a host that cannot be one") as caught:
            await client.download(film_at(f"http://{host}/film"), tmp_path)
        assert asyncio.get_running_loop().time() - began < 5  # threads take real time
        assert len(str(caught.value)) < 250
        assert str(caught.value).isprintable()


async def test_the_error_says_what_to_do(tmp_path: Path) -> None:
    async with RawServer(serve()) as server, client_for(server, private_media=False) as client:
        with pytest.raises(MediaAddressError, match=r"127\.0\.0\.1 .*private_media=True"):
            await client.download(film_at(server.url), tmp_path)


RANGES = {
    "127.0.0.1": "127.0.0.0/8",
    "10.1.2.3": "10.0.0.0/8",
    "169.254.169.254": "169.254.0.0/16",
    "198.18.7.7": "198.18.0.0/15",
    "[fd00:ec2::254]": "fc00::/7",
    "[::ffff:192.168.1.1]": "192.168.0.0/16",
}


@pytest.mark.parametrize(("host", "range_"), RANGES.items())
async def test_the_error_names_the_range(host: str, range_: str, tmp_path: Path) -> None:
    """And what opens that range without opening the rest."""
    async with Client(KEY, base_url="http://127.0.0.1:9", private_media=False) as client:
        with pytest.raises(MediaAddressError) as caught:
            await client.download(film_at(f"http://{host}/film"), tmp_path)
    assert f'private_media=["{range_}"]' in str(caught.value)


ALLOWED = [
    ["127.0.0.0/8"],
    ["10.0.0.0/8", "127.0.0.1"],
    "127.0.0.1",
    ["media.example"],
    [".example"],
    ["*.example"],
]


@pytest.mark.parametrize("allowed", ALLOWED, ids=str)
async def test_a_range_or_a_host_can_be_allowed(
    allowed: str | list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch, media=["127.0.0.1"])
    async with RawServer(serve()) as server, client_for(server, private_media=allowed) as client:
        await client.download(film_at(f"http://media.example:{server.port}/film"), tmp_path)


@pytest.mark.parametrize("allowed", ["b\u00fccher.example", "XN--BCHER-KVA.example", ".example"])
@pytest.mark.parametrize("host", ["b\u00fccher.example", "xn--bcher-kva.example"])
def test_an_allowed_host_is_one_in_either_alphabet(allowed: str, host: str) -> None:
    assert allowed_networks([allowed]).has_host(parse_url(f"http://{host}/film").host or "")


@pytest.mark.parametrize("allowed", [["10.0.0.0/8"], ["other.example"], ["example"], []], ids=str)
async def test_what_is_not_allowed_stays_refused(
    allowed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch, media=["127.0.0.1"])
    async with RawServer(serve()) as server, client_for(server, private_media=allowed) as client:
        with pytest.raises(MediaAddressError, match="leads to 127"):
            await client.download(film_at(f"http://media.example:{server.port}/film"), tmp_path)
        assert not server.lines


async def test_an_allowed_host_may_not_lead_on_to_one_that_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each address of a chain of redirects is looked at for itself."""
    resolve(monkeypatch, media=["127.0.0.1"], other=["127.0.0.1"])

    def lead_on(heard: Heard) -> list[bytes]:
        return [http(b"", 302, {"Location": f"http://other.example:{server.port}/"})]

    async with (
        RawServer(lead_on) as server,
        client_for(server, private_media=["media.example"]) as client,
    ):
        with pytest.raises(MediaAddressError, match=r"other\.example leads to"):
            await client.download(film_at(f"http://media.example:{server.port}/"), tmp_path)
        assert server.count == 1


@pytest.mark.parametrize(
    "allowed", ["10.0.0.0/33", "10.0.0.1/8", "", "a..b", 7, "1:2", "x/y", "x y", "xn--a", "a@b"]
)
def test_an_entry_that_is_none_is_refused_by_name(allowed: object) -> None:
    with pytest.raises(ValueError, match=r"private_media="):
        Client(KEY, private_media=[allowed])  # type: ignore[list-item]


def resolve(monkeypatch: pytest.MonkeyPatch, **hosts: list[str]) -> list[str]:
    """Let names have these addresses, one after the other; the last one stays."""
    asked: list[str] = []

    def getaddrinfo(host: object, port: object, *args: object, **kwargs: object) -> list[object]:
        name = host.decode() if isinstance(host, bytes) else str(host)
        asked.append(name)
        answers = hosts[name.partition(".")[0]]
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        where = (address, port, 0, 0) if ":" in address else (address, port)
        return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0"])
async def test_a_name_for_this_machine(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a name server says is looked at where the socket is made."""
    asked = resolve(monkeypatch, media=[address])
    async with RawServer(serve()) as server, client_for(server, private_media=False) as client:
        url = f"http://media.example:{server.port}/film"
        with pytest.raises(
            MediaAddressError, match=r"^video:\w+ could not be saved: media\.example leads to"
        ):
            await client.download(film_at(url), tmp_path)
        assert len(server.lines) == 0
    assert asked == ["media.example"]
    assert names(tmp_path) == []


async def test_a_name_that_changes_its_mind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: the address that is connected to is the one that was looked at.

    The first answer leads outside, where nothing listens in a test; the second one inside.
    """
    loop = asyncio.get_running_loop()
    reached: list[object] = []

    async def sock_connect(sock: socket.socket, where: object) -> None:
        reached.append(where)
        raise ConnectionRefusedError(111, "no internet here")

    monkeypatch.setattr(loop, "sock_connect", sock_connect)
    resolve(monkeypatch, media=["8.8.8.8", "127.0.0.1"])
    client = Client(KEY, base_url="http://127.0.0.1:9", private_media=False)
    async with client:
        with pytest.raises(DownloadError) as caught:
            await client.download(film_at("http://media.example/film"), tmp_path, timeout=60)
    assert {where[0] for where in reached} == {"8.8.8.8"}  # type: ignore[index]
    assert isinstance(caught.value, MediaAddressError)


REDIRECTS = {
    "relative": ("/elsewhere", None),
    "to ftp": ("ftp://127.0.0.1/x", "no http"),
    "to a file": ("file:///etc/passwd", "no http"),
    "with a login": ("http://user:word@127.0.0.1/", "a login"),
    "to data": ("data:video/mp4;base64,AAAA", "no http"),
    "to no address": ("//[]@", "no http"),
}


@pytest.mark.parametrize(("target", "says"), REDIRECTS.values(), ids=REDIRECTS)
async def test_redirects(target: str, says: str | None, tmp_path: Path) -> None:
    """Each is looked at as the first address was."""
    scripts: tuple[Script, ...] = (say(http(b"", 302, {"Location": target})), serve())
    async with RawServer(*scripts) as server, client_for(server) as client:
        if says is None:
            await client.download(film_at(f"{server.url}/film"), tmp_path)
            assert [heard.path for heard in server.heard] == ["/film", "/elsewhere"]
        else:
            with pytest.raises(MediaAddressError, match=says) as caught:
                await client.download(film_at(f"{server.url}/film"), tmp_path)
            assert "word" not in str(caught.value)
            assert len(server.lines) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_five_redirects_and_no_key(status: int, tmp_path: Path) -> None:
    """Over five hops on two hosts, with Range on each, and nowhere the key."""
    async with RawServer(serve()) as last:

        def hop(heard: object) -> list[bytes]:
            number = first.count
            target = f"{last.url}/film" if number == 5 else f"/{number}"
            return [http(b"", status, {"Location": target, "Set-Cookie": "a=b"})]

        async with RawServer(hop) as first, client_for(first) as client:
            await client.download(film_at(f"{first.url}/film"), tmp_path)
        assert (first.count, last.count) == (5, 1)
        for server in (first, last):
            assert KEY.encode() not in server.raw
            assert b"cookie" not in server.raw.lower()
            assert {heard.method for heard in server.heard} == {"GET"}


async def test_a_redirect_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a proxy, which is the caller's wish, and so may be inside, to what is not."""
    async with RawServer(serve()) as inside:
        target = f"http://127.0.0.1:{inside.port}/film"
        async with RawServer(say(http(b"", 302, {"Location": target}))) as proxy:
            async with client_for(proxy, private_media=False, proxy=proxy.url) as client:
                with pytest.raises(MediaAddressError, match="internal"):
                    await client.download(film_at("http://media.example/film"), tmp_path)
            assert [heard.path for heard in proxy.heard] == ["http://media.example/film"]
            assert KEY.encode() not in proxy.raw
        assert len(inside.lines) == 0


async def test_a_proxy_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`trust_env` holds for files as for polls, and only where it is said."""
    async with RawServer(serve()) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        url = "http://media.example/film"
        resolve(monkeypatch, media=["127.0.0.1"])
        async with client_for(proxy, private_media=False) as client:
            with pytest.raises(MediaAddressError):
                await client.download(film_at(url), tmp_path)
        assert proxy.count == 0
        async with client_for(proxy, private_media=False, trust_env=True) as client:
            await client.download(film_at(url), tmp_path)
        assert proxy.heard[0].path == url


async def test_plain_http_from_a_service_that_is_not(tmp_path: Path) -> None:
    """Where the service is https, its files are; a redirect never leads down."""
    async with RawServer(serve()) as server, Client(KEY, private_media=True) as client:
        with pytest.raises(MediaAddressError, match="plain http"):
            await client.download(film_at(f"{server.url}/film"), tmp_path)
        assert len(server.lines) == 0


async def test_a_redirect_down_to_http(tmp_path: Path) -> None:
    """Not even where the service itself is plain http."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).parents[1] / "support" / "certificates" / "valid.pem")
    async with RawServer(serve()) as plain:
        target = say(http(b"", 302, {"Location": f"{plain.url}/film"}))
        async with RawServer(target, tls=tls) as server:
            options = {"base_url": plain.url, "ssl": False}
            async with client_for(server, **options) as client:
                with pytest.raises(MediaAddressError, match="from https to http"):
                    await client.download(film_at(f"{server.url}/film"), tmp_path)
        assert len(plain.lines) == 0


async def test_an_invalid_certificate(tmp_path: Path) -> None:
    """It is not tried again, and nothing is fetched."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).parents[1] / "support" / "certificates" / "valid.pem")
    async with RawServer(serve(), tls=tls) as server, client_for(server) as client:
        with pytest.raises(DownloadError, match="certificate") as caught:
            await client.download(film_at(f"{server.url}/film"), tmp_path)
        assert not caught.value.transient
        assert server.count == 0
    async with RawServer(serve(FILM), tls=tls) as server, client_for(server, ssl=False) as client:
        assert len(await client.download(film_at(f"{server.url}/film"), tmp_path)) == 1
