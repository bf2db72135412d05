"""What the caller says of himself and of the service: checked when the client is made."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from aitoearn_async import CHINA, INTERNATIONAL, Client, GenerateImage, TaskNotFoundError
from aitoearn_async._net.urls import is_name
from aitoearn_async._transport.credentials import without_key
from aitoearn_async.emulator import Emulator
from tests.support.cases import case
from tests.support.raw_server import KEY, REF, RawServer


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key or address of the developer's own."""
    monkeypatch.delenv("AITOEARN_API_KEY", raising=False)
    monkeypatch.delenv("AITOEARN_BASE_URL", raising=False)


@pytest.mark.parametrize("key", ["!", "~", "x" * 512, "sk-AZaz09+/=:._~!"])
async def test_keys_go_out_as_they_are(key: str) -> None:
    """What a header can carry is carried."""
    async with RawServer() as server, server.client(api_key=key) as client:
        await client.get(REF)
        assert server.heard[0].header("X-Api-Key") == key


def test_no_key_at_all() -> None:
    """The message says where one can be put."""
    with pytest.raises(ValueError, match="AITOEARN_API_KEY"):
        Client()


async def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Key and address come from the environment where none are given."""
    async with RawServer() as server, RawServer() as other:
        monkeypatch.setenv("AITOEARN_API_KEY", "from-environment")
        monkeypatch.setenv("AITOEARN_BASE_URL", server.url)
        async with Client() as client:
            await client.get(REF)
        async with Client("from-argument", base_url=other.url) as client:
            await client.get(REF)
        assert server.heard[0].header("X-Api-Key") == "from-environment"
        assert other.heard[0].header("X-Api-Key") == "from-argument"
        assert server.count == 1


def test_default_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """International, unless said otherwise; an empty variable says nothing."""
    assert repr(Client(KEY)) == f"<Client {INTERNATIONAL} open>"
    assert repr(Client(KEY, base_url=CHINA)) == f"<Client {CHINA} open>"
    monkeypatch.setenv("AITOEARN_BASE_URL", "")
    assert INTERNATIONAL in repr(Client(KEY))
    monkeypatch.setenv("AITOEARN_BASE_URL", "ftp://example.org")
    with pytest.raises(ValueError, match="base_url"):
        Client(KEY)


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "example.org",
        "/api",
        "//example.org",
        "ftp://example.org",
        "file:///etc/passwd",
        "http://",
        "https:///api",
        "https://user@example.org",
        "https://user:secret-word@example.org",
        "https://:secret-word@example.org",
        "https://example.org/?a=b",
        "https://example.org/#part",
        "https://example.org:99999",
        "https://example.org:port",
        "https://[half",
        "https://[:1]:1",
        "https://[:1]",
        "https://[:::01]:443/1",
        "https://[::1]@",
        "https://" + 1000 * "\u2100",
        "https://user:secret-word@[half",
        "https://user:secret-word@example.org:port",
        "https://user:secret-word\uff20example.org",
        "https://a..org",
        "https://.org",
        f"https://{'x' * 64}.org",
        "https://xn--a.org",
        "http://127.1",
        "http://10.0.0.256:8080",
        "http://192.168.1:8080",
        "http://8080",
        "http://127.0.0.1.",
        "https://exa mple.org",
        "https://example.org\r\nX-Evil: 1",
        "javascript:alert(1)",
        5,
        b"https://example.org",
        URL("https://example.org"),
        ["https://example.org"],
    ],
)
def test_base_urls_that_are_none(base_url: Any) -> None:
    """An address that cannot be meant is refused when the client is made, without its secrets."""
    with pytest.raises(ValueError, match="base_url") as caught:
        Client(KEY, base_url=base_url)
    assert "secret-word" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("suffix", "prefix"),
    [
        ("", ""),
        ("/", ""),
        ("/proxy", "/proxy"),
        ("/proxy/", "/proxy"),
        ("/a%2Fb/c//", "/a%2Fb/c"),
        ("/%E4%B8%AD", "/%E4%B8%AD"),
        ("/中", "/%E4%B8%AD"),
    ],
)
async def test_base_urls_with_a_path(suffix: str, prefix: str) -> None:
    """A path before the API's is kept as it is, and a slash at the end is not doubled."""
    async with RawServer() as server:
        async with server.client(base_url=server.url + suffix) as client:
            await client.get(REF)
        assert server.heard[0].path == f"{prefix}/api/ai/image/task/{REF.id}"


async def test_a_scheme_in_capitals() -> None:
    """Addresses are compared as addresses are."""
    async with RawServer() as server:
        async with server.client(base_url=server.url.replace("http", "HTTP")) as client:
            await client.get(REF)
        assert server.count == 1


@pytest.mark.parametrize(
    "host",
    ["example.org", "8.8.8.8", "[2001:4860:4860::8888]", "localhost.example.org", "100.64.0.1"],
)
def test_plain_http_over_the_internet(host: str) -> None:
    """The key would be readable on the way: a warning, once, where the client is made."""
    with pytest.warns(UserWarning, match="plain http") as caught:
        Client(KEY, base_url=f"http://{host}")
    assert len(caught) == 1
    assert caught[0].filename == __file__, "the warning names the line that made the client"
    assert KEY not in str(caught[0].message)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "http://localhost:8080",
        "http://127.0.0.1",
        "http://127.8.8.8",
        "http://[::1]:8080",
        "http://10.1.2.3",
        "http://172.16.0.1",
        "http://192.168.1.1",
        "http://169.254.1.1",
        "http://[fe80::1]",
        "http://[fd00::1]",
        "http://aitoearn",
        "http://api.internal",
        "http://api.local",
        "http://api.localhost",
        "http://LOCALHOST.",
    ],
)
def test_no_warning_nearby(url: str) -> None:
    """Inside a machine or a private network plain http is nobody's business."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Client(KEY, base_url=url)


@pytest.mark.parametrize("path", ["/api", "/v1"])
async def test_a_path_too_many_is_told_of(aitoearn_service: Emulator, path: str) -> None:
    """The service knows no such route; the task, which may well be there, is not to blame."""
    ref = aitoearn_service.add_image("success")
    address = aitoearn_service.url + path
    async with Client(aitoearn_service.api_key, base_url=address) as client:
        for call in (client.get(ref), client.submit(GenerateImage(model="m", prompt="a cat"))):
            with pytest.raises(TaskNotFoundError, match=r"no such route \(is base_url= right\?\)"):
                await call


async def test_header_values_go_out() -> None:
    """Language and user agent are sent as given."""
    options = {"language": "zh-CN,zh;q=0.9", "user_agent": "bot/1.0 (+https://example.org)"}
    async with RawServer() as server, server.client(**options) as client:
        await client.get(REF)
        assert server.heard[0].header("Accept-Language") == options["language"]
        assert server.heard[0].header("User-Agent") == options["user_agent"]


NAN, INF, HUGE = float("nan"), float("inf"), 10**400


WRONG: dict[str, list[Any]] = {
    "request_timeout": [0, -1, NAN, INF, "5", None, True, HUGE],
    "requests_per_second": [0, -1, NAN, INF, "5", True, HUGE],
    "attempts": [0, -1, 1.0, NAN, "3", None, True, HUGE],
    "concurrency": [0, -1, 1.5, INF, "3", None, False],
    "max_response_bytes": [0, -1, 1e6, "1", None, True],
    "wait": [5, "5", 0, []],
    "proxy": [5, "", "no address", "proxy:3128", "ftp://proxy.example.org"],
    "ssl": ["no", 5, []],
    "session": [5, "session", object()],
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name: str) -> None:
    """A wrong argument is refused by name when the client is made, and not later."""
    for value in WRONG[name]:
        with case(value), pytest.raises((ValueError, TypeError), match=name):
            Client(KEY, **{name: value})


@pytest.mark.parametrize("name", ["timeout", "patience"])
@pytest.mark.parametrize(
    "value", [-1, -0.001, NAN, -INF, "5", True, HUGE], ids=lambda value: repr(value)[:20]
)
def test_wrong_arguments_of_a_wait(name: str, value: Any) -> None:
    """So are a wait's, at the call."""
    with pytest.raises(ValueError, match=name):
        Client(KEY).wait_for(REF, **{name: value})


@pytest.mark.parametrize("ref", ["66f0c0ffee0123456789abcd", "", "picture:66", None, 5, b""])
async def test_what_is_not_a_ref(ref: Any) -> None:
    """It is refused at the call, and the error says how a ref is written."""
    async with RawServer() as server, server.client() as client:
        with pytest.raises((TypeError, ValueError), match="image:"):
            await client.get(ref)
        with pytest.raises((TypeError, ValueError), match="image:"):
            client.wait_for(ref)
        assert server.lines == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("no key", "no key"),
        ("sk-", "sk-"),
        ("your key sk-012345-a is not valid", "your key <API key> is not valid"),
        ("SK-012345-A", "<API key>"),
        ("sk-012345-ask-012345-a", "<API key><API key>"),
        ("cut: sk-012345-", "cut: <API key>"),
        ("cut: sk-012", "cut: <API key>"),
        ("cut: Sk-01", "cut: Sk-01"),
        ("sk-012345-b", "sk-012345-b"),
    ],
)
def test_the_key_is_taken_out_of_what_is_shown(text: str, shown: str) -> None:
    """Whole, in any case, and in part where the text ends; a few first letters tell nothing."""
    assert without_key(text, "sk-012345-a") == shown


def _is_encoded(host: str) -> bool:
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


@given(
    st.lists(st.sampled_from(["", "a", "a" * 63, "a" * 64, "B-1", "ü", "\x7f", "a b"]), max_size=4)
)
@example([])
def test_a_name_is_what_the_codec_of_names_takes(labels: list[str]) -> None:
    """It is slow to load, so names in ASCII are judged without it; and it takes what none has."""
    host = ".".join(labels)
    is_plain = "\x7f" not in host and " " not in host
    assert is_name(host) == (is_plain and _is_encoded(host))
