"""Puts addresses in place of the files in a request, so that it can be sent.

All files are opened and looked at first. Then they are uploaded, and their addresses stand in
the request; or, where that cannot be and they can arrive so, their bytes do. What the request
may say is `contract`'s.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import msgspec

from .._runtime.lifetime import Timeout
from .._uploads.content import Content, opened
from .._uploads.store import Progress
from ..contract.catalog import LOSES_DATA_URIS
from ..contract.endpoints import submit_of
from ..contract.field_rules import listed
from ..contract.requests import GenerateVideo, TaskRequest, short_repr
from ..errors import AiToEarnError, UploadError
from .model_catalog import ModelCatalog
from .uploader import Uploader

R = TypeVar("R")

UploadMode = Literal["auto", "always", "never"]

MOST_BYTES = 16 * 1024 * 1024 - 16 * 1024
"""The largest body the service can keep: a row of its database ends at 16 MiB, and holds the
whole body beside its other fields. Past it the answer is a code 500 that explains nothing."""

logger: logging.Logger = logging.getLogger("aitoearn_async")


class FilesOfRequests:
    """Puts addresses, or data URIs, in place of files.

    Args:
        uploader: Uploads files.
        catalog: Knows which provider a model is of.
    """

    def __init__(self, uploader: Uploader, catalog: ModelCatalog) -> None:
        self._uploader = uploader
        self._catalog = catalog
        self._lifetime = uploader.lifetime

    async def replaced(
        self,
        request: TaskRequest[R],
        sources: Sequence[tuple[str, str, Any]],
        upload: UploadMode,
        progress: Progress | None,
    ) -> TaskRequest[R]:
        """Return a request with an address or a data URI in place of each file.

        Args:
            request: The request.
            sources: Its fields with files, as `TaskRequest.sources` gives them.
            upload: Whether its files are uploaded.
            progress: Is told how many bytes of all of them have gone out.

        Raises:
            ValueError: A file is not what the field is for, or cannot arrive. The field is
                named.
            OSError: A file cannot be read.
            UploadError: A file could not be uploaded.
            AiToEarnError: The service refuses an upload, or could not be reached.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(Timeout(self._lifetime))
            fields: dict[str, list[str | Content]] = {}
            for name, medium, value in sources:
                fields[name] = [
                    source
                    if is_text(source, upload)
                    else await stack.enter_async_context(
                        opened(source, short_repr(source), field=name, medium=medium)
                    )
                    for source in listed(value) or [value]
                ]
            contents = [
                each for values in fields.values() for each in values if isinstance(each, Content)
            ]
            texts = await self._texts(request, contents, upload, progress)
        return _with_texts(request, fields, texts)

    async def _texts(
        self,
        request: TaskRequest[Any],
        contents: Sequence[Content],
        upload: UploadMode,
        progress: Progress | None,
    ) -> dict[Content, str]:
        if not contents:
            return {}
        why: UploadError | None = None
        if upload != "never":
            try:
                found = await self._uploader.upload_all(contents, progress)
                return dict(zip(contents, found, strict=True))
            except UploadError as error:
                if upload == "always":
                    raise
                why = error
        problem = await self._objection(request, contents)
        if problem is not None:
            if why is None or self._uploader.has_no_route:
                reason = 'upload="never" was given' if why is None else why.message
                raise ValueError(f"{problem}, and {reason}. {_REMEDY}") from why
            raise why
        if why is not None and not self._uploader.has_no_route:
            logger.warning(
                "%s: sent in the request itself, which costs the service time", why.message
            )
        return {content: await content.call(content.data_uri) for content in contents}

    async def _objection(
        self, request: TaskRequest[Any], contents: Sequence[Content]
    ) -> str | None:
        """Return why files cannot arrive in the body itself; None if they can."""
        size = sum(content.size for content in contents)
        if size * 4 / 3 > MOST_BYTES:
            what = contents[0].name if len(contents) == 1 else f"{len(contents)} files"
            return (
                f"{what} of {size:,} bytes makes the body larger than the {MOST_BYTES:,} bytes "
                "that the service can keep (a file in it counts 4/3 of its size)"
            )
        if isinstance(request, GenerateVideo):
            channel = await self._channel(request)
            if channel is None or channel in LOSES_DATA_URIS:
                provider = "the provider" if channel is None else f"the provider {channel}"
                return (
                    f"{contents[0].name} would not reach {provider} of {request.model}: of a "
                    "video request it gets addresses alone"
                )
        return None

    async def _channel(self, request: TaskRequest[Any]) -> str | None:
        try:
            model = await self._catalog.entry(request, submit_of(request).catalog)
        except AiToEarnError:
            return None
        return getattr(model, "channel", None)


_REMEDY = "Give an http(s) address that the service can reach; no task was made"


def is_text(source: Any, upload: UploadMode) -> bool:
    """Return whether a source goes out as it is: an address, or a data URI if none is uploaded."""
    return isinstance(source, str) and (upload == "never" or not source.startswith("data:"))


def _with_texts(
    request: TaskRequest[R], fields: dict[str, list[str | Content]], texts: dict[Content, str]
) -> TaskRequest[R]:
    changes: dict[str, Any] = {}
    for name, values in fields.items():
        if any(isinstance(value, Content) for value in values):
            found = [texts[value] if isinstance(value, Content) else value for value in values]
            is_many = listed(getattr(request, name)) is not None
            changes[name] = found if is_many else found[0]
    return msgspec.structs.replace(request, **changes) if changes else request
