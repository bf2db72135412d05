"""Files become data URIs, off the event loop, and only if they are what they should be."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from aitoearn_async import Client, ClientClosedError, EditImage, GenerateVideo
from aitoearn_async.attachments import MOST_BYTES, packed
from aitoearn_async.emulator import Emulator

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(12)
MP3 = b"ID3\x04" + bytes(20)
URL = "https://example.com/a.png"


def uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def edit(image: Any, **fields: Any) -> EditImage:
    return EditImage(model="gpt-image-2", prompt="x", image=image, **fields)


async def test_each_kind_of_source(tmp_path: Path) -> None:
    path = tmp_path / "misnamed.gif"
    path.write_bytes(JPEG)
    with path.open("rb") as file:
        request, body = await packed(
            edit([URL, uri(PNG, "image/png"), path, PNG, file, io.BytesIO(PNG)], mask=PNG)
        )
        assert not file.closed
    jpeg, png = uri(JPEG, "image/jpeg"), uri(PNG, "image/png")
    assert request.image == [URL, png, jpeg, png, jpeg, png]  # type: ignore[attr-defined]
    assert json.loads(body)["image"] == [URL, png, jpeg, png, jpeg, png]
    assert json.loads(body)["mask"] == png


async def test_all_fields_that_hold_files() -> None:
    request = GenerateVideo(
        model="m", prompt="p", image=PNG, image_tail=JPEG, images=[PNG], audios=[MP3, b"OggS\0"]
    )
    _, body = await packed(request)
    assert json.loads(body) == {
        "model": "m",
        "prompt": "p",
        "image": uri(PNG, "image/png"),
        "image_tail": uri(JPEG, "image/jpeg"),
        "images": [uri(PNG, "image/png")],
        "audios": [uri(MP3, "audio/mpeg"), uri(b"OggS\0", "audio/ogg")],
    }


@pytest.mark.parametrize(
    ("content", "found"), [(MP4, "video/mp4"), (b"<html>", "nothing known"), (MP3, "audio/mpeg")]
)
async def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(content)
    for source in (path, content, io.BytesIO(content)):
        with pytest.raises(ValueError, match=rf"^image=.*not an image; .* of {found}"):
            await packed(edit(source))


async def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await packed(edit(tmp_path / "none.png"))
    (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match="nothing known"):
        await packed(edit(tmp_path / "empty"))

    class Odd:
        def read(self, size: int) -> str:
            return "text"

    with pytest.raises(ValueError, match="open it as binary"):
        await packed(edit(Odd()))


async def test_the_limit_is_the_bodys(tmp_path: Path) -> None:
    least = len((await packed(edit(PNG)))[1]) - len(uri(PNG, "image/png"))
    room = MOST_BYTES - least - len("data:image/png;base64,")
    most = PNG + bytes(room // 4 * 3 - len(PNG))
    _, body = await packed(edit(most))
    assert MOST_BYTES - 4 < len(body) <= MOST_BYTES
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.write(PNG)
        file.truncate(10**12)  # sparse
    for source in (most + bytes(4), path, [most[: len(most) // 2], most]):
        with pytest.raises(ValueError, match=f"larger than the {MOST_BYTES:,} bytes"):
            await packed(edit(source))


async def test_nothing_is_sent_for_what_is_refused(tmp_path: Path) -> None:
    async with Emulator() as service, Client(service.api_key, base_url=service.url) as client:
        for source in (b"GIF", tmp_path / "none"):
            with pytest.raises((ValueError, OSError)):
                await client.submit(edit(source))
        assert service.requests == []
        assert client.statistics().requests == 0
        ref = await client.submit(edit(PNG))
        assert (await client.get(ref)).request == {
            "model": "gpt-image-2",
            "prompt": "x",
            "image": uri(PNG, "image/png"),
        }


async def test_a_file_in_pieces(tmp_path: Path) -> None:
    """A read may give less than it is asked for, as of a pipe or a socket: the rest follows."""

    class Piecemeal(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(7)

    for source in (Piecemeal(PNG), await piped(tmp_path / "pipe", PNG[:9], PNG[9:])):
        _, body = await packed(edit(source))
        assert json.loads(body)["image"] == uri(PNG, "image/png")


async def piped(path: Path, *pieces: bytes) -> Path:
    """A pipe that somebody writes to after a while, as in a shell's `<(...)`."""
    os.mkfifo(path)

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            for piece in pieces:
                time.sleep(0.01)
                pipe.write(piece)

    threading.Thread(target=write, daemon=True).start()
    return path


@pytest.mark.parametrize("how", ["cancelled", "closed"])
async def test_a_pipe_that_nobody_writes_to(tmp_path: Path, how: str) -> None:
    """Waiting for it ends when it is not wanted any more, and holds up nothing."""
    os.mkfifo(tmp_path / "pipe")
    here = threading.active_count()
    async with Client("key", base_url="http://127.0.0.1:9") as client:
        task = asyncio.ensure_future(client.submit(edit(tmp_path / "pipe")))
        await asyncio.sleep(0.01)
        await client.aclose() if how == "closed" else task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() if how == "cancelled" else task.exception()
        if how == "closed":
            assert isinstance(task.exception(), ClientClosedError)
    await asyncio.get_running_loop().shutdown_default_executor()
    assert threading.active_count() <= here


async def test_files_are_read_on_a_thread() -> None:
    here: list[int] = []

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            here.append(threading.get_ident())
            return super().read(size)

    await packed(edit(Slow(PNG)))
    assert here
    assert here[0] != threading.get_ident()
    assert asyncio.all_tasks() == {asyncio.current_task()}
