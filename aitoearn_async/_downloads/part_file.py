"""A file that is being written. It is hidden at first, and has its name when it is whole.

A visible name always belongs to a complete file. The bytes of an incomplete one lie beside it as
`.NAME.part`, and their metadata (`.NAME.part.json`) say which version of the file they are from, so
that only that version is continued. The metadata are written before the bytes that they are about,
and never outlive them: truncating comes first.

Bytes are gathered in memory until they are enough to be written. What touches the disk blocks, and
is called in threads. Nothing in here knows where the bytes come from.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from .transfer_error import Reason, TransferError

T = TypeVar("T")


_Checksum = Annotated[str, msgspec.Meta(pattern="^(sha512|sha256|sha1|md5|crc32):[0-9a-f]+$")]
"""A hash that can be computed, or the metadata are not read: a later version may know others."""


class PartMetadata(msgspec.Struct, frozen=True, omit_defaults=True):
    """The version of a file that a part is of."""

    source: str = ""
    """A hash of the address, without its query."""
    etag: str | None = None
    """The file's strong ETag; None if it has none."""
    modified: str | None = None
    """The file's date of change, where that is exact enough."""
    length: int | None = None
    """The length of the complete file."""
    checksum: _Checksum | None = None
    """The checksum of the complete file, if its host has sent one."""

    @property
    def validator(self) -> str | None:
        """The value for `If-Range`. A part without one cannot be continued."""
        return self.etag or self.modified


_BLOCK = 256 * 1024
"""Bytes that are enough to be written."""
_metadata = msgspec.json.Decoder(PartMetadata)
_MOST_METADATA_BYTES = 4096
_LONGEST_NAME = 255
"""The bytes that names may have on the file systems in use."""
_LONGEST_HIDDEN = _LONGEST_NAME - len(".part.json")
_CANNOT_SYNC = frozenset([errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])


class PartFile:
    """A file that is not complete.

    Args:
        directory: Where it is to be.
        stem: Its name, up to the suffix.
        suffixes: Those that it can have when it is complete.

    Attributes:
        metadata: The version that its bytes are of.
    """

    def __init__(self, directory: Path, stem: str, suffixes: Sequence[str]) -> None:
        self.metadata: PartMetadata = PartMetadata()
        self._written = 0
        self._gathered = bytearray()
        self._begins_anew = False  # what is on the disk is dropped when the next bytes are written
        self._directory = directory
        self._stem = stem
        self._suffixes = suffixes
        hidden = _hidden(stem)
        self._path = directory / f"{hidden}.part"
        self._metadata_path = directory / f"{hidden}.part.json"
        self._file: io.FileIO
        self._is_open = False
        self._is_claimed = False

    def open(self) -> Path | None:
        """Open it and keep others out; make the directory if it is not there.

        Returns:
            The complete file, if there is one: then there is nothing left to do.

        Raises:
            TransferError: Another download, of this process or another one, is writing it. The
                `size` of the part says how many bytes there are.
            OSError: It cannot be opened.
        """
        if (complete := self._complete()) is not None:
            return complete
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except FileExistsError as exc:  # what has its name is a file
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from exc
        self._file = io.FileIO(self._path, "r+", opener=_open)
        self._is_open = True
        self._claim()
        # Whoever had the lock may have finished since that look, or have written more.
        if (complete := self._complete()) is not None:
            self.discard()
            return complete
        self._written = os.fstat(self._file.fileno()).st_size
        self.metadata = self._read_metadata()
        return None

    def _complete(self) -> Path | None:
        for suffix in self._suffixes:
            path = self._directory / (self._stem + suffix)
            # An empty one is what a power failure leaves where nothing is written when asked.
            if path.is_file() and path.stat().st_size:
                return path
        return None

    def _claim(self) -> None:
        found = os.fstat(self._file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{self._path.name} is no regular file")
        self._written = found.st_size  # for whoever is told that it is locked
        if _lock(self._file.fileno()):
            # Whoever had the lock may have finished meanwhile: then this is a complete file, and
            # no longer ours to write to.
            with contextlib.suppress(FileNotFoundError):
                there = os.stat(self._path, follow_symlinks=False)
                self._is_claimed = os.path.samestat(found, there)
        if not self._is_claimed:
            raise TransferError("another download is writing it", Reason.PASSING)

    def _read_metadata(self) -> PartMetadata:
        try:
            with io.FileIO(self._metadata_path, "r", opener=_open_there) as file:
                # No metadata are longer: whatever lies there is not read for ever.
                return _metadata.decode(file.read(_MOST_METADATA_BYTES) or b"")
        except (OSError, ValueError):
            return PartMetadata()

    @property
    def size(self) -> int:
        """Return how many bytes there are of it, with those that are not written yet."""
        return self._written + len(self._gathered)

    @property
    def has_block(self) -> bool:
        """Return whether enough bytes have been gathered to be written."""
        return len(self._gathered) >= _BLOCK

    @property
    def is_behind(self) -> bool:
        """Return whether bytes have been gathered that are not written yet."""
        return bool(self._gathered)

    def restart(self, metadata: PartMetadata, *, is_believed: bool = False) -> None:
        """Begin the file anew. What is on the disk is dropped with the next `write`.

        Args:
            metadata: The version that begins.
            is_believed: Whether nothing is wrong with the bytes there are, if they are of the
                same version. Then they are written over one by one, and those beyond stay.
        """
        self._begins_anew = not is_believed or metadata != self.metadata
        self._written, self._gathered = 0, bytearray()
        self.metadata = metadata

    def append(self, data: bytes | bytearray) -> None:
        """Add bytes, which `write` writes."""
        self._gathered += data

    def write(self) -> None:
        """Write the bytes that have been added.

        Raises:
            OSError: Not all of them could be written.
        """
        data, self._gathered = self._gathered, bytearray()
        if self._begins_anew:
            self._begins_anew = False
            self._file.truncate(0)
            self._write_metadata()
        self._file.seek(self._written)
        with memoryview(data) as rest:
            written = 0
            while written < len(rest):
                written += self._file.write(rest[written:]) or 0
        self._written += len(data)

    def _write_metadata(self) -> None:
        self._metadata_path.unlink(missing_ok=True)
        if self.metadata.validator is not None:
            with open(self._metadata_path, "xb") as file:
                file.write(msgspec.json.encode(self.metadata))

    def judged_by(self, judge: Callable[[io.BufferedReader[io.FileIO], int], T]) -> T:
        """Return what a function finds, given the open file, with all its bytes, and its size.

        Raises:
            OSError: It cannot be written or read.
        """
        self.write()
        self._file.truncate(self._written)
        reader = io.BufferedReader(self._file)
        try:
            return judge(reader, self.size)
        finally:
            reader.detach()  # or it would close the file

    def finish(self, name: str) -> Path:
        """Give it its name: the file is complete, and has been judged. It is on the disk then.

        Raises:
            OSError: It cannot be done. After a failed fsync the system may have dropped what
                it could not write, and say that all is well when it is asked again: then
                nothing of the part is to be gone on with.
        """
        path = self._directory / name
        self.metadata = PartMetadata()  # so that it does not stay
        _sync(self._file.fileno())
        self._metadata_path.unlink(missing_ok=True)
        if sys.platform == "win32":  # pragma: no cover - an open file cannot be renamed there
            self._file.close()
        os.replace(self._path, path)
        self._close_file()
        _sync_directory(self._directory)
        return path

    def close(self) -> None:
        """Write what has come, and close it. What can be continued stays; all else is removed."""
        if self._gathered:
            with contextlib.suppress(OSError, MemoryError):
                self.write()
        if self.size and self.metadata.validator is not None:
            self._close_file()
        else:
            self.discard()

    def discard(self) -> None:
        """Close it and remove it."""
        if self._is_claimed:
            # While it is locked: after that it could be somebody else's.
            with contextlib.suppress(OSError):
                self._metadata_path.unlink(missing_ok=True)
                if sys.platform == "win32":  # pragma: no cover
                    self._close_file()
                self._path.unlink(missing_ok=True)
        self._close_file()

    def _close_file(self) -> None:
        self._is_claimed = False
        if self._is_open:
            _unlock(self._file)
            self._file.close()


def _open(path: str, _: int) -> int:
    """Open a file to write to it, made if it is not there."""
    return _open_there(path, os.O_RDWR | os.O_CREAT)


def _open_there(path: str, flags: int) -> int:
    # Never through a link that somebody has put there, and without waiting for the other end
    # of a pipe.
    careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags | careful | getattr(os, "O_BINARY", 0), 0o666)


def _hidden(stem: str) -> str:
    """Return the name of the part, without its ending: a shorter one where that is too long."""
    name = f".{stem}"
    if len(os.fsencode(name)) <= _LONGEST_HIDDEN or len(os.fsencode(stem)) > _LONGEST_NAME:
        return name  # the file's own name is no better: that is noticed at once
    return f".{hashlib.sha256(os.fsencode(stem)).hexdigest()}"


def _sync(descriptor: int) -> None:
    """Put it on the disk, where the file system has a way to."""
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno not in _CANNOT_SYNC:
            raise


def _sync_directory(directory: Path) -> None:
    """See to it that a name outlives a power failure, where the system has a way to ask."""
    with contextlib.suppress(OSError):
        there = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(there)
        finally:
            os.close(there)


if sys.platform == "win32":  # pragma: no cover

    def _lock(descriptor: int) -> bool:
        """An open file can be neither renamed nor removed there, which is as good."""
        return True

    def _unlock(file: io.FileIO) -> None: ...

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        """Keep other downloads out, until the file is closed or the process ends in any way."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            return True
        return True

    def _unlock(file: io.FileIO) -> None:
        """Let others in at once: a process that was forked meanwhile has the file open as well."""
        with contextlib.suppress(OSError, ValueError):  # no locks there, or closed already
            fcntl.flock(file, fcntl.LOCK_UN)
