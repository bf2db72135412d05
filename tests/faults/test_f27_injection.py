"""Keys, ids, addresses and header values that would be more than one of these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from aitoearn_async import AnyRef, Client, ImageRef, VideoRef, parse_ref
from tests.support.cases import case
from tests.support.raw_server import KEY, RawServer

from .harness import Row, Trial

ROW = Row(
    27,
    "Header injection in the key or a header value; ids that lead elsewhere, a megabyte long",
    "What cannot be meant is refused by name when it is given, before anything is sent, and no "
    "secret is in the message. Whatever is accepted goes out as it is, in its own place.",
)

CONTROLS = [f"{KEY}{chr(code)}" for code in (*range(0x21), 0x7F, 0x80, 0x85, 0xA0)]
KEYS: list[Any] = [
    "",
    " ",
    "x" * 513,
    5,
    True,
    f"{KEY}\r\nX-Evil: 1",
    f"{KEY}\nX-Evil: 1",
    f"{KEY}\r\n\r\nGET / HTTP/1.1",
    *CONTROLS,
    f" {KEY}",
    f"{KEY} {KEY}",
    f"{KEY}\u2028",
    f"clé-{KEY}",
    f"密钥{KEY}",
    f"{KEY}\ud800",
    f"\ufeff{KEY}",
    KEY * 20,
    KEY * 40_000,
    KEY.encode(),
    [KEY],
    {"key": KEY},
]
IDS: list[Any] = [
    "",
    ".",
    "..",
    "../../user",
    "%2F",
    "%2e%2e",
    "a%00b",
    "a/b",
    "a\\b",
    "a?b=c",
    "a#b",
    "a;b",
    "a@b",
    "a:b",
    "a b",
    " a",
    "a\n",
    "a\r\nX-Evil: 1",
    "a HTTP/1.1\r\nX-Evil: 1\r\n\r\n",
    *(f"a{chr(code)}" for code in (*range(0x2D), 0x7F, 0x80, 0x85, 0xA0)),
    "\ud800",
    "é",
    "中",
    "\u0661",
    "\u212a",
    "\u200b",
    "a\u202e",
    "a" * 129,
    "a" * 1_000_000,
]
VALUES: list[Any] = ["", "a\r\nX-Evil: 1", "a\nb", "a\0", "\x7f", "é", "\ud800", "x" * 257, 5]


def shown(value: Any) -> str:
    return ascii(value)[:24]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("key", KEYS, ids=shown)
async def test_keys(trial: Trial, key: Any) -> None:
    """Refused when the client is made, and not shown; nothing is sent."""
    async with RawServer() as server:
        refused(trial, lambda: Client(key, base_url=server.url))
        assert server.lines == []
    trial.wire(server, exactly=0)


@pytest.mark.parametrize("key", [f"{KEY}\r\nX-Evil: 1", f"{KEY}\n", f"\ufeff{KEY}"], ids=shown)
def test_keys_of_the_environment(trial: Trial, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are looked at as closely."""
    monkeypatch.setenv("AITOEARN_API_KEY", key)
    refused(trial, Client)


def refused(trial: Trial, make: Callable[[], Client]) -> None:
    with pytest.raises(ValueError, match="key") as caught:
        make()
    trial.no_key_in(str(caught.value), repr(caught.value))
    assert caught.value.__cause__ is None
    assert len(str(caught.value)) < 200


def ways(kind: type[AnyRef]) -> dict[str, Callable[[Any], object]]:
    """How an id gets into a ref."""
    plain = {"kind": kind.__name__.removesuffix("Ref").lower()}
    return {
        "made": kind,
        "converted": lambda id: msgspec.convert({**plain, "id": id}, kind),
        "parsed": lambda id: parse_ref(f"{plain['kind']}:{id}"),
        "replaced": lambda id: msgspec.structs.replace(kind("a"), id=id),
    }


@pytest.mark.sampled(5)
@pytest.mark.parametrize("id", IDS, ids=shown)
@pytest.mark.parametrize("kind", [ImageRef, VideoRef])
async def test_ids(trial: Trial, kind: type[AnyRef], id: Any) -> None:
    """Refused where a ref is made, whichever way, and quoted in short."""
    for way, make in ways(kind).items():
        with case(way):
            with pytest.raises(ValueError, match="task") as caught:
                make(id)
            assert len(str(caught.value)) < 800
            assert str(caught.value).isprintable()
            trial.figure("length of the message", len(str(caught.value)))


@pytest.mark.parametrize("value", VALUES, ids=shown)
@pytest.mark.parametrize("name", ["language", "user_agent"])
async def test_header_values(trial: Trial, name: str, value: Any) -> None:
    """Nothing but printable ASCII gets into a header; an empty user agent means the usual one."""
    async with RawServer() as server:
        if name == "user_agent" and value == "":
            return
        with pytest.raises(ValueError, match=name):
            server.client(**{name: value})
        assert server.lines == []
    trial.wire(server, exactly=0)
