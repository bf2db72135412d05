"""Who says whether files are fetched from internal networks: the caller, else the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from aitoearn_async import Client, MediaAddressError
from aitoearn_async.emulator import Emulator

VARIABLE = "AITOEARN_PRIVATE_MEDIA"


@pytest.mark.parametrize(
    ("word", "argument"), [("1", None), ("true", None), ("Yes", None), ("0", True), (None, True)]
)
async def test_files_of_internal_networks_are_fetched_if_that_is_allowed(
    word: str | None, argument: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to(word, monkeypatch)
    async with Emulator() as service:
        client = Client(service.api_key, base_url=service.url, private_media=argument)
        async with client:
            task = await client.wait_for(service.add_image("success"))
            assert await client.download(task, tmp_path)


@pytest.mark.parametrize(
    ("word", "argument"), [(None, None), ("", None), ("0", None), ("off", None), ("1", False)]
)
async def test_they_are_refused_unless_somebody_allows_it(
    word: str | None, argument: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to(word, monkeypatch)
    async with Emulator() as service:
        client = Client(service.api_key, base_url=service.url, private_media=argument)
        async with client:
            task = await client.wait_for(service.add_image("success"))
            with pytest.raises(MediaAddressError):
                await client.download(task, tmp_path)


def test_a_word_that_is_neither_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to("maybe", monkeypatch)
    with pytest.raises(ValueError, match=f"{VARIABLE}='maybe': set it to 1 or 0"):
        Client("key", base_url="http://127.0.0.1:1")


def set_to(word: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if word is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, word)
