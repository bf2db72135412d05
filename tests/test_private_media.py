"""Who says whether files are fetched from internal networks: the caller, else the environment."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from aitoearn_async import Client, MediaAddressError
from aitoearn_async.emulator import Emulator

VARIABLE = "AITOEARN_PRIVATE_MEDIA"


ALLOWED = contextlib.nullcontext()
REFUSED = pytest.raises(MediaAddressError)


@pytest.mark.parametrize(
    ("word", "argument", "end"),
    [
        *((word, None, ALLOWED) for word in ("1", "true", "Yes")),
        *((word, None, REFUSED) for word in (None, "", "0", "off")),
        *((word, None, ALLOWED) for word in ("127.0.0.0/8", "10.1.2.3, 127.0.0.1")),
        ("10.1.2.3, 192.168.0.0/16", None, REFUSED),
        *(("0", True, ALLOWED), (None, True, ALLOWED), ("1", False, REFUSED)),
    ],
)
async def test_files_of_internal_networks_are_fetched_only_if_somebody_allows_it(
    word: str | None,
    argument: bool | None,
    end: contextlib.AbstractContextManager[object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_to(word, monkeypatch)
    async with Emulator() as service:
        client = Client(service.api_key, base_url=service.url, private_media=argument)
        async with client:
            task = await client.wait_for(service.add_image("success"))
            with end:
                assert await client.download(task, tmp_path)


@pytest.mark.parametrize("word", ["maybe", "storage:9000", "10.1.2.3:80", "10.1.2.3,"])
def test_a_word_that_is_neither_is_refused_by_name(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to(word, monkeypatch)
    with pytest.raises(ValueError, match=f"{VARIABLE}='{word}': set it to 1 or 0"):
        Client("key", base_url="http://127.0.0.1:1")


def test_a_host_without_a_dot_is_told_how_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to("storage", monkeypatch)
    with pytest.raises(ValueError, match=r"one without a dot as 'storage\.'"):
        Client("key")
    set_to("storage.", monkeypatch)
    Client("key")


def test_what_is_no_list_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="private_media=1: give True, or hosts"):
        Client("key", private_media=1)  # type: ignore[arg-type]


def set_to(word: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if word is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, word)
