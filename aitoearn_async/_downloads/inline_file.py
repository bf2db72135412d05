"""A file that came as text in the task itself, in place of an address."""

from __future__ import annotations

from ..contract.data_uris import bytes_of
from ..contract.outputs import Result
from .fetch_error import FetchError, too_large
from .part_file import PartFile, PartMetadata


def write_inline(part: PartFile, result: Result, most: int) -> None:
    """Write a file that came as text. For threads.

    Args:
        part: Where to.
        result: The file.
        most: Bytes past which it is given up.

    Raises:
        FetchError: It is too large, or no base64.
        OSError: It cannot be written.
    """
    part.restart(PartMetadata())
    try:
        for piece in bytes_of(result.data or "", is_base64=result.is_base64):
            if part.size + len(piece) > most:
                raise too_large(most)
            part.append(piece)
    except ValueError:
        raise FetchError("what came along is no base64", stale=True) from None
