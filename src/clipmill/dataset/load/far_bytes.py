"""Bytes of media on far storage: ranges that lie close are fetched as one, the last ones kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from clipmill.core.errors import ProcessError
from clipmill.core.redact import redact_url
from clipmill.core.sample import MediaRef
from clipmill.io.filesystem import open_filesystem
from clipmill.io.remote import from_remote

_GAP_BYTES = 128 << 10
"""Reading over so much costs less than a further request."""


class FarBytes:
    """Reads members and files, and keeps the latest of them.

    Args:
        room_bytes: how much is kept in memory.
    """

    def __init__(self, room_bytes: int) -> None:
        self._room = room_bytes
        self._held = 0
        self._kept: OrderedDict[MediaRef, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, ref: MediaRef) -> bytes:
        """The bytes of one.

        Args:
            ref: where they lie, on a storage.

        Raises:
            ProcessError: they are not there any more (``media_gone``), or not all (``truncated``).
            StorageError: the storage cannot be read.
        """
        with self._lock:
            if ref in self._kept:
                self._kept.move_to_end(ref)
                return self._kept[ref]
        data = _read(ref.path, ref.offset, ref.size)
        if ref.size is not None and len(data) != ref.size:
            raise cut_short(ref, (ref.offset or 0) + len(data))
        self._keep(ref, data)
        return data

    def fetch(self, refs: Iterable[MediaRef]) -> None:
        """Read those that lie close to others in one piece, before each is asked for.

        Args:
            refs: that will be asked for next. What cannot be read is left for then.
        """
        with self._lock:
            wanted = {ref for ref in refs if ref.offset is not None and ref not in self._kept}
        for run in _runs(wanted):
            start, end = run[0].offset or 0, _end(run[-1])
            if len(run) == 1 or end - start > self._room:
                continue
            try:
                data = _read(run[0].path, start, end - start)
            except ProcessError:
                continue
            for ref in run:
                first = (ref.offset or 0) - start
                part = data[first : first + (ref.size or 0)]
                if len(part) == ref.size:
                    self._keep(ref, part)

    def _keep(self, ref: MediaRef, data: bytes) -> None:
        with self._lock:
            if ref not in self._kept and len(data) <= self._room:
                self._kept[ref] = data
                self._held += len(data)
            while self._held > self._room:
                self._held -= len(self._kept.popitem(last=False)[1])


def _runs(refs: Iterable[MediaRef]) -> list[list[MediaRef]]:
    """Those of one file that follow each other closely, together."""
    runs: list[list[MediaRef]] = []
    for ref in sorted(refs, key=lambda one: (one.path, one.offset or 0)):
        last = runs[-1][-1] if runs else None
        if last and last.path == ref.path and (ref.offset or 0) - _end(last) <= _GAP_BYTES:
            runs[-1].append(ref)
        else:
            runs.append([ref])
    return runs


def _end(ref: MediaRef) -> int:
    return (ref.offset or 0) + (ref.size or 0)


def _read(url: str, offset: int | None, size: int | None) -> bytes:
    filesystem, path = open_filesystem(url)
    end = None if offset is None or size is None else offset + size
    try:
        with from_remote(url):
            return bytes(filesystem.cat_file(path, start=offset, end=end))
    except FileNotFoundError as error:
        raise gone(url) from error


def cut_short(ref: MediaRef, end: int) -> ProcessError:
    """What to raise when a file ends before a member does.

    Args:
        ref: the member.
        end: where the file ends.
    """
    return ProcessError(
        f"{redact_url(ref.path)} ends at byte {end}, before the member at {ref.offset} of "
        f"{ref.size} bytes does",
        error_class="truncated",
    )


def gone(url: str) -> ProcessError:
    """What to raise when a file is not there."""
    return ProcessError(f"{redact_url(url)} is not there any more", error_class="media_gone")
