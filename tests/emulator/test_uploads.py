"""The upload of a file: the signed address, the storage on another origin, the confirmation."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from aitoearn_async import ApiError, Client, EditImage
from aitoearn_async.emulator import Emulator, Fault

from .talk import Reply, post

SIGN = "/api/assets/uploadSign"
CONTENT = b"\x89PNG\r\n\x1a\n" + bytes(1000)


async def sign(service: Emulator, **fields: Any) -> Any:
    body = {"filename": "cat.png", "type": "temp", "size": len(CONTENT), **fields}
    return (await post(service, SIGN, json.dumps(body).encode())).data


async def put(url: str, content: Any = CONTENT, method: str = "PUT", **headers: str) -> Reply:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, data=content, headers=headers) as got,
    ):
        return Reply(got.status, got.headers, await got.read())


async def confirm(service: Emulator, id: str, **headers: str) -> Reply:
    return await post(service, f"/api/assets/{id}/confirm", b"", **headers)


async def test_a_file_is_signed_for_put_and_confirmed(service: Emulator) -> None:
    """The storage is another origin and asks for no key; the file is there from the put on."""
    signed = await sign(service)
    assert list(signed) == ["id", "path", "url", "uploadUrl"]
    assert signed["uploadUrl"].startswith(f"{signed['url']}?X-Amz-")
    assert signed["url"] == f"{service.storage_url}/aitoearn/{signed['path']}"
    assert not signed["url"].startswith(service.url)
    assert (await put(signed["url"], None, "GET")).status == 404
    assert (await put(signed["uploadUrl"])).status == 200
    found = (await confirm(service, signed["id"])).data
    assert " ".join(found) == (
        "id userId userType path url type status size mimeType filename createdAt updatedAt"
    )
    assert (found["id"], found["url"], found["path"]) == (
        signed["id"],
        signed["url"],
        signed["path"],
    )
    assert (found["size"], found["mimeType"], found["status"]) == (
        len(CONTENT),
        "image/png",
        "confirmed",
    )
    got = await put(found["url"], None, "GET")
    assert (got.body, got.headers["Content-Type"]) == (CONTENT, "image/png")
    assert (await confirm(service, signed["id"])).data == found


async def test_what_was_sent_to_the_storage_is_recorded(service: Emulator) -> None:
    """A test can see that the key was not among it, and that files meet faults of their own."""
    signed = await sign(service)
    service.fault(Fault(status=503), media=True)
    assert (await put(signed["uploadUrl"])).status == 503
    assert (await put(signed["uploadUrl"])).status == 200
    asked, *puts = service.requests
    assert (asked.route, asked.media) == ("uploads", False)
    assert [(each.method, each.media, each.route) for each in puts] == [("PUT", True, None)] * 2
    assert all("X-Api-Key" not in each.headers for each in puts)
    assert puts[1].body == CONTENT


@pytest.mark.parametrize(
    ("change", "content", "headers", "status", "code"),
    [
        (("Signature=", "Signature=0"), CONTENT, {}, 403, b"SignatureDoesNotMatch"),
        (("aitoearn/", "aitoearn/x"), CONTENT, {}, 403, b"AccessDenied"),
        (("X-Amz-Signature", "X-Other"), CONTENT, {}, 403, b"AccessDenied"),
        (("", ""), CONTENT + b"x", {}, 403, b"SignatureDoesNotMatch"),
        (("", ""), CONTENT, {"Transfer-Encoding": "chunked"}, 411, b"MissingContentLength"),
    ],
)
async def test_the_storage_refuses(
    service: Emulator,
    change: tuple[str, str],
    content: bytes,
    headers: dict[str, str],
    status: int,
    code: bytes,
) -> None:
    """A changed address, another size or an unknown size is refused, in XML."""
    signed = await sign(service)

    async def chunks() -> Any:
        yield content

    body = chunks() if headers else content
    url = signed["uploadUrl"].replace(*change, 1) if change[0] else signed["uploadUrl"]
    reply = await put(url, body)
    assert (reply.status, code in reply.body) == (status, True)
    assert (await confirm(service, signed["id"])).json["code"] == 500


async def test_the_storage_has_no_other_methods(service: Emulator) -> None:
    """A POST is refused, as by a store that takes no forms."""
    signed = await sign(service)
    reply = await put(signed["uploadUrl"], CONTENT, "POST")
    assert (reply.status, b"MethodNotAllowed" in reply.body) == (405, True)


async def test_a_signed_address_expires(service: Emulator) -> None:
    """It holds for an hour of the service's clock."""
    signed = await sign(service)
    await asyncio.sleep(3599)
    assert (await put(signed["uploadUrl"])).status == 200
    await asyncio.sleep(3)
    late = await put(signed["uploadUrl"])
    assert (late.status, b"expired" in late.body) == (403, True)


async def test_a_size_need_not_be_told(service: Emulator) -> None:
    """Without a size any file may be put, and a name without a known suffix has no type."""
    body = json.dumps({"filename": "strange"}).encode()
    signed = (await post(service, SIGN, body)).data
    assert (await put(signed["uploadUrl"], b"abc")).status == 200
    found = (await confirm(service, signed["id"])).data
    assert (found["size"], found["mimeType"]) == (3, "application/octet-stream")


@pytest.mark.parametrize("body", [b"{}", b"[]", b"{", b'{"filename":"a","type":"other"}'])
async def test_an_invalid_body_is_refused(service: Emulator, body: bytes) -> None:
    """A name is needed, and the type is the one that clients use."""
    assert (await post(service, SIGN, body)).json["code"] == 400


async def test_confirmations_that_are_refused(service: Emulator) -> None:
    """An unknown file, another account's, one that was never put, and an id that is none."""
    id = (await sign(service))["id"]
    service.add_image(api_key="another")
    assert (await confirm(service, "f" * 24)).json["code"] == 12750
    assert (await confirm(service, id, X_Api_Key="another")).json["code"] == 12750
    assert (await confirm(service, id)).json["code"] == 500
    assert (await confirm(service, "bad")).json["code"] == 500


async def test_a_restart_keeps_files_and_addresses() -> None:
    """After close and start the storage is where it was, with what it had."""
    async with Emulator() as service:
        signed = await sign(service)
        await put(signed["uploadUrl"])
        await service.aclose()
        await service.start()
        assert (await put(signed["url"], None, "GET")).body == CONTENT


async def test_an_older_service_has_no_uploads() -> None:
    """Where the route does not exist, code 404 says so."""
    async with Emulator(routes=["submits", "image"]) as service:
        assert (await post(service, SIGN, b"{}")).json["code"] == 404


async def test_a_limit_of_0_bytes_is_one(service: Emulator) -> None:
    service.upload_limit = 0
    body = json.dumps({"filename": "cat.png", "type": "temp", "size": 1}).encode()
    assert (await post(service, SIGN, body)).json["code"] == 12752


async def test_a_file_above_the_limit_is_not_signed_for(service: Emulator) -> None:
    """The service's own code says so, to its clients too; nothing is put and nothing made."""
    service.upload_limit = 1000
    body = json.dumps({"filename": "cat.png", "type": "temp", "size": 1001}).encode()
    reply = (await post(service, SIGN, body)).json
    assert (reply["code"], reply["message"]) == (12752, "Asset too large")
    assert (await sign(service, size=1000))["uploadUrl"]
    async with Client(service.api_key, base_url=service.url, private_media=True) as client:
        with pytest.raises(ApiError) as caught:
            await client.submit(EditImage(model="m", prompt="p", image=CONTENT))
        assert caught.value.code == 12752
    assert service.created == []
    assert not any(request.media for request in service.requests)
