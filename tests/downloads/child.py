"""A process that downloads, for tests that kill it, starve it or weigh it.

    python -m tests.downloads.child URL DIRECTORY [limit=BYTES]

Prints `saved PATH`, or the error; and in any case the peak of its memory before and after.
"""

from __future__ import annotations

import asyncio
import resource
import sys

from aitoearn_async import Client, DownloadError

from .storage import film_at


def resident() -> int:
    """The most memory this process has held so far: bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(url: str, directory: str) -> None:
    async with Client("key", base_url="http://127.0.0.1:9", private_media=True) as client:
        say("ready")
        before = resident()
        try:
            (path,) = await client.download(film_at(url), directory, timeout=200)
            say(f"saved {path}")
        except DownloadError as error:
            say(f"{error} transient={error.transient} cause={error.__cause__!r}")
        say(f"grew {resident() - before}")


for argument in sys.argv[3:]:
    size = int(argument.removeprefix("limit="))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
asyncio.run(main(*sys.argv[1:3]))
