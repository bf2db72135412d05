"""A process that is killed in the middle of an upload leaves nothing behind, here or there."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from aitoearn_async.emulator import Emulator, VirtualTimeLoop

CHILD = """
import asyncio, sys
from aitoearn_async import Client, GenerateVideo

async def film():
    yield b"\\x00\\x00\\x00\\x18ftypisom"
    for number in range(80):
        yield bytes([number]) * 100_000

def told(sent, of):
    print(sent, flush=True)
    if sent > of / 2:
        sys.stdin.readline()

async def main(url, key):
    async with Client(key, base_url=url, private_media=True) as client:
        request = GenerateVideo(model="sora-2", prompt="p", videos=[film()])
        await client.submit(request, progress=told)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
async def test_a_process_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    """No copy of the stream on the disk, no half a film in the store, and no task."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    with loop.real_time():
        async with Emulator() as service:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", CHILD, service.url, service.api_key),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "TMPDIR": str(tmp_path)},
            )
            assert child.stdout is not None
            sizes = [int(await child.stdout.readline())]
            while sizes[-1] <= 4_000_012:
                sizes.append(int(await child.stdout.readline()))
            child.kill()
            assert await child.wait() == -9
            assert child.stdin is not None
            child.stdin.close()
        assert os.listdir(tmp_path) == []
        (asset,) = service.assets.values()
        assert (asset.content, asset.confirmed) == (None, None)
        assert service.created == []
