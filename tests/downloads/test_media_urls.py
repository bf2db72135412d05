"""Addresses of files go out byte for byte as they were given."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from aitoearn_async._downloads.media_urls import parse_url, plain_path
from tests.support.raw_server import Heard, RawServer, Script, http, say
from tests.support.texts import CHARACTERS

from .storage import FILM, client_for, film_at, serve

TARGETS = [
    "/plain/a%20b.mp4?ex=1&is=2&hm=3&",
    "/o.mp4?type=video%2Fmp4&Signature=ab~cd__&Key-Pair-Id=K1",
    "/it%27s%20a%20cat%281%29.mp4?Expires=1&Signature=x%2By%3D",
    "/o.mp4?credential=AK%2f20260801%2fcn&sign=q%2Cr%3Bs",
    "/%7Eme/%E7%8C%AB.mp4?sign=1",
    "/a%2fb/%2e%2e/c",
    "/lone?",
    "/two??a=b?c",
    "//twice//slashes/",
    "/dots/../and/./more",
    "/semi;colon=1,2:3@4!$&'()*+",
    "/q?a+b&c=d%20e&&=",
    '/bars|and\\others^`{}<>"[]',
]


WAYS = ("directly", "by a redirect", "by a relative one")


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("target", "way"),
    # A relative target that begins so is another host's.
    [(at, way) for at in TARGETS for way in WAYS[: 2 if at.startswith("//") else 3]],
)
async def test_a_target_is_sent_as_it_is_written(target: str, way: str, tmp_path: Path) -> None:
    """Directly and by `Location`."""

    def choose(heard: Heard) -> Script:
        if heard.path == "/go":
            where = target if way == "by a relative one" else server.url + target
            return say(http(b"", 302, {"Location": where}))
        return serve() if heard.path == target else say(http(b"", 451))

    async with RawServer(choose=choose) as server, client_for(server) as client:
        url = server.url + ("/go" if way != "directly" else target)
        (path,) = await client.download(film_at(url), tmp_path)
    assert path.read_bytes() == FILM


printable = st.characters(min_codepoint=0x21, max_codepoint=0x7E)


@given(st.text(st.one_of(printable, st.sampled_from("%/?&=+")), max_size=60))
def test_no_printable_character_is_respelled(text: str) -> None:
    text = text.replace("#", "")
    assert parse_url(f"https://cdn.example/{text}").raw_path_qs == f"/{text}"


@given(st.text(CHARACTERS, max_size=60))
def test_what_cannot_be_sent_is_encoded(text: str) -> None:
    """Never more than one line, whatever an address holds."""
    try:
        url = parse_url("https://cdn.example/" + text)
    except ValueError:
        return
    assert url.raw_path_qs.isascii()
    assert not set(url.raw_path_qs) & set(" \r\n\t\0")
    assert url.host == "cdn.example"


REFERENCES = {
    "https://other.example/x?y": "https://other.example/x?y",
    "//other.example/x%2f": "https://other.example/x%2f",
    "/x?": "https://cdn.example:8443/x?",
    "z%2f?q": "https://cdn.example:8443/a/z%2f?q",
    "../z": "https://cdn.example:8443/z",
    "?new=%2F": "https://cdn.example:8443/a/b?new=%2F",
    "": "https://cdn.example:8443/a/b?old=1",
    "#part": "https://cdn.example:8443/a/b?old=1",
    "https://cdn.example/a b": "https://cdn.example/a%20b",
    "https://cdn.example/猫": "https://cdn.example/%E7%8C%AB",
}


@pytest.mark.parametrize(("reference", "expected"), REFERENCES.items())
def test_references_are_resolved(reference: str, expected: str) -> None:
    base = parse_url("https://cdn.example:8443/a/b?old=1")
    assert str(parse_url(reference, base)) == expected


@pytest.mark.parametrize("text", ["", "nonsense", "/path", "?q", "ftp:", "http://", "//host/x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        parse_url(text)


def test_hosts_are_read_as_ever() -> None:
    assert parse_url("HTTPS://[::1]:8443/x").host == "::1"
    assert parse_url("https://例子.example/x").raw_host == "xn--fsqu00a.example"
    assert plain_path(parse_url("https://h.example/a?b")) == "/a"
    assert parse_url("https://h.example?b").raw_path_qs == "/?b"
    assert isinstance(parse_url("https://h.example"), URL)
