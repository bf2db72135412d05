"""Header fields that the package reads: entity tags and what caches say."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from aitoearn_async._downloads.checksum import checksum_of
from aitoearn_async._net.headers import (
    condition_of,
    keep_alive,
    matches,
    retry_after,
    stored_by,
)
from tests.support.texts import CHARACTERS

TAGS = st.from_regex(r'\A(W/)?"[!#-+\--~]{1,40}"\Z', alphabet=CHARACTERS)


@pytest.mark.parametrize(
    ("etag", "condition"),
    [
        ('W/"x"', 'W/"x"'),
        ('"x"', '"x"'),
        ('W/"x-gzip"', 'W/"x-gzip", W/"x"'),
        ('W/"x-br"', 'W/"x-br", W/"x"'),
        ('"x-gzip"', '"x-gzip", "x"'),
        ("x", None),
        ("*", None),
        ('W/"a\nb"', None),
        ('"' + "x" * 201 + '"', None),
    ],
)
def test_a_tag_goes_back_with_and_without_its_suffix(etag: str, condition: str | None) -> None:
    """A proxy that compresses adds one, and the service knows the tag without it."""
    assert condition_of({"ETag": etag}, None) == condition


def test_no_tag_is_no_condition() -> None:
    assert condition_of({}, None) is None
    assert condition_of({}, 'W/"x"') is None


@given(TAGS)
def test_a_condition_matches_the_tag_it_is_made_of(etag: str) -> None:
    """As the server sends it, and in the other strength."""
    condition = condition_of({"ETag": etag}, None)
    assert condition is not None
    assert matches(condition, {"ETag": etag})
    assert matches(condition, {"ETag": etag.removeprefix("W/")})
    assert not matches(condition, {"ETag": '"another-one-by-far"'}) or "another-one-by-far" in etag
    assert not matches(condition, {})


@pytest.mark.parametrize("suffix", ["gzip", "br", "deflate", "zstd"])
def test_either_tag_of_a_compressed_response_matches(suffix: str) -> None:
    """A 304 names the one or the other: whatever the proxy makes of it on the way back."""
    condition = condition_of({"ETag": f'W/"x-{suffix}"'}, None)
    assert condition is not None
    for tag in (f'W/"x-{suffix}"', f'"x-{suffix}"', 'W/"x"', '"x"'):
        assert matches(condition, {"ETag": tag})
    assert not matches(condition, {"ETag": '"y"'})


STORED = {
    "Age": ["1", "34", "007", "12, 3", '"12"', "+5", "12.5", "9" * 30],
    "Cache-Status": ["nginx; hit", 'A; fwd=miss, B; ttl=30; hit; detail="x"'],
    "Warning": ['110 - "Response is Stale"', "111 x"],
    "X-Cache": [
        *("HIT", "Hit from cloudfront", "stale"),
        *("HIT, HIT", "MISS, HIT", "HIT,MISS", "HIT from squid, HIT"),
        *("TCP_HIT", "TCP_MEM_HIT from a1-2.deploy.akamaitechnologies.com (AkamaiGHost/1) (-)"),
        *("HIT TCP_MEM_HIT dirn:2:123", "HIT TCP_HIT dirn:10:1, MISS"),
    ],
    "X-Cache-Lookup": ["Cache Hit", "Hit From MemCache", "Hit From Disktank3"],
    "X-Cache-Status": ["HIT", "STALE", "UPDATING"],
    "X-Proxy-Cache": ["HIT"],
    "CF-Cache-Status": ["HIT"],
}
NOT_STORED = {
    "Age": ["0", "", "-1", "soon", "00"],
    "Cache-Status": ["nginx; fwd=miss", "nginx; hit=?0", "hit"],
    "Warning": ["199 misc", "1100 x"],
    "X-Cache": [
        *("MISS", "HIT from squid", "RefreshHit from cloudfront", "MISS, MISS", "TCP_MISS"),
        *("HIT from squid, MISS from squid", "TCP_REFRESH_HIT", "HIT TCP_REFRESH_HIT dirn:-2:-2"),
        *("MISS TCP_MISS dirn:-2:-2", "HITS", "TCP_REFRESH_HIT from a1.deploy.akamai.net (-)"),
    ],
    "X-Cache-Lookup": ["Cache Miss", "Hit From Upstream", "HIT from squid:3128"],
    "X-Cache-Status": ["REVALIDATED", "MISS", "BYPASS"],
    "CF-Cache-Status": ["DYNAMIC"],
    "Vary": ["*"],
}


@pytest.mark.parametrize(("says", "stored"), [(STORED, True), (NOT_STORED, False)])
def test_what_tells_of_a_cache(says: dict[str, list[str]], stored: bool) -> None:
    """Proxies that keep nothing may say 0, and a copy that was asked for anew is none."""
    for name, values in says.items():
        for value in values:
            assert (stored_by({name: value}) is not None) is stored, (name, value)
    assert stored_by({}) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("timeout=5", 5),
        ("timeout=5, max=100", 5),
        ("max=100,Timeout = 65", 65),
        ('max=100; timeout="30"', 30),
        ("timeout=0", None),  # Node.js means that it never closes them
        ("timeout=-1", None),
        ("timeout=soon", None),
        ("timeout=9999999999", None),
        ("idle-timeout=5", None),
        ("max=100", None),
        ("", None),
    ],
)
def test_a_server_says_how_long_it_keeps_a_connection(header: str, seconds: int | None) -> None:
    assert keep_alive({"Keep-Alive": header}) == seconds


def test_a_server_that_says_nothing_keeps_connections() -> None:
    assert keep_alive({}) is None


def cost(piece: str, size: int) -> float:
    """Seconds of this thread's time to read so long a text in every header; the better of two."""
    text = (piece * size)[:size]
    headers = CIMultiDict((name, text) for name in HEADERS)
    times: list[float] = []
    for _ in range(2):
        began = time.thread_time()
        condition_of(headers, None)
        keep_alive(headers)
        stored_by(headers)
        retry_after(headers)
        checksum_of(headers)
        times.append(time.thread_time() - began)
    return min(times)


HEADERS = (
    *("Age", "Cache-Status", "Warning", "X-Cache", "X-Cache-Lookup"),
    *("Date", "Digest", "ETag", "Keep-Alive", "Retry-After", "x-goog-hash"),
)


@pytest.mark.usefixtures("untraced")  # the time is to be the reader's, not the tracer's
@pytest.mark.parametrize("piece", ["a", "1", " ", ",", "=", ":", "-a", "a=", "hit ", "tcp_", "t,"])
def test_cost_grows_with_size_alone(piece: str) -> None:
    """Four times the letters cost four times the time: the loop has others to serve."""
    small, large = cost(piece, 4_000), cost(piece, 16_000)
    assert large < 8 * small + 0.05
