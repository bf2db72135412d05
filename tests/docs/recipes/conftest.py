"""What every recipe gets: its page's files in a folder of its own, and the emulator."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aitoearn_async.emulator import Emulator

from ..pages import ROOT, blocks

Recipe = Callable[[str, str], Any]
"""Saves the files of a page, and imports the one of that name."""


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Emulator]:
    """The emulator, and the environment of a reader who has pasted what it prints."""
    async with Emulator() as service:
        for name, value in environment_of(service).items():
            monkeypatch.setenv(name, value)
        yield service


def environment_of(service: Emulator) -> dict[str, str]:
    return {
        "AITOEARN_API_KEY": service.api_key,
        "AITOEARN_BASE_URL": service.url,
        "AITOEARN_PRIVATE_MEDIA": "1",
    }


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recipe]:
    """Save the named files of a page, and import the last one, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def pasted(page: str, name: str) -> Any:
        paste(page, tmp_path)
        return __import__(name)

    yield pasted
    for module in set(sys.modules) - before:
        if getattr(sys.modules[module], "__file__", "") == str(tmp_path / f"{module}.py"):
            del sys.modules[module]


def needs(package: str) -> pytest.MarkDecorator:
    """Mark the tests of a file that need a package, which is not imported before they run.

    Some frameworks take seconds to import, and every worker process reads every file.
    """
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not to be had on this Python yet")


def paste(page: str, folder: Path) -> None:
    """Save each file of a page that has a name."""
    for block in blocks(ROOT / "docs" / page):
        if block.title is not None:
            (folder / block.title).write_text(block.code, encoding="utf-8")
