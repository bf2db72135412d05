"""The recipe for aiohttp's own server, stopped as `run_app` stops it."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web

from aitoearn_async.emulator import Emulator, Fault

from .conftest import Recipe


async def test_a_submit_whose_browser_has_left_ends_before_the_client(
    service: Emulator, recipe: Recipe
) -> None:
    page = recipe("how-to/aiohttp-server.md", "app")
    app: web.Application = page.make_app()
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    service.fault(Fault(delay=20.0))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(1)) as browser:
        with pytest.raises(TimeoutError):
            await browser.put(f"http://{host}:{port}/orders/first", data={"prompt": "a cat"})
    (submit,) = app[page.ORDERS].values()
    assert not submit.done()
    await runner.cleanup()
    assert [await submit] == service.created
