"""Where none is uploaded, files become data URIs, and only if they are what they should be."""

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

from aitoearn_async import Client, ClientClosedError, EditImage, GenerateVideo, TaskRequest
from aitoearn_async._uploads.content import opened
from aitoearn_async.emulator import Emulator

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(12)
MP3 = b"ID3\x04" + bytes(20)
URL = "https://example.com/a.png"
MOST_BYTES = 16 * 2**20 - 16 * 2**10


def uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def edit(image: Any, **fields: Any) -> EditImage:
    return EditImage(model="gpt-image-2", prompt="x", image=image, **fields)


async def packed(request: TaskRequest[Any]) -> dict[str, Any]:
    """What is sent for a request when nothing is uploaded."""
    async with (
        Emulator() as service,
        Client(service.api_key, base_url=service.url) as client,
    ):
        await client.submit(request, upload="never")
        body: dict[str, Any] = json.loads(service.requests[-1].body)
        return body


async def test_each_kind_of_source(tmp_path: Path) -> None:
    path = tmp_path / "misnamed.gif"
    path.write_bytes(JPEG)
    with path.open("rb") as file:
        body = await packed(
            edit([URL, uri(PNG, "image/png"), path, PNG, file, io.BytesIO(PNG)], mask=PNG)
        )
        assert not file.closed
    jpeg, png = uri(JPEG, "image/jpeg"), uri(PNG, "image/png")
    assert body["image"] == [URL, png, jpeg, png, jpeg, png]
    assert body["mask"] == png


async def test_all_fields_that_hold_files() -> None:
    request = GenerateVideo(
        model="veo-3.1",
        prompt="p",
        image=PNG,
        image_tail=JPEG,
        images=[PNG],
        audios=[MP3, b"OggS\0"],
    )
    assert await packed(request) == {
        "model": "veo-3.1",
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
        with pytest.raises(ValueError, match=rf"^image=.*not an image; .* is {found}"):
            await packed(edit(source))


async def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await packed(edit(tmp_path / "none.png"))
    (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match="is empty"):
        await packed(edit(tmp_path / "empty"))

    class Odd:
        def read(self, size: int) -> str:
            return "text"

    with pytest.raises(ValueError, match="open it as binary"):
        await packed(edit(Odd()))


async def test_the_limit_is_the_bodys(tmp_path: Path) -> None:
    least = len(json.dumps(await packed(edit(PNG)), separators=(",", ":"))) - len(
        uri(PNG, "image/png")
    )
    room = MOST_BYTES - least - len("data:image/png;base64,")
    most = PNG + bytes(room // 4 * 3 - len(PNG))
    assert len((await packed(edit(most)))["image"]) <= MOST_BYTES
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.write(PNG)
        file.truncate(2**29)  # sparse
    text = "data:image/png;base64," + "A" * 2**24
    for source in (most + bytes(4), path, [most[: len(most) // 2], most], text):
        with pytest.raises(ValueError, match=f"larger than the {MOST_BYTES:,} bytes"):
            await packed(edit(source))


async def test_a_file_may_have_a_gibibyte(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.write(PNG)
        file.truncate(2**30 + 1)  # sparse
    with pytest.raises(ValueError, match="larger than the 1,073,741,824 bytes"):
        await packed(edit(path))


async def test_nothing_is_sent_for_what_is_refused(tmp_path: Path) -> None:
    async with Emulator() as service, Client(service.api_key, base_url=service.url) as client:
        for source in (b"GIF", tmp_path / "none"):
            with pytest.raises((ValueError, OSError)):
                await client.submit(edit(source))
        assert service.requests == []
        assert client.statistics().requests == 0
        ref = await client.submit(edit(PNG), upload="never")
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
        body = await packed(edit(source))
        assert body["image"] == uri(PNG, "image/png")


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
    here = set(threading.enumerate())
    async with Client("key", base_url="http://127.0.0.1:9") as client:
        task = asyncio.ensure_future(client.submit(edit(tmp_path / "pipe")))
        await asyncio.sleep(0.01)
        await client.aclose() if how == "closed" else task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() if how == "cancelled" else task.exception()
        if how == "closed":
            assert isinstance(task.exception(), ClientClosedError)
    await asyncio.get_running_loop().shutdown_default_executor()
    # A busy machine takes a while to end a thread that has been told to.
    left = set(threading.enumerate()) - here
    for thread in left:
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in left)


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


async def test_a_file_that_shrinks_under_the_submit(tmp_path: Path) -> None:
    """What is left of it is not sent for the whole."""
    path = tmp_path / "cat.png"
    path.write_bytes(PNG + bytes(1000))
    async with Emulator() as service, Client(service.api_key, base_url=service.url) as client:
        async with opened(path, "cat.png", field="image", medium="image") as content:
            path.write_bytes(PNG)
            with pytest.raises(ValueError, match="was changed while it was read"):
                await content.call(content.data_uri)
            with pytest.raises(ValueError, match="was changed while it was read"):
                await content.digest()
        await client.submit(edit(path), upload="never")


async def test_a_data_uri_without_base64() -> None:
    """Percent-encoded text is a content too (RFC 2397)."""
    async with Emulator() as service:
        async with Client(service.api_key, base_url=service.url, private_media=True) as client:
            await client.submit(edit("data:image/svg+xml,%3Csvg%20xmlns%3D%22s%22/%3E"))
        (put,) = [each for each in service.requests if each.method == "PUT"]
        assert put.body == b'<svg xmlns="s"/>'
