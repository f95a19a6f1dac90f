"""Compressed files of a format that is read from its end: decompressed to disk, then mapped."""

from __future__ import annotations

import errno
import tempfile
from functools import lru_cache

import pyarrow as pa

from clipmill.core.errors import InputError
from clipmill.core.redact import redact_url
from clipmill.sources.streams import Compression, FileFacts, open_plain

_COPIED_BYTES = 1 << 20
_KEPT_FILES = 4


def unpacked(facts: FileFacts) -> pa.BufferReader:
    """Open a compressed file as what it is decompressed.

    Each process that reads it decompresses it once, into the folder for temporary files. That file
    has no name by the time it is read, so whatever ends the process, nothing is left behind.

    Raises:
        InputError: there is no room to decompress it.
    """
    assert facts.compression
    return pa.BufferReader(_mapped(facts.url, facts.version, facts.compression))


@lru_cache(_KEPT_FILES)
def _mapped(url: str, _version: str, compression: Compression) -> pa.Buffer:
    with (
        tempfile.NamedTemporaryFile(prefix="clipmill-unpacked-") as draft,
        open_plain(url, compression) as packed,
    ):
        while data := packed.read(_COPIED_BYTES):
            try:
                draft.write(data)
                draft.flush()
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise
                raise InputError(
                    f"{redact_url(url)} is decompressed to be read, and there is no room for "
                    f"that in {tempfile.gettempdir()}. Decompress it yourself, or set TMPDIR to a "
                    "folder with more room."
                ) from error
        with pa.memory_map(draft.name) as file:
            return file.read_buffer()
