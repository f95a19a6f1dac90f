"""Undoing gzip and deflate in pieces of bounded size, however much is packed into few bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from clipmill.fetch.failures import failure

_PIECE_BYTES = 1 << 20
GZIP_OR_ZLIB = 47
"""Whichever it turns out to be."""
RAW_DEFLATE = -zlib.MAX_WBITS


class Inflater:
    """Decodes one stream of bytes.

    Args:
        what: how messages call it.
        window: ``GZIP_OR_ZLIB`` or ``RAW_DEFLATE``.
        error_class: of what is broken.
    """

    def __init__(self, what: str, window: int, error_class: str) -> None:
        self._what = what
        self._window = window
        self._error_class = error_class
        self._zlib = zlib.decompressobj(window)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Decode some bytes; what follows the end of a raw stream is left out."""
        try:
            while data:
                if self._zlib.eof:
                    if self._window == RAW_DEFLATE:
                        return
                    self._zlib = zlib.decompressobj(self._window)  # several may be in a row
                yield self._zlib.decompress(data, _PIECE_BYTES)
                data = self._zlib.unconsumed_tail or self._zlib.unused_data
        except zlib.error as error:
            raise failure(self._error_class, f"{self._what} is broken: {error}") from error

    def rest(self) -> bytes:
        """What is still inside after the last bytes came."""
        rest = self._zlib.flush()
        if not self._zlib.eof:
            raise failure("truncated", f"{self._what} ends too early.")
        return rest
