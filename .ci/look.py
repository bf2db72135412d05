"""Look at every page of the built site in a browser: phone and desktop, light and dark.

    python .ci/look.py site

Ends with 1 and a line for each fault: a request to another machine or one that fails, an error
of a script, a picture that does not show, a page wider than the screen, text that is hardly
readable, a search that finds nothing. Needs Chromium (Debian: chromium-headless-shell).
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from playwright.async_api import Browser, Page, TimeoutError, ViewportSize, async_playwright

ROOT = Path(__file__).resolve().parent.parent
WIDTHS: dict[str, ViewportSize] = {
    "phone": {"width": 375, "height": 740},
    "desktop": {"width": 1280, "height": 900},
}
SEARCHES = {"en": "timeout", "zh": "超时"}
"""What is looked for, by language."""

BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")

FAULTS = """() => {
    const found = [];
    const wide = document.documentElement.scrollWidth - innerWidth;
    if (wide > 0) found.push(`wider than the screen, by ${wide} px`);
    for (const image of document.images)
        if (image.complete && !image.naturalWidth) found.push(`no picture: ${image.src}`);
    const light = (text) => {
        const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((value) => {
            value /= 255;
            return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const page = light(getComputedStyle(document.body).backgroundColor);
    for (const each of document.querySelectorAll("article h1, article p, article td")) {
        const text = light(getComputedStyle(each).color);
        const contrast = (Math.max(page, text) + 0.05) / (Math.min(page, text) + 0.05);
        if (contrast < 4.5) {
            found.push(`contrast ${contrast.toFixed(1)}: ${each.innerText.slice(0, 40)}`);
            break;
        }
    }
    if (!document.querySelector("article h1")) found.push("no heading");
    return found;
}"""


async def main(site: Path) -> int:
    """Look at each page; the number of faults."""
    faults: list[str] = []
    pages = pages_of(site)
    async with served(site) as address, async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=next(filter(None, map(shutil.which, BROWSERS)), None),
            args=["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else [],
        )
        await asyncio.gather(*(look(browser, address, pages[n::2], faults) for n in range(2)))
        for first in sorted({page.parts[:-1] for page in pages if page.name == "tutorial"}):
            await search(browser, address + "/".join(first) + "/", faults)
        await browser.close()
    sys.stdout.writelines(f"{line}\n" for line in [*faults, f"{len(pages)} pages"])
    return len(faults)


def pages_of(site: Path) -> list[Path]:
    """The pages of the newest version; in Chinese, those that are translated."""
    languages = {site: ROOT / "docs", site / "zh": ROOT / "docs" / "zh"}
    found: list[Path] = []
    for place, sources in languages.items():
        version = json.loads((place / "versions.json").read_text(encoding="utf-8"))[0]["version"]
        for index in (place / version).rglob("index.html"):
            name = index.parent.relative_to(place / version)
            if (sources / f"{name}.md").is_file() or (sources / name / "index.md").is_file():
                found.append(index.parent.relative_to(site))
    return sorted(found)


@asynccontextmanager
async def served(site: Path) -> AsyncIterator[str]:
    """The site on this machine; its address."""

    async def answer(request: web.Request) -> web.FileResponse:
        path = site / request.path.lstrip("/")
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(path)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/"
    finally:
        await runner.cleanup()


async def look(browser: Browser, address: str, pages: list[Path], faults: list[str]) -> None:
    """Open pages one after the other, and look at each at all widths, in both colours."""
    page = await browser.new_page(viewport=WIDTHS["desktop"])
    where = ""

    def fault(what: str) -> None:
        faults.append(f"{where}: {what}")

    listen(page, address, fault)
    for path in pages:
        where = str(path)
        await page.goto(f"{address}{path}/", wait_until="load")
        for name, size in WIDTHS.items():
            await page.set_viewport_size(size)
            for scheme in ("default", "slate"):
                await page.evaluate(
                    "scheme => document.body.setAttribute('data-md-color-scheme', scheme)", scheme
                )
                for found in await page.evaluate(FAULTS):
                    fault(f"{name}, {scheme}: {found}")
    await page.close()


def listen(page: Page, address: str, fault: object) -> None:
    """Note what goes wrong while a page loads."""
    assert callable(fault)
    page.on("pageerror", lambda error: fault(f"script: {error}"))
    page.on(
        "requestfailed",  # what was under way while the next page was opened is none
        lambda request: request.failure == "net::ERR_ABORTED" or fault(f"failed: {request.url}"),
    )
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((address, "data:", "blob:"))
            else fault(f"asks another machine: {request.url}")
        ),
    )
    page.on(
        "response",
        lambda response: response.status >= 400 and fault(f"{response.status}: {response.url}"),
    )


async def search(browser: Browser, url: str, faults: list[str]) -> None:
    """Look for a word as a reader does, and see that something is found."""
    page = await browser.new_page(viewport=WIDTHS["desktop"])
    page.set_default_timeout(10_000)
    await page.goto(url, wait_until="load")
    language = await page.evaluate("document.documentElement.lang")
    await page.keyboard.press("/")
    await page.locator("input:focus").wait_for()
    await page.keyboard.type(SEARCHES[language])
    try:
        await page.locator("a:has(mark)").first.wait_for()
    except TimeoutError:
        faults.append(f"{url}: nothing is found for {SEARCHES[language]!r}")
    await page.close()


if __name__ == "__main__":
    sys.exit(min(asyncio.run(main(Path(sys.argv[1]).resolve())), 1))
